"""What a sheet tells beside the values of its cells: how numbers look, which rows are hidden, what is merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

MOST_COLUMNS = 16_384
"""What a sheet of a workbook can have. Nothing stands beyond it."""


class CellFault(NamedTuple):
    """A cell that can't be read as what was meant. Rows and columns count from 1."""

    row: int
    column: int
    what: str
    mend: str


@dataclass(slots=True)
class Marks:
    """`formats`: how the number in a cell is shown, as the workbook's code for it; `texts`: what is shown. A workbook
    has the one or the other.

    `height` and `width` are those of the part that has anything in it.
    """

    height: int = 0
    width: int = 0
    filled: int = 0  # rows that have anything in them
    hidden: list[int] = field(default_factory=list)  # those of them that are hidden
    merged: list[str] = field(default_factory=list)  # B3:D3
    formats: dict[int, str] = field(default_factory=dict)  # by `key`
    texts: dict[int, str] = field(default_factory=dict)
    faults: list[CellFault] = field(default_factory=list)

    def fill(self, row: int, column: int) -> None:
        """There is something in this cell."""
        self.height = max(self.height, row)
        self.width = max(self.width, column)


def key(row: int, column: int) -> int:
    """A cell as one number: they are very many."""
    return row * (MOST_COLUMNS + 1) + column


def column_name(column: int) -> str:
    """`A` for 1, `Z` for 26, `AA` for 27."""
    name = ""
    while column > 0:
        column, letter = divmod(column - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def column_of(address: str) -> int:
    """The column of an address such as `AB12`. 0 where it has none."""
    return _column_number(address.rstrip("0123456789"))


@lru_cache(maxsize=MOST_COLUMNS)
def _column_number(name: str) -> int:
    number = 0
    for sign in name:
        if not "A" <= sign <= "Z":
            return 0
        number = number * 26 + ord(sign) - ord("A") + 1
    return number
