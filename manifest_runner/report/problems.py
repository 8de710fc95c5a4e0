"""problems.csv: the rows that can't be used as they are, and no others, for whoever has to mend them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from manifest_runner.models import Job, Location, Problem
from manifest_runner.report.csv_file import ENCODING
from manifest_runner.report.putting import forget_ours, put_ours
from manifest_runner.report.text import cell

NAME = "problems.csv"
_LONGEST = 200  # characters of a value: one can be a whole picture in Base64
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{100,}", re.ASCII)
_URL = re.compile(r"[^?#]*?://+|(?:https?|file|data|ftp|blob):/*|//+", re.ASCII | re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[[^\]@]*\]|[^:@\[\]]*)(?::\d*)?", re.ASCII)
_Row = tuple[str, str]  # its file, and what tells it from the file's other rows
_HEAD = ("line", "external_task_id", "columns", "problems", "what to do", "image", "sound_file")


def write_problems(problems: Sequence[Problem], jobs: Sequence[Job], folder: Path) -> Path:
    """Write a row for each row of the manifest that has problems, in the order of its lines: `jobs` with their media
    and vars, the others with what is known of them.

    What lies there already is kept aside, unless it is a list of ours as we wrote it. Raises NeedsPerson.
    """
    file = folder / NAME
    put_ours(file, "".join(_lines(problems, jobs)).encode(ENCODING))
    return file


def forget_problems(folder: Path) -> None:
    """There are none any more: a list of an earlier look would mislead. One that a person has worked in stays.

    Nothing happens where it can't be removed.
    """
    try:
        forget_ours(folder / NAME)
    except OSError:
        return


def public_name(reference: str) -> str:
    """How a file for others may name a picture or a recording, whatever was written for one.

    Of what looks like a URL neither its query, which may carry a signature, nor a user and password; where it can't
    be told which part is which, nothing. Little of what looks like Base64.
    """
    text = reference.strip()
    lead = _URL.match(text)
    if lead is None:
        return f"{text[:20]}…" if _BASE64.fullmatch(text) else _shortened(text)
    if lead[0].lower().startswith("data:"):
        return "data:…"
    authority, slash, path = text[lead.end() :].partition("/")
    user, at, host = authority.rpartition("@")
    bare = re.split(r"[?#]", host)[0]
    if at and re.search(r"[?#]", user):
        return f"{lead[0]}…"
    if not _AUTHORITY.fullmatch(bare) and "@" in path:  # a password with a slash in it
        return f"{lead[0]}…"
    return _shortened(lead[0] + re.split(r"[?#]", host + slash + path)[0])


def _lines(problems: Sequence[Problem], jobs: Sequence[Job]) -> Iterator[str]:
    of: dict[_Row, list[Problem]] = {}
    for problem in problems:
        of.setdefault(_row(problem.location), []).append(problem)
    wrong = {row: job for job in jobs if (row := _row(job.location)) in of}
    names = list(dict.fromkeys(name for job in wrong.values() for name in job.vars))
    yield _line([*_HEAD, *(f"var.{name}" for name in names)])
    for row in sorted(of, key=lambda row: min(problem.location.line or 0 for problem in of[row])):
        found, job = of[row], wrong.get(row)
        yield _line(
            [
                str((job.location if job else found[0].location).line or ""),
                job.external_task_id if job else next((one.job for one in found if one.job), ""),
                _joined((_column(problem) for problem in found), ", "),
                _joined((problem.what for problem in found), " "),
                _joined((problem.mend for problem in found), " "),
                public_name(job.image) if job else "",
                public_name(job.sound_file or "") if job else "",
                *((job.vars.get(name, "") if job else "") for name in names),
            ]
        )


def _row(location: Location) -> _Row:
    """What stands outside the rows is told by its line."""
    return location.file, location.row or f"line {location.line}"


def _column(problem: Problem) -> str:
    """The column of the sheet, or the field of the manifest."""
    column, path = problem.location.column, problem.location.json_path
    return column if isinstance(column, str) else (path or "").rpartition(".")[2]


def _joined(texts: Iterator[str], separator: str) -> str:
    return separator.join(dict.fromkeys(text for text in texts if text))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _line(values: Sequence[str]) -> str:
    out = StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow([cell(value) for value in values])
    return out.getvalue()
