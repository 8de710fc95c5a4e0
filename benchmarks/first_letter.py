"""How long `manifest-runner --help` takes, as a whole process; of several times the best.

python -m benchmarks.first_letter
"""

from __future__ import annotations

import sys

from benchmarks.campaigns import COMMAND, Figure, run, tell

GOAL = 0.3  # seconds
TIMES = 10


def main() -> int:
    runs = [run([*COMMAND, "--help"]) for _ in range(TIMES)]
    if any(one.code for one in runs):
        raise SystemExit(runs[0].said)
    best = min(one.seconds for one in runs)
    return tell("first_letter", [Figure("--help, whole process", best, GOAL, "s")])


if __name__ == "__main__":
    sys.exit(main())
