"""`make media`: every file of the shelf, what it is, what was done to it, and whether it is accepted.

    python tests/media_shelf/table.py [--json FILE] [FOLDER]

The files are made in FOLDER, or in a temporary one, by another process: the memory reported at the end is what
probing, fitting and checking took. Ends with 1 when a file's fate is not the expected one, or the memory passes its
bound.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import shelf

MOST_MEMORY = 500  # MB of the whole process


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Take awkward media through probe, fit and the sandbox's check."
    )
    parser.add_argument("folder", nargs="?", type=Path, help="where the files are made, and kept")
    parser.add_argument("--json", type=Path, help="a file for the results")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="media-shelf-") as temporary:
        results = table(wanted.folder or Path(temporary))
    if wanted.json:
        wanted.json.write_text(json.dumps(results), encoding="utf-8")
    return 1 if results["unexpected"] or results["memory"] > MOST_MEMORY else 0


def table(folder: Path) -> dict[str, Any]:
    subprocess.run([sys.executable, shelf.__file__, str(folder)], check=True)
    started = time.monotonic()
    there = [item for item in shelf.SHELF if item.there]
    rows = {item.name: _row(item, folder / item.file_name) for item in there}
    took = time.monotonic() - started
    memory = peak_memory()
    unexpected = [item.name for item in there if not shelf.as_expected(item, rows[item.name])]
    taken = sum(not row["problem"] for row in rows.values())
    print(
        f"\n{len(rows)} rows: {taken} accepted, {len(rows) - taken} refused; {took:.0f} s, {memory:.0f} MB at most."
    )
    if missing := [item.name for item in shelf.SHELF if not item.there]:
        print(f"Not made, for want of an extra: {', '.join(missing)}.")
    for name in unexpected:
        print(f"NOT AS EXPECTED: {name}")
    return {"rows": rows, "memory": memory, "unexpected": unexpected}


def peak_memory() -> float:
    """MB that this process had at most. What getrusage says begins with what its parent had, on Linux."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.open() if line.startswith("VmHWM")) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _row(item: shelf.Item, path: Path) -> dict[str, Any]:
    """Print one row. What no run may meet, an error that is none of ours, is the row's problem too."""
    try:
        found = shelf.outcome(item, path)
    except Exception as error:  # noqa: BLE001 - that is what the table is to show
        traceback.print_exc()
        found = shelf.Outcome(problem=f"BROKEN: {error!r}")
    fate = f"refused: {found.problem}" if found.problem else f"accepted, {found.done or 'as it is'}"
    print(f"{item.name:<46} {found.what or '-':<52} {fate}", flush=True)
    return vars(found)


if __name__ == "__main__":
    sys.exit(main())
