"""Tasks that the account has and the ledger does not know, taken up: after a lost ledger, an old backup or a conflict.

A person says that they are this campaign's. Their ids say whose: a job's own, and `ID-r2`, `ID-r3` for its later
attempts. What they asked for can't be seen at the service, so the rows as they are now stand for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

from manifest_runner.errors import ServiceError, ServiceRefused, ServiceUnreachable
from manifest_runner.ledger import JobRecord, Ledger, adoption, queries
from manifest_runner.media import JobMedia, estimate, estimate_spoken
from manifest_runner.models import Job, JobState, Rates, attempt_id, utc_now
from manifest_runner.runner.speak import speech_key
from manifest_runner.runner.stop import stops_the_run
from manifest_runner.service import AvatarClient, Task, repeat_safely

TRIES = 8
PAGE = 500
LAST_PAGE = 1000  # the service has no more
GAP = 3  # numbers of attempts in a row that the service may not have: refused ones, and deleted ones
MOST_ATTEMPTS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopted:
    """The tasks that were taken up for a job, the newest attempt's last."""

    external_task_id: str
    tasks: Sequence[Task]


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """How many jobs were not taken up, by the reason."""

    under_way: int
    known: int  # their newest tasks are in the ledger
    without_task: int  # at the account


class Picked(Sequence[Job]):
    """Some of a manifest's jobs, by their places in it. None is kept: they may be made anew each time."""

    def __init__(self, jobs: Sequence[Job], places: Iterable[int]) -> None:
        self._jobs = jobs
        self._places = array("q", places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Job]:
        return (self._jobs[place] for place in self._places)

    @overload
    def __getitem__(self, key: int) -> Job: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Job, ...]: ...
    def __getitem__(self, key: int | slice) -> Job | tuple[Job, ...]:
        if isinstance(key, int):
            return self._jobs[self._places[key]]
        return tuple(self._jobs[place] for place in self._places[key])


def adoptable(jobs: Sequence[Job], ledger: Ledger) -> Picked:
    """The jobs that are not under way: for these the account may have a task that the ledger does not know."""
    keys = enumerate(job.external_task_id for job in jobs)
    places = array("q")
    while some := list(islice(keys, queries.CHUNK)):
        records = ledger.read(queries.jobs_of, [key for _, key in some])
        places.extend(place for place, key in some if not _under_way(records.get(key)))
    return Picked(jobs, places)


def left_out(jobs: Sequence[Job], adopted: Iterable[Adopted], ledger: Ledger) -> LeftOut:
    """Why each of the `jobs` that is not among the adopted is not, by what the ledger knows of it."""
    taken_up = {one.external_task_id for one in adopted}
    keys = (job.external_task_id for job in jobs if job.external_task_id not in taken_up)
    under_way = known = without_task = 0
    while some := list(islice(keys, queries.CHUNK)):
        records = ledger.read(queries.jobs_of, some)
        for record in map(records.get, some):
            if _under_way(record):
                under_way += 1
            elif record is not None and any(one.task_id is not None for one in record.attempts):
                known += 1
            else:
                without_task += 1
    return LeftOut(under_way=under_way, known=known, without_task=without_task)


def _under_way(record: JobRecord | None) -> bool:
    return record is not None and (record.state.in_flight or record.state is JobState.RENDERED)


async def adopt(
    jobs: Sequence[Job],
    media_of: Callable[[Job], JobMedia | None],
    *,
    ledger: Ledger,
    client: AvatarClient,
    rates: Rates,
    key_id: str | None,
    listing: bool,
) -> list[Adopted]:
    """Look the jobs' tasks up (in the account's list with `listing`, and one by one) and take up those of the newest
    attempts that the ledger does not know.

    Raises ServiceUnreachable when the service can't be asked, the reason that stops a run when it refuses, LedgerError.
    """
    try:
        listed = await _listed(jobs, client) if listing else {}
        adopted = []
        for job in jobs:
            tasks = await _unknown_tasks(job, listed, ledger, client)
            if tasks:
                taken_up = _adoption(job, media_of(job), tasks, rates, key_id)
                await ledger.write(adoption.adopted, taken_up)
                adopted.append(Adopted(external_task_id=job.external_task_id, tasks=list(tasks.values())))
    except ServiceRefused as error:
        raise stops_the_run(error) or error from None
    except ServiceError as error:
        raise ServiceUnreachable(
            f"The service does not answer: {error.what}",
            mend="Run the same command again when it answers: what was adopted already stays so.",
        ) from error
    return adopted


