"""`make faults`: every fault once, and what came of it by the sandbox's own books.

python tests/faults/table.py
python tests/faults/table.py --at-once 1 clock leap     # only those with one of these words in their names
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from faults import FAULTS
from rig import Audit, sandbox
from undergo import undergo


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*", help="only faults with one of these words in their names")
    parser.add_argument(
        "--at-once", type=int, default=2, help="campaigns at once: most of their time is waiting"
    )
    options = parser.parse_args()
    faults = [
        fault for fault in FAULTS if not options.words or any(word in fault.name for word in options.words)
    ]
    audits, started = [], time.monotonic()
    print(
        f"{'fault':<52} {'times injected':>14} {'runs':>5} {'duplicates':>11} {'lost':>5} {'wrong totals':>13}"
    )
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(options.at_once) as pool:
        folder = Path(name)
        with sandbox(folder / "sandbox", slots=20) as process:
            under = partial(undergo, folder=folder, process=process, state=folder / "sandbox")
            for fault, audit in zip(faults, pool.map(under, faults), strict=True):
                audits.append(audit)
                print(
                    f"{fault.name:<52} {audit.injected:>14} {audit.runs:>5} {audit.duplicates:>11} {audit.lost:>5}"
                    f" {audit.wrong_totals:>13}{'   <-- ' + str(audit.exit_codes) if is_bad(audit) else ''}",
                    flush=True,
                )
                if is_bad(audit):
                    print(*audit.broken, audit.said, sep="\n", file=sys.stderr)
    minutes = (time.monotonic() - started) / 60
    print(
        f"{len(audits)} faults, injected {sum(audit.injected for audit in audits)} times in {minutes:.1f} minutes: "
        f"{sum(audit.duplicates for audit in audits)} duplicates, {sum(audit.lost for audit in audits)} lost, "
        f"{sum(audit.wrong_totals for audit in audits)} wrong totals; "
        f"{sum(is_bad(audit) for audit in audits)} did not end as they should."
    )
    return int(any(map(is_bad, audits)))


def is_bad(audit: Audit) -> bool:
    """Whether something did not hold, or nothing went wrong in the first place."""
    wrong = audit.duplicates or audit.lost or audit.wrong_totals
    return bool(wrong or audit.broken or not audit.injected or audit.exit_codes[-1])


if __name__ == "__main__":
    sys.exit(main())
