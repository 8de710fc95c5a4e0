"""What is there, before anything is done: manifest, media, ledger and output folder -> the plan, and its enrolment."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache, partial
from pathlib import Path, PurePosixPath

from manifest_runner.errors import ManifestError
from manifest_runner.ledger import JobRecord, Ledger, enrolment, queries
from manifest_runner.manifest import same_file_key
from manifest_runner.media import DEFAULT_RATES, Preflight
from manifest_runner.models import Job, JobState, Manifest, Problem, Rates
from manifest_runner.runner.decide import Action, Retry
from manifest_runner.runner.landing import leads_outside
from manifest_runner.runner.plan import Step, make_plan


def survey(
    manifest: Manifest,
    preflight: Preflight,
    connection: sqlite3.Connection | None,
    folder: Path,
    *,
    retry: Collection[Retry] = (),
    retry_ids: Collection[str] = (),
    rates: Rates = DEFAULT_RATES,
) -> list[Step]:
    """The plan for this manifest, given the ledger (None when there is none yet) and the output folder.

    Raises ManifestError for jobs that can't be sent as they are: their media, or an id that another campaign has.
    """
    records: dict[str, JobRecord] = {}
    claimed: dict[str, str] = {}
    later: dict[str, str] = {}
    if connection is not None:
        records = {record.external_task_id: record for record in queries.jobs(connection, manifest.campaign)}
        claimed = queries.claimed_elsewhere(connection, manifest.campaign)
        later = queries.later_attempts(connection)
    steps = make_plan(
        manifest.jobs,
        preflight.media,
        records,
        missing_files=[
            key for key, record in records.items() if _file_state(record, folder) is _File.MISSING
        ],
        altered_files=[
            key for key, record in records.items() if _file_state(record, folder) is _File.ALTERED
        ],
        retry=retry,
        retry_ids=retry_ids,
        rates=rates,
    )
    sending = {step.external_task_id for step in steps if step.action is Action.SEND}
    problems = [problem for problem in preflight.problems if problem.job in sending]
    problems += [
        _claimed(job, claimed[job.external_task_id])
        for job in manifest.jobs
        if job.external_task_id in claimed
    ]
    problems += [
        _is_an_attempt(job, later[job.external_task_id])
        for job in manifest.jobs
        if job.external_task_id in later and job.external_task_id not in records
    ]
    problems += _places_taken(steps, records)
    problems += _places_outside(steps, folder)
    if problems:
        raise ManifestError(sorted(problems, key=lambda p: (p.location.file, p.location.line or 0)))
    return steps


def enrol(ledger: Ledger, campaign: str, jobs: Sequence[Job], steps: Sequence[Step]) -> None:
    """Make the manifest's jobs known to the ledger, in its order; forget those that it no longer names."""
    estimates = {step.external_task_id: step.estimate.expected if step.estimate else None for step in steps}
    changed = {step.external_task_id: step.changed for step in steps}
    ledger.write_now(enrolment.withdraw, campaign, frozenset(job.external_task_id for job in jobs))
    entries = [
        enrolment.Enrolment(
            job=job,
            position=position,
            units_estimated=estimates.get(job.external_task_id),
            changed=changed.get(job.external_task_id, ()),
        )
        for position, job in enumerate(jobs)
    ]
    for start in range(0, len(entries), queries.CHUNK):
        ledger.write_now(enrolment.enrol, campaign, entries[start : start + queries.CHUNK])


_AT_REST = (Action.SKIP, Action.HOLD)


class _File(Enum):
    """What lies where a done job's video was put."""

    THERE = "there"
    MISSING = "missing"
    ALTERED = "altered"


def _file_state(record: JobRecord, folder: Path) -> _File:
    if record.file is None:
        return _File.THERE
    path = folder / record.file
    copy = folder / record.watermark_file if record.watermark_file else None
    if not path.is_file() or (copy is not None and not copy.is_file()):
        return _File.MISSING
    if record.watermark and copy is None:  # it was paid for with it, and it never came
        return _File.MISSING
    return _File.THERE if record.bytes in (None, path.stat().st_size) else _File.ALTERED


def _places_taken(steps: Sequence[Step], records: Mapping[str, JobRecord]) -> Iterator[Problem]:
    """Jobs whose video would land where the ledger has another job's."""
    here = {
        same_file_key(file): record.external_task_id
        for record in records.values()
        if record.state is JobState.DONE
        for file in (record.file, record.watermark_file)
        if file is not None
    }
    for step in steps:
        owner = here.get(same_file_key(step.output))
        if step.job is None or owner in (None, step.external_task_id) or step.action in _AT_REST:
            continue
        yield Problem(
            location=step.job.where("output"),
            what=f"{step.output} is where the video of {owner} lies, by the ledger.",
            mend="Give the job another output, or the campaign another --out.",
            job=step.external_task_id,
        )


def _places_outside(steps: Sequence[Step], folder: Path) -> Iterator[Problem]:
    """Jobs whose video a link in the output folder would lead out of it: told before they are paid for."""
    leads = cache(partial(leads_outside, folder))  # thousands of outputs share a few folders
    for step in steps:
        if step.job is None or step.action in _AT_REST:
            continue
        if leads(PurePosixPath(step.output).parent):
            yield Problem(
                location=step.job.where("output"),
                what=f"{step.output} leads outside the output folder {folder} (through a link).",
                mend="Take the link away, or give the job another output.",
                job=step.external_task_id,
            )


def _claimed(job: Job, campaign: str) -> Problem:
    return Problem(
        location=job.where("external_task_id"),
        what=f"the id {job.external_task_id!r} belongs to the campaign {campaign!r} in this ledger.",
        mend="Give the job another id, go on under that campaign's name, or keep another --ledger.",
        job=job.external_task_id,
    )


def _is_an_attempt(job: Job, of: str) -> Problem:
    return Problem(
        location=job.where("external_task_id"),
        what=f"the id {job.external_task_id!r} is that of a later attempt of the job {of!r}, which was sent with it.",
        mend="Give the job another id.",
        job=job.external_task_id,
    )
