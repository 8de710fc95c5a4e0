"""CSV text -> rows shaped like the jobs of a manifest, strictly.

The header names a job's fields (`speech.text` for nested ones); every other column becomes a var under its heading
as written. The delimiter is the one of comma, semicolon and tab that the header fits best. An empty cell means *not
given*. Blank lines are skipped. `tags` are split at `|`, or at commas where a cell has no `|`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.headings import Heading, read_headings
from manifest_runner.manifest.schemas import field_names, nested_fields
from manifest_runner.manifest.source import CsvSource, ValuePath
from manifest_runner.models import Location, Problem

DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class _Record:
    line: int  # where it begins
    cells: list[str]


def read_csv(text: str, file: str, *, templates: Sequence[str] = ()) -> tuple[CsvSource, list[Problem]]:
    """The rows, and the problems that did not stop the reading. Raises ManifestError for what did.

    `templates` are the texts outside the file that are filled in from its columns.
    """
    delimiter = find_delimiter(text)
    records = _records(text, file, delimiter)
    header = next(records, None)
    if header is None:
        problem = Problem(
            location=Location(file=file, line=1),
            what="The file is empty.",
            mend="Its first line names the fields, such as `external_task_id,image,sound_file`.",
        )
        raise ManifestError([problem])
    headings, problems = read_headings(header.cells, file=file, line=header.line, texts=(*templates, text))
    if problems:  # without sound headings every row would complain of the same
        raise ManifestError(problems)
    return _rows(headings, records, file)


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


def _is_field(name: str) -> bool:
    parent, _, child = name.partition(".")
    return child in nested_fields().get(parent, ()) if child else name in field_names()


def _records(text: str, file: str, delimiter: str) -> Iterator[_Record]:
    """Records with the line each begins on. Blank lines are skipped: lines without any cell, or with blanks alone."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            opened = _last_opened_quote(text, line, reader.line_num, delimiter)
            raise ManifestError([_fault(str(exc), Location(file=file, line=opened))]) from None
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield _Record(line, cells)


def _rows(headings: list[Heading], records: Iterator[_Record], file: str) -> tuple[CsvSource, list[Problem]]:
    jobs: list[dict[str, Any]] = []
    lines: list[int] = []
    empty: dict[int, frozenset[str]] = {}
    problems: list[Problem] = []
    for record in records:
        if len(record.cells) != len(headings):
            problems.append(_wrong_width(record, len(headings), file))
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
    return CsvSource(file=file, data={"jobs": jobs}, lines=lines, columns=columns, empty=empty), problems


def _job(headings: list[Heading], cells: list[str]) -> dict[str, Any]:
    job: dict[str, Any] = {}
    for heading, cell in zip(headings, cells, strict=True):
        if not cell.strip():
            continue
        value: Any = split_tags(cell) if heading.path == ("tags",) else cell
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


def _wrong_width(record: _Record, expected: int, file: str) -> Problem:
    found = len(record.cells)
    cause = (
        "A text that holds the delimiter must stand in quotes." if found > expected else "Cells are missing."
    )
    return Problem(
        location=Location(file=file, line=record.line),
        what=f"The row has {found} cell{'s' if found != 1 else ''}, the header has {expected}.",
        mend=cause,
    )


def _fault(said: str, opened: Location) -> Problem:
    """What the reader stumbled over, at the line where the quote in question was opened."""
    if "field larger than field limit" in said:
        what = f"A cell is over {csv.field_size_limit() // 1024} KiB."
        mend = "Close the quote that opens it, or keep media in files and name them here."
    elif "unexpected end of data" in said:
        what, mend = (
            "A quote is opened here and never closed.",
            'Close it, or write "" for a quote in a text.',
        )
    else:
        what = "A quoted cell goes on after its closing quote."
        mend = 'Write "" for a quote in a text, and check that the quote before was closed.'
    return Problem(location=opened, what=what, mend=mend)


def _last_opened_quote(text: str, first: int, last: int, delimiter: str) -> int:
    """The line of the last quote that opens a cell within the bad record, which spans the lines given."""
    opened, quoted, starts = first, False, True
    for number, content in enumerate(io.StringIO(text, newline=""), start=1):
        if number > last:
            break
        if number < first:
            continue
        position = 0
        while position < len(content):
            sign, after = content[position], content[position + 1 : position + 2]
            if quoted and sign == '"' and after == '"':
                position += 1  # a doubled quote is a quote in the text
            elif quoted and sign == '"':
                quoted = False
                if after not in ("", delimiter, "\r", "\n"):
                    return opened
            elif starts and sign == '"' and not quoted:
                quoted, opened = True, number
            starts = not quoted and sign in (delimiter, "\r", "\n")
            position += 1
    return opened
