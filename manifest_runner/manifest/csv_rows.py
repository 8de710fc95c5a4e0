"""CSV text -> rows shaped like the jobs of a manifest, strictly.

The header names a job's fields (`speech.text` for nested ones); every other column becomes a var under its heading
as written. The delimiter is the one of comma, semicolon and tab that the header fits best. An empty cell means *not
given*. Blank lines are skipped. `tags` are split at `|`, or at commas where a cell has no `|`; `preview.mouth` holds
four numbers.
"""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.csv_places import Cell, cells_in
from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.headings import (
    LOOKED_AT,
    SAY_WHERE,
    Heading,
    columns_by_name,
    header_below,
    meant_by,
    read_headings,
    recognised,
)
from manifest_runner.manifest.layout import Layout
from manifest_runner.manifest.sheet import Rows
from manifest_runner.manifest.source import TableSource
from manifest_runner.manifest.text import shown
from manifest_runner.models import Location, Problem

DELIMITERS = (",", ";", "\t")
MOST_COLUMNS = 1000  # each is looked at for what it may have been meant to be

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_BLOCK = 500  # lines that are read together
_AS_USUAL = Layout()


class _Record(NamedTuple):
    line: int  # where it begins
    cells: list[str]
    text: str  # as it is written
    lines: int  # how many it takes
    start: int  # where it stands among the bytes of the file
    end: int


def read_csv(
    text: str, file: str, *, templates: Sequence[str] = (), layout: Layout = _AS_USUAL
) -> tuple[TableSource, list[Problem]]:
    """The rows, and the problems that did not stop the reading. Raises ManifestError for what did.

    `templates` are the texts outside the file that are filled in from its columns.
    """
    data = text.encode()
    delimiter = find_delimiter(text, layout.header_row or 1)
    header = _header(data, file, delimiter, layout.header_row)
    if len(header.cells) > MOST_COLUMNS:
        raise ManifestError([_too_wide(header, file, delimiter)])
    headings, problems = read_headings(
        header.cells,
        places=(_at(cell, file) for cell in cells_in(header.text, header.line, delimiter)),
        texts=(*templates, text),
        meanings=layout.columns,
    )
    if problems:  # without sound headings every row would complain of the same
        raise ManifestError(problems)
    rows = Rows(data, delimiter, headings, LISTS)
    lines, problems = _read(data, header, rows, headings, file=file, delimiter=delimiter)
    told = recognised(headings, layout.columns)
    source = TableSource(
        file=file,
        data={"jobs": rows},
        lines=lines,
        columns={heading.path: heading.text for heading in headings},
        header_line=header.line,
        notes=(told,) if told else (),
    )
    return source, problems


def _header(data: bytes, file: str, delimiter: str, header_row: int | None) -> _Record:
    """Raises ManifestError where there is none."""
    records = _records(data, file, delimiter)
    if header_row is not None:
        found = next((record for record in records if record.line >= header_row), None)
        if found is not None and found.line == header_row:
            return found
        what, line = f"No row begins on line {header_row}, where the header is said to be.", header_row
        mend = "Correct `header_row`: lines are counted from 1, blank ones too."
    elif first := list(islice(records, LOOKED_AT)):
        below = header_below([record.cells for record in first])
        if below is None:
            return first[0]
        line = first[below].line
        what, mend = (
            f"The first row is a title, it seems: line {line} has the fields.",
            SAY_WHERE.format(row=line),
        )
    else:
        what, line = "The file is empty.", 1
        mend = "Its first line names the fields, such as `external_task_id,image,sound_file`."
    raise ManifestError([Problem(location=Location(file=file, line=line, column=1), what=what, mend=mend)])


def find_delimiter(text: str, header_row: int = 1) -> str:
    """The delimiter under which the header, on this line or the first below it, names most of our fields, then most
    columns; a comma in doubt."""

    fields = columns_by_name()

    def fit(delimiter: str) -> tuple[int, int]:
        try:
            lines = islice((line[0] for line in _LINE.finditer(text)), header_row - 1, None)
            header = next(filter(None, csv.reader(lines, delimiter=delimiter)), [])
        except csv.Error:
            return -1, 0
        return sum(cell.strip() in fields or meant_by(cell) is not None for cell in header), len(header)

    return max(DELIMITERS, key=fit)  # max keeps the first of equals


def split_tags(cell: str) -> list[str]:
    """`a|b` and `a, b` are both two tags."""
    return [tag.strip() for tag in cell.split("|" if "|" in cell else ",") if tag.strip()]


def split_numbers(cell: str) -> list[str]:
    """`310, 440, 120, 50` and `310 440 120 50` are four numbers, whatever they are worth."""
    return cell.replace(",", " ").replace(";", " ").split()


LISTS: dict[tuple[str, ...], Callable[[str], list[str]]] = {
    ("tags",): split_tags,
    ("preview", "mouth"): split_numbers,
}


