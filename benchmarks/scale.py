"""Big campaigns: how validate, plan and run grow from 1,000 to 100,000 rows, and what memory a run takes.

    python -m benchmarks.scale
    python -m benchmarks.scale --rows 1000 10000

Each size is validated (`--schema-only`), run to its end at a sandbox that takes no time, and planned once more when
all is done. The rows a second of validating leave out what starting takes (a sheet of one row). Growth: by how much the
time for a row rises from the second largest size to the largest; 1 is linear.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.campaigns import (
    COMMAND,
    Campaign,
    Figure,
    Run,
    load_sandbox,
    make_campaign,
    read_books,
    run,
    run_ours,
    tell,
)

SLOTS = 200
VALIDATED, PLANNED, MEMORY = 60_000, 3.0, 300.0  # rows a second, seconds, MB
GROWTH = 1.15  # what chance may add
FULL = 100_000


@dataclass(frozen=True, slots=True)
class Size:
    rows: int
    validated: Run
    ran: Run
    planned: Run
    calls_to_plan: int


def validate(campaign: Campaign) -> Run:
    """The best of three: a second of it is little to measure."""
    runs = [run([*COMMAND, "validate", str(campaign.sheet), "--schema-only"]) for _ in range(3)]
    if any(one.code for one in runs):
        raise SystemExit(runs[0].said[-3000:])
    return min(runs, key=lambda one: one.seconds)


def measure(folder: Path, rows: int) -> Size:
    campaign, state = make_campaign(folder / "campaign", rows), folder / "sandbox"
    validated = validate(campaign)
    with load_sandbox(state, slots=SLOTS, render_time=0) as service:
        ran = run_ours(campaign, service, slots=SLOTS)
    before = sum(read_books(state, SLOTS).calls.values())
    with load_sandbox(state, slots=SLOTS, render_time=0) as service:
        arguments = [str(campaign.sheet), "--service", "sandbox", "--base-url", service.base_url]
        planned = run([*COMMAND, "plan", *arguments], dict(service.environment))
    if planned.code:
        raise SystemExit(planned.said[-3000:])
    if not before:
        raise SystemExit("the sandbox counted no call of a whole run")
    calls = sum(read_books(state, SLOTS).calls.values())  # counted anew since the second start
    return Size(rows, validated, ran, planned, calls)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, FULL])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = validate(make_campaign(Path(folder), 1)).seconds
    print(f"{'rows':>8} {'validate':>10} {'run':>10} {'peak':>9} {'plan':>9} {'calls':>6}")
    sizes = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            sizes.append(size := measure(Path(folder), rows))
        print(
            f"{rows:8,} {size.validated.seconds:8.2f} s {size.ran.seconds:8.1f} s {size.ran.peak_mb:6.0f} MB"
            f" {size.planned.seconds:7.2f} s {size.calls_to_plan:6}",
            flush=True,
        )
    return tell("scale", figures(sizes, start), start=start)


def beyond(one: Run, start: float) -> float:
    """Its seconds without those of starting; where it took hardly more, a hundredth, as no clock tells less."""
    return max(one.seconds - start, 0.01)


def figures(sizes: list[Size], start: float) -> list[Figure]:
    largest = sizes[-1]
    found = [
        Figure(
            "validate --schema-only",
            largest.rows / beyond(largest.validated, start),
            VALIDATED,
            "rows/s",
            at_least=True,
        ),
        Figure("plan of a finished campaign, whole process", largest.planned.seconds, PLANNED, "s"),
        Figure("calls of that plan", largest.calls_to_plan, 0),
        Figure("peak memory of the run", largest.ran.peak_mb, MEMORY, "MB"),
    ]
    if len(sizes) > 1:
        before = sizes[-2]
        more = largest.rows / before.rows
        found += [
            Figure(
                f"growth of {name}, against the rows'",
                beyond(getattr(largest, name), start) / beyond(getattr(before, name), start) / more,
                GROWTH,
            )
            for name in ("validated", "planned", "ran")
        ]
    return found


if __name__ == "__main__":
    sys.exit(main())
