"""The jobs of a campaign against one another: one id a job, one file a job.

Nearly always nothing is found, and to see that takes no more than counting: `Crowd` does it in little memory. Only
where it can't vouch for all of them the jobs are compared one by one, by `compare`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from manifest_runner.manifest.identity import attempt_clashes, attempt_of, repeats
from manifest_runner.manifest.jobs import Completed
from manifest_runner.manifest.outputs import clashes, folders_of, same_file_key
from manifest_runner.manifest.source import Source
from manifest_runner.manifest.text import shown
from manifest_runner.models import Location, Problem


@dataclass(frozen=True, slots=True)
class Named:
    """What a row's job is called, and where its files go."""

    row: int
    external_task_id: str | None
    made: bool
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, completed: Completed) -> Named:
        return cls(completed.row.number, completed.external_task_id, completed.made, completed.outputs)


@dataclass(slots=True)
class Crowd:
    """The ids and files of many jobs as hashes: where all of these differ, so do the names."""

    _ids: array[int] = field(default_factory=lambda: array("q"))
    _files: array[int] = field(default_factory=lambda: array("q"))
    _folders: set[str] = field(default_factory=set)
    _attempts_of: list[str] = field(
        default_factory=list
    )  # ids whose later attempt's name is taken, if they exist

    def add(self, ids: Iterable[str], outputs: Iterable[str]) -> None:
        ids, keys = list(ids), list(map(same_file_key, outputs))
        self._ids.extend(map(hash, ids))
        self._attempts_of += [attempt[0] for name in ids if (attempt := attempt_of(name))]
        self._files.extend(map(hash, keys))
        for folder in {key.rpartition("/")[0] for key in keys} - self._folders - {""}:
            self._folders.update(folders_of(folder), (folder,))

    def surely_apart(self) -> bool:
        """Whether no two jobs share an id or a file. False says nothing."""
        ids, files = set(self._ids), set(self._files)
        return (
            len(ids) == len(self._ids)
            and len(files) == len(self._files)
            and ids.isdisjoint(map(hash, self._attempts_of))
            and files.isdisjoint(map(hash, self._folders))
        )


def compare(jobs: Sequence[Named], source: Source) -> Iterator[Problem]:
    """Every problem that two jobs have with each other, told at the later of the two."""
    named = [job for job in jobs if job.external_task_id is not None]
    ids = [job.external_task_id or "" for job in named]
    for repeat in repeats(ids):
        yield _repeated(named[repeat.earlier], named[repeat.later], source)
    for job, other, attempt in attempt_clashes(ids):
        yield _attempt(named[job], named[other], attempt, source)
    yield from _same_files(jobs, source)


def _repeated(first: Named, second: Named, source: Source) -> Problem:
    line = _line(first, second, source)
    if first.made and second.made:
        what = f"This job asks for the same video as the one on {line}, and neither has an id."
        mend = "Remove one, or give each an external_task_id to have it made and paid twice."
    else:
        what = f"The id `{second.external_task_id}` is already that of the job on {line}."
        mend = "Give each job an id of its own."
    location = _where(second, source, "external_task_id")
    return Problem(location=location, what=what, mend=mend, job=second.external_task_id)


def _attempt(job: Named, other: Named, attempt: int, source: Source) -> Problem:
    line = _line(other, job, source)
    return Problem(
        location=_where(job, source, "external_task_id"),
        what=f"The id `{job.external_task_id}` is kept for attempt {attempt} of `{other.external_task_id}` on {line}.",
        mend="Rename one of the two.",
        job=job.external_task_id,
    )


def _same_files(jobs: Sequence[Named], source: Source) -> Iterator[Problem]:
    placed = [(job, path) for job in jobs for path in job.outputs]
    for clash in clashes([path for _, path in placed]):
        (first, there), (second, here) = placed[clash.earlier], placed[clash.later]
        if first.external_task_id == second.external_task_id:
            continue  # reported as a repeated id; mending that mends this
        line = _line(first, second, source)
        what = f"The output `{shown(here)}` is the same file as `{shown(there)}` of the job on {line}."
        mend = "Give each job a path of its own; a difference in case alone is none."
        if clash.folder:
            what = f"`{shown(here)}` and `{shown(there)}` (on {line}) can't both be: one is a folder of the other."
            mend = "Rename one of the two."
        location = _where(second, source, "output")
        yield Problem(location=location, what=what, mend=mend, job=second.external_task_id)


def _where(job: Named, source: Source, *steps: str) -> Location:
    return source.where(("jobs", job.row, *steps))


def _line(of: Named, seen_from: Named, source: Source) -> str:
    there, here = _where(of, source), _where(seen_from, source)
    return f"line {there.line}" if there.file == here.file else str(there)
