"""Where values come from: a file's plain values, and the way back from each value to its line.

A `Source` is what both readers hand over. Paths are tuples from the top of the manifest: `("jobs", 2, "prompt")`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from manifest_runner.manifest.sheet import Rows
from manifest_runner.manifest.text import shown
from manifest_runner.manifest.yaml_tree import Node, find
from manifest_runner.models import Location, Table, printable

ValuePath = tuple[str | int, ...]

_BARE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LONGEST_PATH = 120


class Source(Protocol):
    """Values with places. `data` is shaped like a manifest; a sheet fills in `jobs` alone."""

    @property
    def data(self) -> dict[str, Any]: ...

    def where(self, path: ValuePath, *, key: bool = False) -> Location:
        """The place of a value; of its key when `key`; of the nearest thing around it when it does not exist."""
        ...

    def where_row(self, number: int) -> Location:
        """The place of a row: what `where` says of it, and sooner, for every job asks it."""
        ...

    def rows(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        """The rows of these numbers, which are maps, in their order."""
        ...

    @property
    def var_columns(self) -> frozenset[str]:
        """The vars that have a column in the file, and so are names in every row of it, with or without a value."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about how it was read."""
        ...

    @property
    def table(self) -> Table | None:
        """Where its rows stand in a workbook."""
        ...


@dataclass(frozen=True)
class YamlSource:
    file: str
    root: Node
    data: dict[str, Any]

    def where(self, path: ValuePath, *, key: bool = False) -> Location:
        line, column = find(self.root, path, key=key)
        return Location(file=self.file, line=line, column=column, json_path=json_path(path))

    def where_row(self, number: int) -> Location:
        return self.where(("jobs", number))

    def rows(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        return (self.data["jobs"][number] for number in numbers)

    @property
    def var_columns(self) -> frozenset[str]:
        return frozenset()  # YAML has no columns

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def table(self) -> Table | None:
        return None


@dataclass(frozen=True)
class TableSource:
    """Rows of a sheet. `lines` are where they begin, `columns` the heading that each field's path came from.

    Of a workbook, `sheet` is the sheet's name, and `letters` are its columns, by the same paths. `notes` are sentences
    about how it was read.
    """

    file: str
    data: dict[str, Any]
    lines: Sequence[int]
    columns: Mapping[ValuePath, str]
    header_line: int = 1
    sheet: str | None = None
    letters: Mapping[ValuePath, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    table: Table | None = None

    def where(self, path: ValuePath, *, key: bool = False) -> Location:  # noqa: ARG002 - a cell has no key of its own
        line, named = self.header_line, None
        match path:
            case ("jobs", int(row), *steps):
                line = self.lines[row]
                named = next((part for part in _prefixes(steps) if part in self.columns), None)
        return Location(
            file=self.file,
            line=line,
            column=None if named is None else shown(self.columns[named]),
            json_path=json_path(path),
            cell=self._cell(line, "" if named is None else self.letters.get(named, "")),
        )

    def where_row(self, number: int) -> Location:
        line = self.lines[number]
        return Location(file=self.file, line=line, json_path=f"$.jobs[{number}]", cell=self._cell(line, ""))

    def _cell(self, line: int, letters: str) -> str | None:
        return None if self.sheet is None else cell_address(self.sheet, f"{letters}{line}")

    def rows(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        rows: Rows = self.data["jobs"]
        return rows.at(numbers)

    @cached_property
    def var_columns(self) -> frozenset[str]:
        return frozenset(heading for path, heading in self.columns.items() if path[0] == "vars")


def cell_address(sheet: str, cell: str) -> str:
    """`Spring!D17`; a name with other signs than letters and digits stands in quotes, as in a formula."""
    name = shown(sheet)
    return f"{name}!{cell}" if name.isalnum() else "'" + name.replace("'", "''") + f"'!{cell}"


def json_path(path: ValuePath) -> str:
    """`("jobs", 2, "prompt")` as `$.jobs[2].prompt`; a name with signs in it stands in quotes."""
    text = "$"
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _BARE_NAME.match(step):
            text += f".{step}"
        else:
            text += "['" + printable(step).replace("\\", "\\\\").replace("'", "\\'") + "']"
    return text if len(text) <= _LONGEST_PATH else text[: _LONGEST_PATH - 3] + "..."


def _prefixes(steps: Sequence[str | int]) -> list[ValuePath]:
    """A path and all the paths above it, the longest first."""
    return [tuple(steps[:length]) for length in range(len(steps), 0, -1)]
