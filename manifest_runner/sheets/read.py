"""A workbook's bytes -> the rows of one of its sheets, as the texts that a person sees in them.

The values are read by a library (`values`); the marks, which it does not tell, by a pass of our own before that, which
bounds what it is given, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from manifest_runner.sheets import ods, xlsx
from manifest_runner.sheets.container import Container
from manifest_runner.sheets.errors import SheetError, locked
from manifest_runner.sheets.marks import CellFault, Marks, column_name, key
from manifest_runner.sheets.numbers import SCIENTIFIC_TEXT, is_rounded, is_scientific, number_text
from manifest_runner.sheets.values import rows_of

ENDINGS = (".xlsx", ".xlsm", ".ods")

MOST_ROWS = 250_000  # with anything in them
MOST_CELLS = 10_000_000  # between the first and the last

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_TYPE_AS_TEXT = "Format the column as text, and type it again as it should be."


@dataclass(frozen=True, slots=True)
class Grid:
    """One sheet. `rows` are those that have anything in them, each by its number from 1; they can be gone through once.

    `faults` are found while the rows are gone through, too.
    """

    sheet: str
    rows: Iterator[tuple[int, list[str]]]
    width: int
    merged: list[str]
    hidden: list[int]
    faults: list[CellFault]


def is_workbook(data: bytes) -> bool:
    """By its first bytes."""
    return data.startswith((b"PK\x03\x04", _OLE))


def read_grid(data: bytes, sheet: str | None = None) -> Grid:
    """The sheet of this name, else the only one that has anything in it. Raises SheetError."""
    if data.startswith(_OLE):
        if _ENCRYPTED in data:
            raise locked()
        raise SheetError(
            "This is a workbook of the old kind (.xls).", "Save it as .xlsx, and name that file."
        )
    container = Container(data)
    name, marks = _chosen(container, sheet)
    if marks.filled > MOST_ROWS:
        raise SheetError(
            f"The sheet {name} has {marks.filled:,} rows; {MOST_ROWS:,} are the most that are read.",
            "Split it into several.",
        )
    if marks.height * marks.width > MOST_CELLS:
        raise SheetError(
            f"The sheet {name} reaches to {column_name(marks.width)}{marks.height}: something stands far from the "
            "table.",
            "Clear what lies below and beside the table, and save it again.",
        )
    container.refuse_too_large()
    return Grid(
        sheet=name,
        rows=_rows(rows_of(data, name), marks),
        width=marks.width,
        merged=marks.merged,
        hidden=marks.hidden,
        faults=marks.faults,
    )


def _chosen(container: Container, sheet: str | None) -> tuple[str, Marks]:
    """The sheet that is meant, and its marks."""
    is_ods = ods.CONTENT in container.names
    if is_ods:
        ods.refuse_password(container)
        names = ods.sheets_of(container)
        find = {name: name for name in names}
    else:
        find = xlsx.sheets_of(container)
        names = list(find)
    if not names:
        raise SheetError("The workbook has no sheet.", "Name another file.")
    if sheet is not None and sheet not in find:
        raise SheetError(
            f"The workbook has no sheet `{sheet}`.", f"It has {_named(names)}.", about_sheet=True
        )
    of = ods.marks_of if is_ods else xlsx.marks_of
    if sheet is not None:
        return sheet, of(container, find[sheet])
    filled = [(name, marks) for name in names if (marks := of(container, find[name])).filled]
    if len(filled) > 1:
        raise SheetError(
            f"The workbook has several sheets: {_named([name for name, _ in filled])}.",
            "Say which one has the rows: `sheet:` beside `from:` in the manifest, or --sheet.",
            about_sheet=True,
        )
    return filled[0] if filled else (names[0], Marks())


def _named(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _rows(rows: Iterator[list[Any]], marks: Marks) -> Iterator[tuple[int, list[str]]]:
    for row, values in enumerate(rows, start=1):
        cells = [_text(value, row, column, marks) for column, value in enumerate(values, start=1)]
        if any(map(str.strip, cells)):
            yield row, cells


def _text(value: Any, row: int, column: int, marks: Marks) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value, row, column, marks)
    return "" if value is None else str(value[0])


def _number(value: float, row: int, column: int, marks: Marks) -> str:
    """As it is shown; a fault where that is not what was typed."""
    place = key(row, column)
    code, shown = marks.formats.get(place, ""), marks.texts.get(place)
    if is_scientific(code) or (shown is not None and SCIENTIFIC_TEXT.fullmatch(shown)):
        marks.faults.append(
            CellFault(
                row,
                column,
                f"The spreadsheet has made a number of what was typed, and shows it like {value:.2E}.",
                _TYPE_AS_TEXT,
            )
        )
    elif is_rounded(value):
        marks.faults.append(
            CellFault(
                row,
                column,
                f"The number {number_text(float(value))} has more digits than a spreadsheet keeps: the last ones "
                "are not those that were typed.",
                _TYPE_AS_TEXT,
            )
        )
    return number_text(value, code) if shown is None else shown
