"""What can be counted, in less than 90 seconds: fails on counts alone, never on seconds, so any machine may run it.

    python -m benchmarks.quick

Calls a job of a small campaign (without downloads), whether a sheet's rows stay in their order, and what loading and
planning take in memory for a row (from the peaks of two processes with sheets of different sizes).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.campaigns import (
    COMMAND,
    Figure,
    load_sandbox,
    make_campaign,
    read_books,
    run,
    run_ours,
    tell,
)

JOBS, SLOTS = 200, 50
SMALL, LARGE = 2_000, 12_000  # rows
CALLS, BYTES = 2.5, 2_000.0


def calls_a_job(folder: Path) -> float:
    campaign, state = make_campaign(folder / "campaign", JOBS), folder / "sandbox"
    with load_sandbox(state, slots=SLOTS, render_time=3) as service:
        run_ours(campaign, service, slots=SLOTS)
    return read_books(state, SLOTS).calls_a_job("create", "look-up", "list")


def rows_out_of_order(folder: Path) -> int:
    """How many of a sheet's rows come back elsewhere than where they stand."""
    from manifest_runner.manifest import load_manifest  # noqa: PLC0415 only this needs it

    campaign = make_campaign(folder, SMALL)
    found = [job.external_task_id for job in load_manifest(campaign.sheet).jobs]
    wanted = [f"job-{number:06}" for number in range(SMALL)]
    return abs(len(found) - SMALL) + sum(a != b for a, b in zip(found, wanted, strict=False))


def planned_bytes(folder: Path, rows: int) -> float:
    """The most memory that a process took which loaded and planned so many rows."""
    campaign = make_campaign(folder, rows)
    ended = run([*COMMAND, "plan", str(campaign.sheet), "--service", "sandbox"])
    if ended.code:
        raise SystemExit(ended.said[-3000:])
    return ended.peak_mb * 1024 * 1024


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, large = (planned_bytes(folder / str(rows), rows) for rows in (SMALL, LARGE))
        figures = [
            Figure("calls a job", calls_a_job(folder / "calls"), CALLS),
            Figure("rows out of their order", rows_out_of_order(folder / "order"), 0),
            Figure("memory of loading and planning a row", (large - small) / (LARGE - SMALL), BYTES, "bytes"),
        ]
    return tell("quick", figures)


if __name__ == "__main__":
    sys.exit(main())
