"""One create call under the rule that protects money.

The intent is committed before the POST leaves. What comes back is judged by `judge_create` alone: created, surely
not created, or in doubt. In doubt means asking the service for the id, waiting out the time in which the lost request
could still be carried out, and asking again; only a second "not there" lets the same id be sent once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from manifest_runner.errors import ServiceError, ServiceRefused, TransportFault
from manifest_runner.ledger import AttemptRecord, Ledger, writes
from manifest_runner.models import JobState
from manifest_runner.runner.again import Cause
from manifest_runner.runner.ours import made_by
from manifest_runner.runner.prepare import Prepared
from manifest_runner.runner.shelter import Shelter
from manifest_runner.runner.stop import Stop, reason_to_stop
from manifest_runner.service import (
    MAY_EXIST_ALREADY,
    AvatarClient,
    Decision,
    Judgement,
    Task,
    Verdict,
    decision_for,
    judge_create,
    meaning_of,
    proves_nothing_made,
    repeat_safely,
    speaks_of_a_duplicate,
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service has the task. `task` is how it last told of it."""

    attempt: AttemptRecord
    task: Task


@dataclass(frozen=True, slots=True)
class SendAgain:
    """Surely nothing was created; the job is pending again and may be sent again."""

    cause: Cause
    asked: float | None = None  # seconds, from Retry-After
    why: str = ""


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing more happens to this job in this run: refused, somebody else's id, or the run stops."""


@dataclass(frozen=True, slots=True)
class _InDoubt:
    attempt: AttemptRecord
    sent: float  # event loop's clock
    judgement: Judgement
    error: ServiceError


Sent = Accepted | SendAgain | Over


