"""The values of a sheet's cells, read by calamine through pandas in a process of its own.

    python -m manifest_runner.sheets.values SHEET < WORKBOOK

calamine sets memory aside for every cell between the first and the last, and ends the process where that is more than
there is (read in 0.9, November 2026): a workbook that lies about its cells ends this process, and no run. Prints the
rows as JSON, one a line: texts, numbers, true and false, and `[TEXT]` for a moment in time.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from manifest_runner.sheets.errors import SheetError

SECONDS = 600.0  # for one workbook
_MOST_MEMORY = 4 * 1024**3  # bytes of addresses
_SECRETS = "KLING_"


def rows_of(data: bytes, sheet: str) -> Iterator[list[Any]]:
    """All rows from the first on. Raises SheetError."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    try:
        read = subprocess.run(
            [sys.executable, "-P", "-m", __name__, sheet],  # -P: nothing of the folder we are in is imported
            input=data,
            capture_output=True,
            env=variables,
            timeout=SECONDS,
            check=True,
        )
    except (subprocess.SubprocessError, OSError, ValueError):  # ValueError: a name with a NUL in it
        raise SheetError(
            "The workbook can't be read.", "Open it in the spreadsheet program and save it again."
        ) from None
    return (json.loads(line) for line in read.stdout.splitlines())


def main() -> None:
    import pandas  # noqa: PLC0415 - slow to import, and only this process needs it

    _bound_memory()
    frame = pandas.read_excel(
        BytesIO(sys.stdin.buffer.read()),
        sheet_name=sys.argv[1],
        header=None,
        dtype=object,
        na_filter=False,
        engine="calamine",
    )
    for values in frame.itertuples(index=False, name=None):
        sys.stdout.write(json.dumps([_plain(value) for value in values]) + "\n")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, dt.datetime):
        return [value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ")]
    return [str(value)]


def _bound_memory() -> None:
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))


if __name__ == "__main__":
    main()
