"""A manifest as it is rehearsed: the same rows, sent where nothing costs and nobody is called. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from manifest_runner.ledger import JobRecord
from manifest_runner.manifest import Altered, same_file_key
from manifest_runner.media import Preflight
from manifest_runner.models import (
    Job,
    JobState,
    Manifest,
    Problem,
    ServiceName,
    ServiceSettings,
    captions_output,
    watermark_output,
)

FOLDER = "rehearsal"
"""Where a rehearsal puts what it makes: a folder in the campaign's output folder, and one beside its ledger."""


def rehearsed(manifest: Manifest, *, concurrency: int) -> Manifest:
    """The manifest without all that reaches out of a rehearsal: its service, its budget, its callbacks."""
    return replace(
        manifest,
        jobs=Altered(manifest.jobs, range(len(manifest.jobs)), _called_by_nobody),
        service=ServiceSettings(name=ServiceName.SANDBOX),
        budget_units=None,
        concurrency=concurrency,
    )


def _called_by_nobody(job: Job) -> Job:
    return replace(job, callback_url=None) if job.callback_url else job


def places_in_the_way(jobs: Iterable[Job]) -> Iterator[Problem]:
    """Rows whose real video belongs into the folder of the rehearsal's own: a preview could take its place."""
    for job in jobs:
        first, slash, _ = job.output.partition("/")
        if slash and same_file_key(first) == FOLDER:
            yield Problem(
                location=job.where("output"),
                what=f"{job.output} lies in the folder {FOLDER}/, which the previews of a rehearsal are put into.",
                mend="Give the output another folder.",
                job=job.external_task_id,
            )


def with_places_of_their_own(jobs: Sequence[Job], records: Iterable[JobRecord]) -> Sequence[Job]:
    """The jobs, each with an output where no other job's preview lies.

    While a campaign is rehearsed its rows get other ids, come and go. What an earlier row left at `hello.mp4` stays
    there (it may come back), and the preview of the row that has this output now is called `hello~2.mp4`.
    """
    owners = {
        same_file_key(file): record.external_task_id
        for record in records
        if record.state is JobState.DONE
        for file in (record.file, record.watermark_file, record.captions_file)
        if file is not None
    }
    planned = {same_file_key(name) for job in jobs for name in _names(job.output)}

    def free(job: Job, output: str) -> bool:
        keys = [same_file_key(name) for name in _names(output)]
        return all(owners.get(key, job.external_task_id) == job.external_task_id for key in keys)

    moved: dict[str, str] = {}
    for job in jobs:
        if not free(job, job.output):
            output = next(
                name
                for name in _others(job.output)
                if free(job, name) and not planned.intersection(map(same_file_key, _names(name)))
            )
            planned.update(map(same_file_key, _names(output)))
            moved[job.external_task_id] = output

    def placed(job: Job) -> Job:
        return replace(job, output=moved[job.external_task_id]) if job.external_task_id in moved else job

    return Altered(jobs, range(len(jobs)), placed)


def usable_of(jobs: Sequence[Job], found: Preflight) -> Sequence[Job]:
    """Those whose media can be sent."""
    places = array("L", (place for place, job in enumerate(jobs) if found.usable(job)))
    return Altered(jobs, places, lambda job: job)


def _names(output: str) -> tuple[str, str, str]:
    return output, watermark_output(output), captions_output(output)


def _others(output: str) -> Iterator[str]:
    """`hello~2.mp4`, `hello~3.mp4`, and so on."""
    stem, dot, suffix = output.rpartition(".")
    number = 2
    while True:
        yield f"{stem}~{number}{dot}{suffix}"
        number += 1
