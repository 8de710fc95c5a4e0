"""Every benchmark of speed, one after the other, and a table of all figures at the end: reached or not.

    python -m benchmarks.all

Takes three quarters of an hour, half of it the run of 100,000 rows and much of the rest the waves. Exits 1 when a goal
was missed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.campaigns import ROOT

BENCHMARKS = ("first_letter", "ledger", "throughput", "makespan", "scale")


def measured(name: str) -> dict[str, Any]:
    """What a benchmark's last line says; all that it says is shown on the way."""
    last = ""
    with subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            last = line
    try:
        figures: dict[str, Any] = json.loads(last)["figures"]
    except (ValueError, KeyError, TypeError):
        return {f"{name} did not come to its end": {"value": float("nan"), "goal": 0.0, "reached": False}}
    return figures


def main() -> int:
    figures: dict[str, Any] = {}
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        figures |= measured(name)
    print("\n== all")
    for name, figure in figures.items():
        print(
            f"{name:48} {figure['value']:12,.4g} {figure['goal']:12,.5g}  {'yes' if figure['reached'] else 'NO'}"
        )
    print(json.dumps({"benchmark": "all", "figures": figures}))
    return int(not all(figure["reached"] for figure in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
