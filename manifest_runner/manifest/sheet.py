"""The rows of a CSV file, kept as the text they are; each is taken apart when it is asked for.

A hundred thousand rows as maps of texts take twenty times the memory of the file they were read from.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from manifest_runner.manifest.headings import Heading
from manifest_runner.manifest.schemas import rule_of, typed

Reader = Callable[[str], Any]
"""From a cell to what it says: a text, a number, a list."""


@dataclass(frozen=True, slots=True)
class Column:
    """Which cell of a record gives which field of a job."""

    number: int
    path: tuple[str, ...]
    read: Reader | None  # None: the cell is the value


class Rows(Sequence[dict[str, Any]]):
    """Rows shaped like the jobs of a manifest, typed as the schema says. An empty cell is left out.

    `data` is the file's text as UTF-8, in which `add` says where each row stands.
    """

    def __init__(
        self,
        data: bytes,
        delimiter: str,
        headings: Sequence[Heading],
        lists: Mapping[tuple[str, ...], Reader],
    ) -> None:
        self._data = data
        self._delimiter = delimiter
        self._starts = array("L")
        self._ends = array("L")
        self.columns = [
            Column(number, heading.path, _reader(heading.path, lists.get(heading.path)))
            for number, heading in enumerate(headings)
        ]
        # Most are texts at the top of a job: that is told once, and not for each row.
        top = [column for column in self.columns if len(column.path) == 1 and column.read is None]
        of_vars = [column for column in self.columns if column.path[0] == "vars"]
        self._texts = [(column.number, column.path[0]) for column in top]
        self._vars = [(column.number, column.path[1]) for column in of_vars]
        at_hand = {column.number for column in (*top, *of_vars)}
        self._others = [column for column in self.columns if column.number not in at_hand]

    def add(self, starts: Iterable[int], ends: Iterable[int]) -> None:
        """Rows stand between these bytes of the data."""
        self._starts.extend(starts)
        self._ends.extend(ends)

    def cells(self, numbers: Iterable[int]) -> Iterator[list[str]]:
        """The cells of the rows of these numbers, as they are written."""
        data, starts, ends = self._data, self._starts, self._ends
        written = (data[starts[number] : ends[number]].decode() for number in numbers)
        return csv.reader(written, delimiter=self._delimiter, strict=True)

    def at(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        """The rows of these numbers, in their order."""
        return map(self._row, self.cells(numbers))

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.at(range(len(self)))

    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, key: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        numbers = range(len(self))[key]
        return next(self.at((numbers,))) if isinstance(numbers, int) else list(self.at(numbers))

    def _row(self, cells: list[str]) -> dict[str, Any]:
        row: dict[str, Any] = {name: cell for number, name in self._texts if (cell := cells[number]).strip()}
        if self._vars and (
            values := {name: cell for number, name in self._vars if (cell := cells[number]).strip()}
        ):
            row["vars"] = values
        for column in self._others:
            if not (cell := cells[column.number]).strip():
                continue
            value = column.read(cell) if column.read else cell
            if len(column.path) == 1:
                row[column.path[0]] = value
            else:
                row.setdefault(column.path[0], {})[column.path[1]] = value
        return row


def _reader(path: tuple[str, ...], split: Reader | None) -> Reader | None:
    rule = rule_of(path)
    if split is None and (path[0] == "vars" or rule.get("type") == "string"):
        return None
    return lambda cell: typed(split(cell) if split else cell, rule)
