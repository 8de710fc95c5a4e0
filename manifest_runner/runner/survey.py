"""What is there, before anything is done: manifest, media, ledger and output folder -> the plan, and its enrolment.

The rows are taken in one pass, some hundred at a time. What is done as its row asks for is seen at a glance, by
what it was made from and by its file; the rest is decided with all that the ledger knows of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from manifest_runner.errors import ManifestError
from manifest_runner.ledger import JobRecord, Ledger, enrolment, queries
from manifest_runner.ledger.connection import sqlite_errors
from manifest_runner.manifest import Jobs, Sketch, jobs_at
from manifest_runner.media import DEFAULT_RATES, Preflight
from manifest_runner.models import Job, JobState, Manifest, Problem, Rates, utc_now
from manifest_runner.runner.decide import Action, Retry
from manifest_runner.runner.folder import FileState, OutputFolder
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.step import Step, Terms, is_open, orphan_of, step_of
from manifest_runner.runner.taken import Places, claimed, is_an_attempt

T = TypeVar("T")

_AT_REST = (Action.SKIP, Action.HOLD)


class Way(Protocol):
    """What happens to the manifest's rows while they are surveyed: a pass over them takes time."""

    def over(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Each job comes out when it is done with."""
        ...

    def note(self, sketch: Sketch, done: int) -> None:
        """Rows whose media have been looked at. So many are seen to be done, without being made into jobs."""
        ...


_ENROLLED_AT_ONCE = 2_000


def survey(
    manifest: Manifest,
    preflight: Preflight,
    connection: sqlite3.Connection | None,
    folder: Path,
    *,
    retry: Collection[Retry] = (),
    retry_ids: Collection[str] = (),
    rates: Rates = DEFAULT_RATES,
    way: Way | None = None,
    any_media: bool = False,
    only: Collection[int] | None = None,
) -> Plan:
    """The plan for this manifest, given the ledger (None when there is none yet) and the output folder. Its steps
    are made later: the connection stays in use.

    `only` the rows at these places, and what else is under way: the others are known to be there, and left alone.
    `way`: what else happens to each job on its way, such as a look at its media. Raises ManifestError for jobs that
    can't be sent as they are: their media (unless `any_media` will do), or an id that another campaign has.
    """
    terms = Terms(rates=rates, now=utc_now(), retry=retry, retry_ids=frozenset(retry_ids))
    surveyor = _Surveyor(manifest, preflight, connection, folder, terms)
    surveyor.look(manifest.jobs, way, only)
    problems = surveyor.problems
    if not any_media:
        problems += [one for one in preflight.problems if one.job in surveyor.bad_media]
    if problems:
        raise ManifestError(sorted(problems, key=lambda p: (p.location.file, p.location.line or 0)))
    return surveyor.plan


def plan_of_everything(jobs: Sequence[Job], preflight: Preflight, *, rates: Rates = DEFAULT_RATES) -> Plan:
    """What a run would do whose ledger knows nothing yet. Whatever can't be sent is planned all the same."""
    terms = Terms(rates=rates, now=utc_now())
    plan = Plan(jobs, preflight.of, lambda _: {}, terms)
    for position, job in enumerate(jobs):
        plan.take(position, step_of(job, preflight.of(job), None, terms))
    return plan


def enrol(ledger: Ledger, campaign: str, jobs: Sequence[Job], plan: Plan, held: Sequence[Step] = ()) -> None:
    """Make the plan's rows known to the ledger, in the manifest's order; forget those that it no longer names.

    `jobs` are the manifest's, and among them those that are `held` back from the plan.
    """
    if plan.withdraws:
        ledger.write_now(enrolment.withdraw, campaign, jobs)
    entries = _enrolments(jobs, plan, {step.external_task_id: step.changed for step in held})
    while chunk := list(islice(entries, _ENROLLED_AT_ONCE)):
        ledger.write_now(enrolment.enrol, campaign, chunk)


def _enrolments(
    jobs: Sequence[Job], plan: Plan, held: dict[str, tuple[str, ...]]
) -> Iterator[enrolment.Enrolment]:
    planned = plan.rows()
    meant = plan.meant
    rows = enumerate(jobs) if meant is None else zip(meant, jobs_at(jobs, meant), strict=True)
    for position, job in rows:
        kept = held.get(job.external_task_id)
        changed, expected = next(planned) if kept is None else (kept, None)
        yield enrolment.Enrolment(job=job, position=position, units_estimated=expected, changed=changed)


class _Surveyor:
    """One pass over the manifest: what is found goes into `plan` and `problems`."""

    def __init__(
        self,
        manifest: Manifest,
        preflight: Preflight,
        connection: sqlite3.Connection | None,
        folder: Path,
        terms: Terms,
    ) -> None:
        self._campaign = manifest.campaign
        self._preflight = preflight
        self._connection = connection
        self._folder = OutputFolder(folder)
        self._terms = terms

        def records_of(ids: Sequence[str]) -> dict[str, JobRecord]:
            return _records(connection, ids) if connection is not None else {}

        self.plan = Plan(manifest.jobs, preflight.of, records_of, terms)
        self.problems: list[Problem] = []
        self.bad_media: set[str] = set()  # the ids of what would be sent, if its media could be used
        self._places = Places(self._folder, lambda: self._read(queries.done_files, manifest.campaign) or ())
        self._listed = 0  # of the jobs on the ledger's list, those that the manifest names
        self._done = 0  # and of the jobs that it has as done

    def look(self, jobs: Sequence[Job], way: Way | None, only: Collection[int] | None = None) -> None:
        under_way = dict.fromkeys(self._read(queries.perhaps_under_way, self._campaign) or ())
        listed = self._read(queries.listed, self._campaign) or 0
        for start in range(0, len(jobs), queries.CHUNK):
            all_places = range(start, min(start + queries.CHUNK, len(jobs)))
            places: Sequence[int] = all_places
            if only is not None:
                places = self._meant(jobs, all_places, only, under_way)
            elif isinstance(jobs, Jobs) and self._connection is not None:
                places = self._not_done(jobs, all_places, way)
            some = jobs_at(jobs, places)
            if chunk := list(way.over(some) if way else some):
                self._take(places, chunk)
            for job in chunk if under_way else ():
                under_way.pop(job.external_task_id, None)
        self.plan.withdraws = self._listed < listed
        done = (self._read(queries.counts, self._campaign) or {}).get(JobState.DONE, 0)
        self.plan.gone = max(0, done - self._done)
        self._take_orphans(list(under_way))

    def _meant(
        self, jobs: Sequence[Job], places: range, only: Collection[int], under_way: Container[str]
    ) -> Sequence[int]:
        """Those of a few hundred places that are meant, or whose jobs are under way; the others are noted."""
        others = [place for place in places if place not in only]
        ids = [job.external_task_id for job in jobs_at(jobs, others)]
        for brief in (self._read(queries.briefs, ids) or {}).values():
            if brief.campaign == self._campaign and brief.external_task_id not in under_way:
                self._note(brief)
        left = {place for place, key in zip(others, ids, strict=True) if key not in under_way}
        meant = [place for place in places if place not in left]
        self.plan.mean(meant)
        return meant

    def _not_done(self, jobs: Jobs, places: range, way: Way | None) -> Sequence[int]:
        """The places of a few hundred rows of a sheet, without those that are surely done as they ask for: they are
        not even made into jobs."""
        sketches = jobs.sketches(places)
        if sketches is None:
            return places
        left: list[int] = []
        for sketch in sketches:
            briefs = self._read(queries.briefs, sketch.ids) or {}
            if not any(brief.state == JobState.DONE for brief in briefs.values()):
                left += sketch.numbers
                continue
            texts = self._preflight.plain_parts_texts(
                sketch.images, sketch.sounds, sketch.prompts, sketch.modes
            )
            left_before = len(left)
            for place, key, parts in zip(sketch.numbers, sketch.ids, texts, strict=True):
                if (brief := briefs.get(key)) is None or not self._surely_done(brief, parts):
                    left.append(place)
                else:
                    self._note(brief)
            if way:
                way.note(sketch, len(sketch.ids) - (len(left) - left_before))
        self.plan.skip(len(places) - len(left))
        return sorted(left)

    def _note(self, brief: queries.Brief) -> None:
        """A job of this campaign that the ledger knows, and the manifest names."""
        self._listed += brief.listed
        self._done += brief.state == JobState.DONE
        self.plan.know(brief.external_task_id)

    def _surely_done(self, brief: queries.Brief, parts: str | None) -> bool:
        """By the parts of what it was made from, as whoever decides compares them. They may be written in another way
        and still be equal: then it is looked at more closely."""
        return (
            brief.state == JobState.DONE
            and brief.campaign == self._campaign
            and parts is not None
            and brief.parts == parts
            and self._folder.state(brief) is FileState.THERE
        )

    def _take(self, places: Sequence[int], chunk: Sequence[Job]) -> None:
        """A few hundred rows: those that are done at a glance, the others with their records."""
        briefs = self._read(queries.briefs, [job.external_task_id for job in chunk]) or {}
        others: list[tuple[int, Job]] = []
        known: dict[str, FileState] = {}
        for place, job in zip(places, chunk, strict=True):
            if job.captions:
                self.plan.captioned.append(place)
            brief = briefs.get(job.external_task_id)
            if brief is None or brief.campaign != self._campaign:
                others.append((place, job))
                if brief is not None:
                    self.problems.append(claimed(job, brief.campaign))
            else:
                self._note(brief)
                if not self._surely_done(brief, self._preflight.parts_text_of(job)):
                    known[job.external_task_id] = self._folder.state(brief)
                    others.append((place, job))
        self.plan.skip(len(chunk) - len(others))
        if others:
            self._take_others(others, known)

    def _take_others(self, others: Sequence[tuple[int, Job]], known: Mapping[str, FileState]) -> None:
        """Those of a few hundred rows that are not done at a glance; the ledger has the `known` ones."""
        records = self._read(queries.jobs_of, list(known)) or {}
        unknown = [job.external_task_id for _, job in others if job.external_task_id not in known]
        attempts = self._read(queries.later_attempts, unknown) or {}
        for place, job in others:
            key = job.external_task_id
            if key in attempts:
                self.problems.append(is_an_attempt(job, attempts[key]))
            self._decide(place, job, records.get(key), known.get(key, FileState.THERE))

    def _decide(self, place: int, job: Job, record: JobRecord | None, file: FileState) -> None:
        missing, altered = file is FileState.MISSING, file is FileState.ALTERED
        step = step_of(job, self._preflight.of(job), record, self._terms, missing=missing, altered=altered)
        self.plan.take(place, step, missing=missing, altered=altered)
        if step.action is Action.SEND and step.media is None:
            self.bad_media.add(step.external_task_id)
        if step.action not in _AT_REST:
            self.problems += self._places.problems(job, step.output)

    def _take_orphans(self, ids: Sequence[str]) -> None:
        """What is under way though the manifest no longer names it."""
        for start in range(0, len(ids), queries.CHUNK):
            few = ids[start : start + queries.CHUNK]
            records = self._read(queries.jobs_of, few) or {}
            for key in few:
                if is_open(records[key]):
                    self.plan.take_orphan(orphan_of(records[key], self._terms.now))

    def _read(self, query: Callable[..., T], *args: Any) -> T | None:
        """None where there is no ledger yet."""
        return query(self._connection, *args) if self._connection is not None else None


def _records(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, JobRecord]:
    """Read while the plan is carried out, long after the survey."""
    with sqlite_errors(queries.file_of(connection)):
        return queries.jobs_of(connection, ids)
