"""Tasks that the account has and the ledger does not know, taken up: after a lost ledger, or for a conflict.

A person says that they are this campaign's. Their ids say whose: a job's own, and `ID-r2`, `ID-r3` for its later
attempts. What they asked for can't be seen at the service, so the rows as they are now stand for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from manifest_runner.errors import ServiceError, ServiceRefused, ServiceUnreachable
from manifest_runner.ledger import Ledger, queries, writes
from manifest_runner.media import JobMedia, estimate
from manifest_runner.models import Job, JobState, Rates, attempt_id
from manifest_runner.runner.stop import stops_the_run
from manifest_runner.service import AvatarClient, Task, repeat_safely

TRIES = 8
PAGE = 500
LAST_PAGE = 1000  # the service has no more


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopted:
    """A job and the tasks that were taken up for it, the newest attempt's last."""

    job: Job
    tasks: Sequence[Task]


def adoptable(jobs: Sequence[Job], ledger: Ledger) -> list[Job]:
    """The jobs whose task the ledger does not know: never sent from here, or in conflict."""
    found = []
    for job in jobs:
        record = ledger.read(queries.job, job.external_task_id)
        known = record is not None and (
            record.state not in (JobState.PENDING, JobState.CONFLICT)
            or any(attempt.task_id for attempt in record.attempts)
        )
        if not known:
            found.append(job)
    return found


async def adopt(
    jobs: Sequence[Job],
    media: Mapping[str, JobMedia],
    *,
    ledger: Ledger,
    client: AvatarClient,
    rates: Rates,
    key_id: str | None,
    listing: bool,
) -> list[Adopted]:
    """Look the jobs' tasks up (in the account's list with `listing`, else one by one) and take up what is there.

    Raises ServiceUnreachable when the service can't be asked, the reason that stops a run when it refuses, LedgerError.
    """
    try:
        by_id = await _listed(jobs, client) if listing else {}
        adopted = []
        for job in jobs:
            tasks = await _tasks_of(job, by_id.get if listing else None, client)
            if tasks:
                adoption = _adoption(job, media.get(job.external_task_id), tasks, rates, key_id)
                await ledger.write(writes.adopted, adoption)
                adopted.append(Adopted(job=job, tasks=tasks))
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
        if page.listed < PAGE:
            break
    return found


async def _tasks_of(
    job: Job, listed: Callable[[str], Task | None] | None, client: AvatarClient
) -> list[Task]:
    """The job's attempts at the service, as far as their numbers follow one another."""
    tasks: list[Task] = []
    while True:
        identity = attempt_id(job.external_task_id, len(tasks) + 1)
        if listed is not None:
            task = listed(identity)
        else:
            task = await repeat_safely(lambda key=identity: client.get(key), limit=TRIES)  # type: ignore[misc]
        if task is None:
            return tasks
        tasks.append(task)


def _adoption(
    job: Job, media: JobMedia | None, tasks: Sequence[Task], rates: Rates, key_id: str | None
) -> writes.Adoption:
    cost = estimate(job.mode, media.seconds if media else None, speech=False, rates=rates)
    return writes.Adoption(
        job=job,
        fingerprint=media.fingerprint if media else "",
        fingerprint_parts=media.fingerprint_parts if media else {},
        units_reserved=cost.high,
        key_id=key_id,
        tasks=[
            writes.AdoptedTask(
                attempt_id=attempt_id(job.external_task_id, number),
                number=number,
                task_id=task.task_id,
                status=task.status,
                message=task.status_message,
                units_deducted=task.units if task.status.ended else None,
                created_at=task.created_at,
                ended_at=task.updated_at if task.status.ended else None,
                request_id=task.request_id,
            )
            for number, task in enumerate(tasks, start=1)
        ],
    )