class Submitter:
    """Sends create calls and settles the ones whose outcome is in doubt."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client: AvatarClient,
        stop: Stop,
        shelter: Shelter,
        duplicate: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._duplicate = duplicate  # told of an id that the service has already, whoever made it
        self._ledger = ledger
        self._client = client
        self._stop = stop
        self._shelter = shelter
        self.calls = 0  # POSTs
        self.accepted = 0  # those of them that made a task, as far as is known
        self.in_doubt = 0  # those of them of which that is not known yet

    async def send(self, prepared: Prepared, why: str) -> Sent:
        """Commit the intent, POST, and record what is known."""
        answer = await self._shelter.run(self._post(prepared, why))
        if isinstance(answer, _InDoubt):
            answer = await self._settle_doubt(
                answer.attempt, sent=answer.sent, judgement=answer.judgement, error=answer.error
            )
        self.in_doubt -= 1
        self.accepted += isinstance(answer, Accepted)
        return answer

    async def resolve(self, attempt: AttemptRecord) -> Sent:
        """Settle an attempt that an earlier run left in `submitting`.

        When it was sent is known only by a clock that may have been set since, so the waiting starts anew.
        """
        judgement = Judgement(Verdict.IN_DOUBT, "an earlier run ended before its answer was recorded")
        sent = asyncio.get_running_loop().time()
        return await self._settle_doubt(attempt, sent=sent, judgement=judgement, error=None)

    async def look(self, attempt: AttemptRecord) -> Sent:
        """Ask once whether a call that was given up has arrived after all."""
        task = await self._look_up(attempt)
        return Over() if task is None else await self._shelter.run(self._adopt(attempt, task))

    async def _post(self, prepared: Prepared, why: str) -> Sent | _InDoubt:
        attempt = await self._ledger.write(writes.intend, prepared.intent(why, self._client.clock_skew))
        if attempt.attempt_id != prepared.request.external_task_id:
            raise ValueError(
                f"{prepared.request.external_task_id} was prepared, {attempt.attempt_id} intended"
            )
        self.in_doubt += 1  # until what becomes of it is on disk
        if self._stop.reason is not None:
            await self._back_to_pending(attempt, "the run was stopped before it was sent")
            return Over()
        self.calls += 1
        sent = asyncio.get_running_loop().time()
        try:
            outcome: Task | ServiceError = await self._client.create(prepared.request)
        except ServiceError as error:
            outcome = error
        judgement = judge_create(outcome)
        if isinstance(outcome, Task):
            return await self._accept(attempt, outcome, judgement.why)
        if judgement.verdict is Verdict.NOT_CREATED:
            return await self._not_created(attempt, outcome, judgement.why)
        await self._ledger.write(
            writes.note, attempt.external_task_id, f"in doubt: {judgement.why}", _code_of(outcome)
        )
        return _InDoubt(attempt, sent, judgement, outcome)

    async def _accept(self, attempt: AttemptRecord, task: Task, why: str, *, found: bool = False) -> Accepted:
        acceptance = writes.Acceptance(
            attempt_id=attempt.attempt_id,
            task_id=task.task_id,
            status=task.status,
            request_id=task.request_id,
            why=why,
            found=found,
        )
        return Accepted(await self._ledger.write(writes.accepted, acceptance), task)

    async def _not_created(self, attempt: AttemptRecord, error: ServiceError, why: str) -> Sent:
        """The service can't have made anything of it: refused for good, to be sent again, or a reason to stop."""
        if isinstance(error, TransportFault):
            await self._back_to_pending(attempt, why)
            return SendAgain(Cause.NO_CONNECTION, why=error.what)
        if not isinstance(error, ServiceRefused):
            raise TypeError(f"{type(error).__name__} proves nothing about a create call")
        match decision_for(error.code, error.http_status, creating=True):
            case Decision.FAIL_JOB | Decision.NOT_THERE:
                return await self._reject(attempt, error)
            case Decision.HOLD_BACK:
                await self._back_to_pending(attempt, why, error)
                return SendAgain(Cause.NO_SLOT, error.retry_after, error.what)
            case Decision.SLOW_DOWN | Decision.TRY_AGAIN | Decision.DONE:
                await self._back_to_pending(attempt, why, error)
                return SendAgain(Cause.TOO_FAST, error.retry_after, error.what)
            case Decision.RENEW_TOKEN | Decision.CHECK_CLOCK if error.renewed:
                await self._back_to_pending(attempt, why, error)
                return SendAgain(Cause.TOKEN_RENEWED, error.retry_after, error.what)
            case decision:
                await self._back_to_pending(attempt, why, error)
                self._stop.now(reason_to_stop(decision, error))
                return Over()

    async def _settle_doubt(
        self, attempt: AttemptRecord, *, sent: float, judgement: Judgement, error: ServiceError | None
    ) -> Sent:
        """Look the id up; when it is not there, wait until the lost request is surely over and look again."""
        # A bad parameter, of an id that was never sent before: one look-up tells. If the service says that the id
        # exists, a gateway may have sent the call twice, and what it made may not show yet.
        refused = (
            error
            if isinstance(error, ServiceRefused)
            and error.code == MAY_EXIST_ALREADY
            and proves_nothing_made(error)
            else None
        )
        task = await self._look_up(attempt)
        if refused and (task is not None or speaks_of_a_duplicate(refused)):
            self._duplicate(attempt.attempt_id)
        plain_refusal = refused and attempt.posts == 1 and not speaks_of_a_duplicate(refused)
        if task is None and not plain_refusal:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, sent + attempt.settle_seconds - loop.time()))
            task = await self._look_up(attempt)
        if task is not None:
            return await self._shelter.run(self._adopt(attempt, task))
        if refused:
            return await self._shelter.run(self._reject(attempt, refused))
        why = f"{judgement.why}; asked twice, the service does not have it"
        await self._shelter.run(self._back_to_pending(attempt, why))
        return SendAgain(Cause.NOT_FOUND, why=why)

    async def _look_up(self, attempt: AttemptRecord) -> Task | None:
        return await repeat_safely(lambda: self._client.get(attempt.attempt_id))

    async def _adopt(self, attempt: AttemptRecord, task: Task) -> Sent:
        if made_by(attempt, task, self._client.clock_skew):
            why = f"found under its id as task {task.task_id}: it is ours"
            return await self._accept(attempt, task, why, found=True)
        why = (
            f"the account has had a task {task.task_id} with the id {attempt.attempt_id} since before we first "
            "sent it: it is not ours. If it is yours all the same, `manifest-runner adopt` takes it up."
        )
        await self._ledger.write(writes.not_created, attempt.attempt_id, JobState.CONFLICT, why)
        return Over()

    async def _reject(self, attempt: AttemptRecord, error: ServiceRefused) -> Over:
        await self._ledger.write(
            writes.not_created,
            attempt.attempt_id,
            JobState.REJECTED,
            f"refused ({error.code}, {meaning_of(error.code)}){f': {error.said}' if error.said else ''}",
            code=error.code,
            request_id=error.request_id,
        )
        return Over()

    async def _back_to_pending(
        self, attempt: AttemptRecord, why: str, error: ServiceRefused | None = None
    ) -> None:
        await self._ledger.write(
            writes.not_created,
            attempt.attempt_id,
            JobState.PENDING,
            why,
            code=error.code if error else None,
            request_id=error.request_id if error else None,
        )


def _code_of(error: ServiceError) -> int | None:
    return error.code if isinstance(error, ServiceRefused) else None
