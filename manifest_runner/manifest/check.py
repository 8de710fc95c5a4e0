"""The rows of a manifest, one by one and against one another: what is wrong with them, and the jobs of the sound ones.

Each row is held against the schema as it is written, loses its bad fields, and is completed to a job that is held
against the schema again. What is made of a row is forgotten at once: a manifest can have a hundred thousand. Blocks
of a sheet that are surely sound are not taken apart at all.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.compare import Crowd, Named, compare
from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.glance import Glance
from manifest_runner.manifest.jobs import Completed, complete
from manifest_runner.manifest.made import Jobs
from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.source import Source, TableSource
from manifest_runner.manifest.wording import Fault, faults_in
from manifest_runner.models import Job, Problem

_BLOCK = 500  # rows that are looked at together


@dataclass(frozen=True, slots=True)
class Checked:
    """The jobs of the sound rows, and how many of the rows' ids are ours."""

    jobs: Sequence[Job]
    made_ids: int


def check_rows(source: Source, common: Common, found: list[Problem]) -> Checked:
    """Looks at every row, and adds what is wrong to `found`.

    Raises ManifestError once nothing can be saved any more.
    """
    before, crowd, sound, made_ids = len(found), Crowd(), array("L"), 0
    rows = rows_of(source) or ()
    glance = Glance(source, common) if isinstance(source, TableSource) else None
    for start in range(0, len(rows), _BLOCK):
        block = range(start, min(start + _BLOCK, len(rows)))
        if glance and (seen := glance.at(block)) is not None:
            sound.extend(block)
            for names in seen:
                crowd.add(names.ids, names.outputs)
            continue
        for completed in _completed(source, common, block, found):
            crowd.add(filter(None, (completed.external_task_id,)), completed.outputs)
            made_ids += completed.made
            if completed.sound:
                sound.append(completed.row.number)
        if len(found) >= ENOUGH:
            del found[before:]
            _give_up(source, common, found)
    if not crowd.surely_apart():
        named = [Named.of(completed) for completed in _completed(source, common, range(len(rows)), [])]
        found += islice(compare(named, source), ENOUGH)
    jobs: Sequence[Job] = Jobs(source, common, range(len(sound)) if len(sound) == len(rows) else sound)
    if glance is None:
        jobs = tuple(jobs)  # the tree that they are made from is far larger than they are
    return Checked(jobs, made_ids)


def _completed(source: Source, common: Common, numbers: range, found: list[Problem]) -> Iterator[Completed]:
    """What comes of each row that is a map; the problems with all of them are added to `found`, up to ENOUGH."""
    for number, written in zip(numbers, source.rows(numbers), strict=True):
        bad: frozenset[str] = frozenset()
        if faults := faults_in("row", written, at=("jobs", number)):
            found += problems_of(faults, source)
            bad = frozenset(str(fault.path[2]) for fault in faults if len(fault.path) > 2)
        if isinstance(written, dict):
            data = {name: value for name, value in written.items() if name not in bad} if bad else written
            completed = complete(Row(number, data, source, bad), common)
            found += completed.problems
            yield completed
        if len(found) >= ENOUGH:
            return


def _give_up(source: Source, common: Common, found: list[Problem]) -> NoReturn:
    """Raises ManifestError for rows with too many problems: what is wrong with how they are written comes first."""
    rows = rows_of(source) or ()
    for number, written in enumerate(rows):
        found += problems_of(faults_in("row", written, at=("jobs", number)), source)
        stop_at_enough(found)
    for completed in _completed(source, common, range(len(rows)), []):
        found += completed.problems
        stop_at_enough(found)
    raise ManifestError([])


def rows_of(source: Source) -> Sequence[Any] | None:
    """The rows as they are written, be they maps or not; None where something else stands in their place."""
    jobs = source.data.get("jobs")
    return jobs if isinstance(jobs, Sequence) and not isinstance(jobs, str) else None


def stop_at_enough(found: list[Problem]) -> None:
    """Raises ManifestError once nothing can be saved any more. What was found is already in `found`."""
    if len(found) >= ENOUGH:
        raise ManifestError([])


def problems_of(faults: Iterable[Fault], source: Source) -> Iterator[Problem]:
    """The faults of a file's values, each with its place, and with the job that it is about."""
    for fault in faults:
        job: str | None = None
        match fault.path:
            case ("jobs", int(row), *_) if isinstance(written := source.data["jobs"][row], dict):
                name = written.get("external_task_id")
                job = name if isinstance(name, str) and len(name) <= 64 else None
        location = source.where(fault.path, key=fault.key)
        yield Problem(location=location, what=fault.what, mend=fault.mend, job=job)
