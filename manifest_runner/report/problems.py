"""problems.csv: the rows whose media can't be used, and no others, for whoever has to mend them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from manifest_runner.errors import NeedsPerson
from manifest_runner.models import Job, Problem
from manifest_runner.report.csv_file import ENCODING
from manifest_runner.report.putting import put
from manifest_runner.report.text import cell

NAME = "problems.csv"
_LONGEST = 200  # characters of a value: one can be a whole picture in Base64
_HEAD = ("line", "external_task_id", "columns", "problems", "what to do", "image", "sound_file")


def write_problems(problems: Sequence[Problem], jobs: Sequence[Job], folder: Path) -> Path:
    """Write a row for each job that has problems, in the jobs' order, with its vars. Raises NeedsPerson."""
    file = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        put(
            file,
            (
                line.encode(ENCODING if number == 0 else "utf-8")
                for number, line in enumerate(_lines(problems, jobs))
            ),
        )
    except OSError as error:
        raise NeedsPerson(
            f"{file} can't be written: {error.strerror or error}.", mend="Check the folder and its disk."
        ) from None
    return file


def forget_problems(folder: Path) -> None:
    """There are none any more: a list of an earlier look would mislead. Nothing happens where it can't be removed."""
    file = folder / NAME
    try:
        if file.is_file() and not file.is_symlink() and _is_ours(file):
            file.unlink()
    except OSError:
        return


def _is_ours(file: Path) -> bool:
    head = ",".join(_HEAD).encode(ENCODING)
    with file.open("rb") as found:
        return found.read(len(head)) == head


def _lines(problems: Sequence[Problem], jobs: Sequence[Job]) -> Iterator[str]:
    of: dict[str | None, list[Problem]] = {}
    for problem in problems:
        of.setdefault(problem.job, []).append(problem)
    wrong = [job for job in jobs if job.external_task_id in of]
    names = list(dict.fromkeys(name for job in wrong for name in job.vars))
    yield _line([*_HEAD, *(f"var.{name}" for name in names)])
    for job in wrong:
        found = of[job.external_task_id]
        yield _line(
            [
                str(job.location.line or ""),
                job.external_task_id,
                _joined((_column(problem) for problem in found), ", "),
                _joined((problem.what for problem in found), " "),
                _joined((problem.mend for problem in found), " "),
                _shortened(job.image),
                _shortened(job.sound_file or ""),
                *(job.vars.get(name, "") for name in names),
            ]
        )


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
