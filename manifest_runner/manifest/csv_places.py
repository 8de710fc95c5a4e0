"""Where in a CSV file each cell begins. The csv module tells lines alone, and a sheet's lines are long.

Only the header and what something is wrong with are looked through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_LINE_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Cell:
    """The beginning of a cell, counted from 1. `length` is that of its text, without quotes around it."""

    line: int
    column: int
    length: int
    quoted: bool


def cells_in(record: str, line: int, delimiter: str) -> Iterator[Cell]:
    """The cells of a record that begins on `line`, up to one that goes on after its closing quote."""
    start = line_start = 0
    while match := _cell(delimiter).match(record, start):
        inside, outside = match.groups()
        length = len(outside) if inside is None else len(inside.replace('""', '"'))
        yield Cell(line, start - line_start + 1, length, quoted=inside is not None)
        for found in _LINE_BREAK.finditer(record, start, match.end()):
            line, line_start = line + 1, found.end()
        if record[match.end() : match.end() + 1] != delimiter:
            return
        start = match.end() + 1


@cache
def _cell(delimiter: str) -> re.Pattern[str]:
    """A cell in quotes, be they closed or not, or one without."""
    return re.compile(rf'"((?:[^"]+|"")*)"?|([^{delimiter}\r\n]*)')
