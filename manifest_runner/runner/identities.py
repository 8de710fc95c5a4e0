"""Which id a job's next call carries, once the service has said that nobody has it; and whether that still holds.

Asking costs nothing, and it stands between a lost ledger, or a second machine with the same manifest, and a second
bill for every video in it: the service's own check of duplicates is documented, but not proven for this call. The
census answers for jobs that were never sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from manifest_runner.errors import ServiceError, ServiceRefused, ServiceUnreachable
from manifest_runner.ledger import AttemptRecord, JobRecord, Ledger, queries, writes
from manifest_runner.media import JobMedia
from manifest_runner.models import JobState, attempt_id, differing
from manifest_runner.runner.census import Census
from manifest_runner.runner.decide import Action
from manifest_runner.runner.ours import made_by
from manifest_runner.runner.step import Step
from manifest_runner.service import AvatarClient, Task, repeat_safely

HOLDS_FOR = 3.0  # seconds; what was said longer ago is asked once more before anything is paid


@dataclass(frozen=True, slots=True)
class Free:
    """An id that nobody has."""

    identity: str
    never_sent: bool  # no call of the job has left, so that the census may answer for it
    asked_at: float | None  # event loop's clock; None where it is the census's word, and was not looked up


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """The service has this job's task: an earlier create call of ours landed after all. Nothing is to be sent."""

    attempt: AttemptRecord
    task: Task


class Identities:
    """`free_for` before a job is made ready; `still_free` each time before its call leaves."""

    def __init__(self, *, ledger: Ledger, client: AvatarClient, census: Census) -> None:
        self._ledger = ledger
        self._client = client
        self._census = census

    async def look_around(self) -> None:
        """Take the census, where there is one to take. Jobs may be looked up meanwhile, and after it with less ado."""
        await self._census.take()

    async def free_for(self, step: Step, media: JobMedia) -> Free | AlreadyThere | None:
        """The id of its next attempt; None when the account has it and it is not ours (a conflict, which is recorded).

        Raises ServiceError when the service could not be asked.
        """
        key = step.external_task_id
        # A plan's step is made just before its turn, and nobody else writes this ledger; of a job that was in doubt
        # until a moment ago the step is older than that.
        record = step.record if step.action is Action.SEND else self._ledger.read(queries.job, key)
        if not (record and record.attempts) and self._census.spares(key):
            return Free(key, never_sent=True, asked_at=None)
        return await self._ask(key, record, media)

    async def still_free(self, free: Free, key: str, media: JobMedia) -> Free | AlreadyThere | None:
        """The same, as far as anything can have changed since: whoever waits long for a slot may be overtaken."""
        if free.asked_at is not None and asyncio.get_running_loop().time() - free.asked_at <= HOLDS_FOR:
            return free
        if free.never_sent and self._census.is_borne_out and self._census.knows_free(key):
            return free
        return await self._ask(key, self._ledger.read(queries.job, key), media)

    async def _ask(self, key: str, record: JobRecord | None, media: JobMedia) -> Free | AlreadyThere | None:
        asked_at = asyncio.get_running_loop().time()
        attempts = record.attempts if record else ()
        if not attempts:
            free = await self._asked_first(key)
            return Free(key, never_sent=True, asked_at=asked_at) if free else None
        pending = attempts[-1] if record and record.state is JobState.PENDING else None
        if pending:
            identity = pending.attempt_id
        else:
            identity = attempt_id(key, self._ledger.read(queries.next_attempt_number, key))
        found = await self._look_up(identity)
        if found is None:
            return Free(identity, never_sent=False, asked_at=asked_at)
        if pending and made_by(pending, found, self._client.clock_skew):
            landed = await self._ledger.write(writes.accepted, _landed(pending, found, media))
            return AlreadyThere(landed, found)
        await self._taken(key, identity, found)
        return None

    async def _asked_first(self, key: str) -> bool:
        """Whether the account has no task of a job that this ledger never sent."""
        census = self._census
        found = await self._look_up(key)
        on_trial = census.knows_free(key)
        spared = on_trial and census.is_borne_out
        if found is None and not spared and not self._ledger.read(queries.taken, attempt_id(key, 2)):
            # A ledger that was lost may have known a first attempt that the service refused, and a second that it made.
            found = await self._look_up(attempt_id(key, 2))
        if found is None:
            if on_trial:
                census.not_found()
            return True
        census.found(found.external_task_id or key)
        await self._taken(key, key, found)
        return False

    async def _taken(self, key: str, identity: str, found: Task) -> None:
        has = found.external_task_id or identity
        why = (
            f"the account already has a task {found.task_id} with the id {has}, and this ledger did not send it. If it "
            "is yours (from a lost or newer ledger), `manifest-runner adopt` takes it up; else give the job another id."
        )
        await self._ledger.write(writes.foreign_id, key, why)

    async def _look_up(self, identity: str) -> Task | None:
        """Raises ServiceUnreachable when nothing is to be had of the service: every other job would wait in vain."""
        try:
            return await repeat_safely(lambda: self._client.get(identity))
        except ServiceRefused:
            raise
        except ServiceError as error:
            raise ServiceUnreachable(
                f"The service does not answer: {error.what}",
                mend="The tasks go on there. Run the same command again when it answers.",
            ) from error


def _landed(attempt: AttemptRecord, task: Task, media: JobMedia) -> writes.Acceptance:
    return writes.Acceptance(
        attempt_id=attempt.attempt_id,
        task_id=task.task_id,
        status=task.status,
        request_id=task.request_id,
        why=f"an earlier call of ours landed after all, as task {task.task_id}",
        found=True,
        changed=differing(attempt.fingerprint_parts, media.fingerprint_parts),
    )
