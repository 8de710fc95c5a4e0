"""The jobs of a campaign against one another: one id a job, one file a job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from manifest_runner.manifest.identity import attempt_clashes, repeats
from manifest_runner.manifest.jobs import Completed
from manifest_runner.manifest.outputs import clashes
from manifest_runner.manifest.text import shown
from manifest_runner.models import Location, Problem


def compare(results: Sequence[Completed]) -> Iterator[Problem]:
    """Every problem that two jobs have with each other, told at the later of the two."""
    named = [result for result in results if result.external_task_id is not None]
    ids = [result.external_task_id or "" for result in named]
    for repeat in repeats(ids):
        yield _repeated(named[repeat.earlier], named[repeat.later])
    for job, other, attempt in attempt_clashes(ids):
        yield _attempt(named[job], named[other], attempt)
    yield from _same_files(results)


def _repeated(first: Completed, second: Completed) -> Problem:
    line = _line(first.row.where(), second.row.where())
    if first.made and second.made:
        what = f"This job asks for the same video as the one on {line}, and neither has an id."
        mend = "Remove one, or give each an external_task_id to have it made and paid twice."
    else:
        what = f"The id `{second.external_task_id}` is already that of the job on {line}."
        mend = "Give each job an id of its own."
    return Problem(
        location=second.row.where("external_task_id"), what=what, mend=mend, job=second.external_task_id
    )


def _attempt(job: Completed, other: Completed, attempt: int) -> Problem:
    line = _line(other.row.where(), job.row.where())
    return Problem(
        location=job.row.where("external_task_id"),
        what=f"The id `{job.external_task_id}` is kept for attempt {attempt} of `{other.external_task_id}` on {line}.",
        mend="Rename one of the two.",
        job=job.external_task_id,
    )


def _same_files(results: Sequence[Completed]) -> Iterator[Problem]:
    placed = [(result, path) for result in results for path in result.outputs]
    for clash in clashes([path for _, path in placed]):
        (first, there), (second, here) = placed[clash.earlier], placed[clash.later]
        if first.external_task_id == second.external_task_id:
            continue  # reported as a repeated id; mending that mends this
        line = _line(first.row.where(), second.row.where())
        what = f"The output `{shown(here)}` is the same file as `{shown(there)}` of the job on {line}."
        mend = "Give each job a path of its own; a difference in case alone is none."
        if clash.folder:
            what = f"`{shown(here)}` and `{shown(there)}` (on {line}) can't both be: one is a folder of the other."
            mend = "Rename one of the two."
        yield Problem(location=second.row.where("output"), what=what, mend=mend, job=second.external_task_id)


def _line(of: Location, seen_from: Location) -> str:
    return f"line {of.line}" if of.file == seen_from.file else str(of)
