"""A sheet of a workbook -> its rows, the place of each cell, and everything that is wrong with how it was filled in.

The rows are kept as CSV text, like those of a CSV file, and are gone on with in the same way.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import chain, islice
from pathlib import Path

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.csv_rows import LISTS, MOST_COLUMNS
from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.headings import (
    LOOKED_AT,
    SAY_WHERE,
    Heading,
    header_below,
    read_headings,
    recognised,
)
from manifest_runner.manifest.layout import Layout
from manifest_runner.manifest.sheet import Rows
from manifest_runner.manifest.source import TableSource, cell_address
from manifest_runner.manifest.text import CONTROL, name_of, shown
from manifest_runner.models import Location, Problem, Table
from manifest_runner.sheets import Grid, SheetError, column_name, column_of, read_grid

_DELIMITER = ","


def read_workbook(
    data: bytes, file: str, *, templates: Sequence[str] = (), layout: Layout, sheet_at: Location | None = None
) -> tuple[TableSource, list[Problem]]:
    """The rows, and the problems that did not stop the reading. Raises ManifestError for what did.

    `templates` are the texts outside the file that are filled in from its columns; `sheet_at`: where the sheet is
    named.
    """
    try:
        grid = read_grid(data, layout.sheet)
        return _Reading(grid, file, templates, layout).source()
    except SheetError as error:
        about = sheet_at if error.about_sheet and sheet_at is not None else Location(file=file)
        raise ManifestError([Problem(location=about, what=error.what, mend=error.mend)]) from None


class _Reading:
    """One sheet on its way into rows."""

    def __init__(self, grid: Grid, file: str, templates: Sequence[str], layout: Layout) -> None:
        self._grid = grid
        self._file = file
        self._templates = templates
        self._layout = layout
        self._problems: list[Problem] = []
        self._columns: list[int] = []  # those of the table, from 0
        self._bare: set[int] = set()  # those without a heading
        self._header_row = 0
        self._rest: Iterator[tuple[int, list[str]]] = iter(())  # the rows below the header

    def source(self) -> tuple[TableSource, list[Problem]]:
        """Raises ManifestError, SheetError."""
        headings = self._headings(self._grid.rows)
        untold = {fault.row for fault in self._grid.faults if fault.column - 1 in self._columns}
        out, ends = StringIO(newline=""), array("L")
        writer = csv.writer(out, lineterminator="\r\n")
        data, lines = bytearray(), array("L")
        for number, cells in self._rest:
            table = [cells[column] for column in self._columns]
            self._look(number, cells, table)
            if number in untold or not any(map(str.strip, table)):
                continue  # what a row lacks whose cells don't tell is told with the cells
            writer.writerow(table)
            data += out.getvalue().encode()
            out.seek(0)
            out.truncate()
            ends.append(len(data))
            lines.append(number)
        self._faults()
        kept = Rows(bytes(data), _DELIMITER, headings, LISTS)
        kept.add([0, *ends[:-1]] if ends else [], ends)
        source = TableSource(
            file=self._file,
            data={"jobs": kept},
            lines=lines,
            columns={heading.path: heading.text for heading in headings},
            header_line=self._header_row,
            sheet=self._grid.sheet,
            letters={
                heading.path: column_name(column + 1)
                for heading, column in zip(headings, self._columns, strict=True)
            },
            notes=tuple(self._notes(headings)),
            table=Table(
                file=Path(self._file),
                sheet=self._grid.sheet,
                header_row=self._header_row,
                width=self._grid.width,
                headings=tuple(heading.text for heading in headings),
            ),
        )
        return source, self._problems

    def _headings(self, rows: Iterator[tuple[int, list[str]]]) -> list[Heading]:
        """Raises ManifestError."""
        wanted = self._layout.header_row
        first = list(islice(rows, LOOKED_AT)) if wanted is None else []
        if below := header_below([cells for _, cells in first]):
            row = first[below][0]
            raise self._stop(
                f"The first row is a title, it seems: row {row} has the fields.", SAY_WHERE.format(row=row), 1
            )
        self._rest = chain(first[1:], rows)
        number, cells = next(
            (row for row in chain(first, rows) if wanted is None or row[0] >= wanted), (0, [])
        )
        if number == 0 and wanted is None:
            raise self._stop(
                "The sheet is empty.",
                "Its first row names the fields, such as `external_task_id`, `image` and `sound_file`.",
            )
        if wanted is not None and number != wanted:
            raise self._stop(
                f"Row {wanted}, where the header is said to be, is empty.", "Correct `header_row`.", wanted
            )
        self._header_row = number
        self._columns = [column for column, cell in enumerate(cells) if cell.strip()]
        self._bare = {column for column, cell in enumerate(cells) if not cell.strip()}
        if len(self._columns) > MOST_COLUMNS:
            raise self._stop(
                f"The sheet has {len(self._columns):,} columns; {MOST_COLUMNS:,} are the most that are read.",
                "Take away those that no job needs.",
                number,
            )
        headings, problems = read_headings(
            [cells[column] for column in self._columns],
            places=[self._at(number, column) for column in self._columns],
            texts=self._templates,
            meanings=self._layout.columns,
        )
        if problems:
            raise ManifestError(problems)
        return headings

    def _look(self, number: int, cells: list[str], table: list[str]) -> None:
        """Add what is wrong with how a row is written."""
        for column in [column for column in self._bare if cells[column].strip()]:
            self._bare.discard(column)  # told once
            self._complain(
                number,
                column,
                f"Column {column_name(column + 1)} has no heading, and `{shown(cells[column])}` in it.",
                f"Name it in row {self._header_row}, or clear it.",
            )
        if bad := CONTROL.search("".join(table)):
            column = next(column for column in self._columns if bad[0] in cells[column])
            self._complain(number, column, f"The cell holds {name_of(bad[0])}.", "Type it anew.")

    def _faults(self) -> None:
        """What the file says of cells: of those of the table, from its header on."""
        table = set(self._columns)
        for fault in self._grid.faults:
            if fault.row >= self._header_row and fault.column - 1 in table:
                self._complain(fault.row, fault.column - 1, fault.what, fault.mend)
        for reference in self._grid.merged:
            if self._concerns(reference):
                first, _, _ = reference.partition(":")
                self._problems.append(
                    Problem(
                        location=Location(
                            file=self._file, line=_row(first), cell=cell_address(self._grid.sheet, reference)
                        ),
                        what="These cells are merged: which rows their value belongs to can't be told.",
                        mend="Unmerge them, and fill each in.",
                        kind="merged cells",
                    )
                )

    def _concerns(self, reference: str) -> bool:
        """Whether a merged range touches the table."""
        first, _, last = reference.partition(":")
        columns = range(column_of(first) - 1, column_of(last or first))
        return _row(last or first) >= self._header_row and any(column in columns for column in self._columns)

    def _complain(self, row: int, column: int, what: str, mend: str) -> None:
        if len(self._problems) >= ENOUGH:
            raise ManifestError(self._problems)
        self._problems.append(Problem(location=self._at(row, column), what=what, mend=mend))

    def _at(self, row: int, column: int) -> Location:
        return Location(
            file=self._file,
            line=row,
            column=column + 1,
            cell=cell_address(self._grid.sheet, f"{column_name(column + 1)}{row}"),
        )

    def _notes(self, headings: Sequence[Heading]) -> Iterator[str]:
        if told := recognised(headings, self._layout.columns):
            yield told
        hidden = [row for row in self._grid.hidden if row > self._header_row]
        if hidden:
            rows = "1 row is" if len(hidden) == 1 else f"{len(hidden):,} rows are"
            yield (
                f"{rows} hidden in the sheet {shown(self._grid.sheet)} (the first: row {hidden[0]:,}): what they ask "
                "for is made, too."
            )

    def _stop(self, what: str, mend: str, row: int | None = None) -> ManifestError:
        cell = cell_address(self._grid.sheet, f"{row or 1}")
        return ManifestError(
            [Problem(location=Location(file=self._file, line=row, cell=cell), what=what, mend=mend)]
        )


def _row(address: str) -> int:
    digits = address.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0
