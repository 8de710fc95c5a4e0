"""CSV text -> rows shaped like the jobs of a manifest, strictly.

The header names a job's fields (`speech.text` for nested ones); every other column becomes a var under its heading
as written. The delimiter is the one of comma, semicolon and tab that the header fits best. An empty cell means *not
given*. Blank lines are skipped. `tags` are split at `|`, or at commas where a cell has no `|`; `preview.mouth` holds
four numbers.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.csv_places import Cell, cells_in
from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.headings import Heading, read_headings
from manifest_runner.manifest.schemas import field_names, nested_fields
from manifest_runner.manifest.source import CsvSource, ValuePath
from manifest_runner.manifest.text import shown
from manifest_runner.models import Location, Problem

DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class _Record:
    line: int  # where it begins
    cells: list[str]
    text: str  # as it is written


def read_csv(text: str, file: str, *, templates: Sequence[str] = ()) -> tuple[CsvSource, list[Problem]]:
    """The rows, and the problems that did not stop the reading. Raises ManifestError for what did.

    `templates` are the texts outside the file that are filled in from its columns.
    """
    delimiter = find_delimiter(text)
    records = _records(text, file, delimiter)
    header = next(records, None)
    if header is None:
        problem = Problem(
            location=Location(file=file, line=1, column=1),
            what="The file is empty.",
            mend="Its first line names the fields, such as `external_task_id,image,sound_file`.",
        )
        raise ManifestError([problem])
    headings, problems = read_headings(
        header.cells,
        file=file,
        places=cells_in(header.text, header.line, delimiter),
        texts=(*templates, text),
    )
    if problems:  # without sound headings every row would complain of the same
        raise ManifestError(problems)
    return _rows(headings, records, file, header.line, delimiter)


def find_delimiter(text: str) -> str:
    """The delimiter under which the header names most of our fields, then most columns; a comma in doubt."""

    def fit(delimiter: str) -> tuple[int, int]:
        try:
            header = next(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)), [])
        except csv.Error:
            return -1, 0
        return sum(_is_field(cell.strip()) for cell in header), len(header)

    return max(DELIMITERS, key=fit)  # max keeps the first of equals


def split_tags(cell: str) -> list[str]:
    """`a|b` and `a, b` are both two tags."""
    return [tag.strip() for tag in cell.split("|" if "|" in cell else ",") if tag.strip()]


def split_numbers(cell: str) -> list[str]:
    """`310, 440, 120, 50` and `310 440 120 50` are four numbers, whatever they are worth."""
    return cell.replace(",", " ").replace(";", " ").split()


_LISTS: dict[tuple[str, ...], Callable[[str], list[str]]] = {
    ("tags",): split_tags,
    ("preview", "mouth"): split_numbers,
}


def _is_field(name: str) -> bool:
    parent, _, child = name.partition(".")
    return child in nested_fields().get(parent, ()) if child else name in field_names()


def _records(text: str, file: str, delimiter: str) -> Iterator[_Record]:
    """Records with the line each begins on. Blank lines are skipped: lines without any cell, or with blanks alone."""
    taken: list[str] = []
    reader = csv.reader(_noted(io.StringIO(text, newline=""), taken), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        taken.clear()
        try:
            read = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            written = cells_in("".join(taken), line, delimiter)
            raise ManifestError([_fault(str(exc), written, file)]) from None
        if len(read) > 1 or (read and read[0].strip()):
            yield _Record(line, read, "".join(taken))


def _noted(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    """The lines, each added to `taken` when the reader takes it."""
    for line in lines:
        taken.append(line)
        yield line


def _rows(
    headings: list[Heading], records: Iterator[_Record], file: str, header_line: int, delimiter: str
) -> tuple[CsvSource, list[Problem]]:
    jobs: list[dict[str, Any]] = []
    lines: list[int] = []
    empty: dict[int, frozenset[str]] = {}
    problems: list[Problem] = []
    for record in records:
        if len(record.cells) != len(headings):
            problems.append(_wrong_width(record, headings, file, delimiter))
            if len(problems) >= ENOUGH:
                raise ManifestError(problems)
            continue
        if not any(cell.strip() for cell in record.cells):
            continue  # `,,,`: what spreadsheets leave below a table
        if missing := _empty_vars(headings, record.cells):
            empty[len(jobs)] = missing
        jobs.append(_job(headings, record.cells))
        lines.append(record.line)
    columns: dict[ValuePath, str] = {heading.path: heading.text for heading in headings}
    source = CsvSource(
        file=file, data={"jobs": jobs}, lines=lines, columns=columns, header_line=header_line, empty=empty
    )
    return source, problems


def _job(headings: list[Heading], cells: list[str]) -> dict[str, Any]:
    job: dict[str, Any] = {}
    for heading, cell in zip(headings, cells, strict=True):
        if not cell.strip():
            continue
        value: Any = _LISTS[heading.path](cell) if heading.path in _LISTS else cell
        if len(heading.path) == 1:
            job[heading.path[0]] = value
        else:
            job.setdefault(heading.path[0], {})[heading.path[1]] = value
    return job


def _empty_vars(headings: list[Heading], cells: list[str]) -> frozenset[str]:
    pairs = zip(headings, cells, strict=True)
    return frozenset(
        heading.text for heading, cell in pairs if heading.path[0] == "vars" and not cell.strip()
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