async def _listed(jobs: Sequence[Job], client: AvatarClient) -> dict[str, Task]:
    """Every task of the account by its external_task_id, as far as it may be one of these jobs' attempts."""
    wanted = {job.external_task_id for job in jobs}
    found: dict[str, Task] = {}
    for number in range(1, LAST_PAGE + 1):
        page = await repeat_safely(lambda n=number: client.list_tasks(page=n, page_size=PAGE), limit=TRIES)  # type: ignore[misc]
        for task in page.tasks:
            key = task.external_task_id
            if key is not None and (key in wanted or key.rpartition("-r")[0] in wanted):
                found.setdefault(key, task)
        if not page.listed:
            break
    return found


async def _unknown_tasks(
    job: Job, listed: Mapping[str, Task], ledger: Ledger, client: AvatarClient
) -> dict[int, Task]:
    """The job's tasks by the number of their attempt, in order: those that are newer than what the ledger knows of.

    Not ended by the first number that is missing: a refused attempt made no task, and old ones are deleted.
    """
    record = ledger.read(queries.job, job.external_task_id)
    known = {one.number: one for one in record.attempts} if record else {}
    newest_known = max((number for number, one in known.items() if one.task_id is not None), default=0)
    numbers = _listed_numbers(job, listed)
    last = max([newest_known, *known, *numbers])
    tasks: dict[int, Task] = {}
    number = newest_known + 1
    while number <= min(last + (0 if numbers else GAP), newest_known + MOST_ATTEMPTS):
        identity = attempt_id(job.external_task_id, number)
        if number not in known and number > 1 and ledger.read(queries.taken, identity):
            break  # another job's own id, or one of its attempts
        task = listed.get(identity)
        if (
            task is None and not numbers
        ):  # a list can leave some out; what it shows none of is asked for singly
            task = await repeat_safely(lambda key=identity: client.get(key), limit=TRIES)  # type: ignore[misc]
        if task is not None:
            tasks[number] = task
            last = max(last, number)
        number += 1
    return tasks


def _listed_numbers(job: Job, listed: Mapping[str, Task]) -> list[int]:
    """The numbers of this job's attempts that the account's list has."""
    return [
        number for number in range(1, MOST_ATTEMPTS) if attempt_id(job.external_task_id, number) in listed
    ]


def _adoption(
    job: Job, media: JobMedia | None, tasks: Mapping[int, Task], rates: Rates, key_id: str | None
) -> adoption.Adoption:
    newest = tasks[max(tasks)]
    cost = (
        estimate_spoken(job.mode, job.speech, rates=rates)
        if job.speech is not None
        else estimate(job.mode, media.seconds if media else None, speech=False, rates=rates)
    )
    return adoption.Adoption(
        job=job,
        fingerprint=media.fingerprint if media else "",
        fingerprint_parts=media.fingerprint_parts if media else {},
        units_reserved=cost.high if newest.units is None else newest.units,
        key_id=key_id,
        tasks=[
            adoption.AdoptedTask(
                attempt_id=attempt_id(job.external_task_id, number),
                number=number,
                task_id=task.task_id,
                status=task.status,
                message=task.status_message,
                units_deducted=task.units if task.status.ended else None,
                created_at=task.created_at,
                ended_at=(task.updated_at or utc_now()) if task.status.ended else None,
                request_id=task.request_id,
            )
            for number, task in sorted(tasks.items())
        ],
        speech_key=speech_key(job.speech) if job.speech is not None else None,
        speech_units=rates.speech,
    )