def _records(data: bytes, file: str, delimiter: str, start: int = 0, first: int = 1) -> Iterator[_Record]:
    """Records with the line each begins on. Blank lines are skipped: lines without any cell, or with blanks alone.

    The first begins at the byte `start`, which is that of the line `first`.
    """
    taken: list[str] = []
    reader = csv.reader(_noted(_lines(data, start), taken), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + first
        taken.clear()
        try:
            read = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            written = cells_in("".join(taken), line, delimiter)
            raise ManifestError([_fault(str(exc), written, file)]) from None
        text = "".join(taken)
        end = start + len(text.encode())
        if len(read) > 1 or (read and read[0].strip()):
            yield _Record(line, read, text, len(taken), start, end)
        start = end


def _lines(data: bytes, start: int) -> Iterator[str]:
    stream = io.BytesIO(data)  # shares them
    stream.seek(start)
    return io.TextIOWrapper(stream, encoding="utf-8", newline="")  # a StringIO takes four times the room


def _noted(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    """The lines, each added to `taken` when the reader takes it."""
    for line in lines:
        taken.append(line)
        yield line


def _read(
    data: bytes, header: _Record, rows: Rows, headings: list[Heading], *, file: str, delimiter: str
) -> tuple[array[int], list[Problem]]:
    """Tells `rows` of every record that is one. The lines they begin on, and the problems with the others."""
    lines = array("L")
    problems: list[Problem] = []
    start, line = header.end, header.line + header.lines
    for ends in _even_blocks(data, start, len(headings), delimiter):
        rows.add((start, *ends[:-1]), ends)
        lines.extend(range(line, line + len(ends)))
        start, line = ends[-1], line + len(ends)
    for record in _records(data, file, delimiter, start, line):
        if len(record.cells) != len(headings):
            problems.append(_wrong_width(record, headings, file, delimiter))
            if len(problems) >= ENOUGH:
                raise ManifestError(problems)
        elif any(map(str.strip, record.cells)):  # not `,,,`: what spreadsheets leave below a table
            rows.add((record.start,), (record.end,))
            lines.append(record.line)
    return lines, problems


def _even_blocks(data: bytes, start: int, width: int, delimiter: str) -> Iterator[list[int]]:
    """Blocks of lines each of which surely is a row, as long as there are such: the bytes that they end at."""
    lines = _lines(data, start)
    while block := list(islice(lines, _BLOCK)):
        try:
            records = list(csv.reader(block, delimiter=delimiter, strict=True))
        except csv.Error:  # a fault, or a cell with a line break at the end of the block
            return
        if len(records) != len(block) or not all(
            len(record) == width and any(map(str.strip, record)) for record in records
        ):
            return
        texts = block if "".join(block).isascii() else map(str.encode, block)
        ends = list(accumulate(map(len, texts), initial=start))
        start = ends[-1]
        yield ends[1:]


def _too_wide(header: _Record, file: str, delimiter: str) -> Problem:
    """Told at the first column that is too many."""
    cell = next(islice(cells_in(header.text, header.line, delimiter), MOST_COLUMNS, None))
    return Problem(
        location=_at(cell, file),
        what=f"The sheet has {len(header.cells):,} columns; {MOST_COLUMNS:,} are the most that are read.",
        mend="Take away those that no job needs: often they are empty ones that the spreadsheet added.",
    )


def _wrong_width(record: _Record, headings: list[Heading], file: str, delimiter: str) -> Problem:
    """Told at the first cell that is too many, or under the first heading that has no cell."""
    found, expected = len(record.cells), len(headings)
    if found > expected:
        written = cells_in(record.text, record.line, delimiter)
        location = _at(next(islice(written, expected, None)), file)
        cause = "A text that holds the delimiter must stand in quotes."
    else:
        location = Location(file=file, line=record.line, column=shown(headings[found].text))
        cause = "Cells are missing."
    return Problem(
        location=location,
        what=f"The row has {found} cell{'s' if found != 1 else ''}, the header has {expected}.",
        mend=cause,
    )


def _fault(said: str, written: Iterator[Cell], file: str) -> Problem:
    """What the reader stumbled over, told where the cell in question begins."""
    limit = csv.field_size_limit()
    if "field larger than field limit" in said:
        begins = next(cell for cell in written if cell.length > limit)
        what = f"A cell is over {limit // 1024} KiB."
        mend = "Close the quote that opens it, or keep media in files and name them here."
        return Problem(location=_at(begins, file), what=what, mend=mend)
    if "unexpected end of data" in said:
        what, mend = (
            "A quote is opened here and never closed.",
            'Close it, or write "" for a quote in a text.',
        )
    else:
        what = "A quoted cell goes on after its closing quote."
        mend = 'Write "" for a quote in a text, and check that the quote before was closed.'
    (opened,) = deque((cell for cell in written if cell.quoted), maxlen=1)
    return Problem(location=_at(opened, file), what=what, mend=mend)


def _at(cell: Cell, file: str) -> Location:
    return Location(file=file, line=cell.line, column=cell.column)
