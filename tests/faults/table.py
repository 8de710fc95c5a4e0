"""`make faults`: every fault once, and what came of it by the sandbox's own books.

python tests/faults/table.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from faults import FAULTS
from rig import sandbox, undergo


def main() -> int:
    wrong = 0
    print(
        f"{'fault':<48} {'times injected':>14} {'runs':>5} {'duplicates':>11} {'lost':>5} {'wrong totals':>13}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sandbox(folder / "sandbox", slots=20) as process:
            for fault in FAULTS:
                audit = undergo(fault, folder, process, folder / "sandbox")
                bad = audit.duplicates or audit.lost or audit.wrong_totals or not audit.injected
                wrong += bool(bad)
                print(
                    f"{fault.name:<48} {audit.injected:>14} {audit.runs:>5} {audit.duplicates:>11} {audit.lost:>5}"
                    f" {audit.wrong_totals:>13}{'   <-- ' + str(audit.exit_codes) if bad else ''}",
                    flush=True,
                )
                if bad:
                    print(audit.said, file=sys.stderr)
    print(f"{len(FAULTS)} faults, {wrong} with a duplicate, a lost video or a wrong total.")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
