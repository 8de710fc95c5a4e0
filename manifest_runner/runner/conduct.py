"""A run: every step of a plan carried out, slots kept busy, until all is done or there is a reason to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifest_runner.errors import (
    FetchError,
    LedgerError,
    ManifestRunnerError,
)
from manifest_runner.ledger import RESTORE, AttemptRecord, Ledger, queries, results, writes
from manifest_runner.models import JobState, ServiceStatus, utc_now
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.decide import UNDER_WAY, Action
from manifest_runner.runner.fetch import Fetcher
from manifest_runner.runner.guard import Guard
from manifest_runner.runner.plan import Step
from manifest_runner.runner.prepare import AlreadyThere, Prepared, Preparer
from manifest_runner.runner.send import Sender
from manifest_runner.runner.shelter import Shelter
from manifest_runner.runner.slots import Slot, Slots
from manifest_runner.runner.stop import Stop, bug_in
from manifest_runner.runner.submit import Accepted, SendAgain, Submitter
from manifest_runner.runner.watch import Watcher
from manifest_runner.service import Task

PREPARED_AHEAD = 4  # jobs ready beyond the slots; each may hold some 40 MB of Base64
FETCHES_AT_ONCE = 4


@dataclass(slots=True)
class Outcome:
    """What a run did. `problems` are sentences about jobs that it could not carry through."""

    create_calls: int = 0  # POSTs
    tasks_created: int = 0  # those of them that made a task
    calls_in_doubt: int = 0  # those of which it is not known yet
    speech_calls: int = 0  # paid calls too
    stopped: ManifestRunnerError | None = None
    problems: list[str] = field(default_factory=list)


class Conductor:
    """Collaborators in, one `run(steps)`; a job's way reads top to bottom in `_send`."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        preparer: Preparer,
        submitter: Submitter,
        watcher: Watcher,
        fetcher: Fetcher,
        slots: Slots,
        budget: Budget,
        shelter: Shelter,
        stop: Stop,
    ) -> None:
        self._ledger = ledger
        self._preparer = preparer
        self._submitter = submitter
        self._watcher = watcher
        self._fetcher = fetcher
        self._slots = slots
        self._budget = budget
        self._shelter = shelter
        self._stop = stop
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._fetching = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._guard = Guard(ledger, stop)
        self._sender = Sender(submitter=submitter, slots=slots, budget=budget, guard=self._guard, stop=stop)

    async def run(self, steps: Sequence[Step]) -> Outcome:
        """Carry the steps out. Comes back when all ended or when there is a reason to stop."""
        for step in steps:
            self._take_up(step)
        waiting = iter([step for step in steps if step.action is Action.SEND])
        for _ in range(PREPARED_AHEAD):
            self._spawn(self._prepare_some(waiting))
        watching = asyncio.create_task(self._watch_all())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            while self._tasks and self._stop.reason is None:
                done, _ = await asyncio.wait(
                    {stopped, watching, *self._tasks}, return_when=asyncio.FIRST_COMPLETED
                )
                self._tasks -= done
        finally:
            await self._wind_up(stopped, watching)
        return Outcome(
            create_calls=self._submitter.calls,
            tasks_created=self._submitter.accepted,
            calls_in_doubt=self._submitter.in_doubt,
            speech_calls=self._preparer.speech_calls,
            stopped=self._stop.reason or self._stop.no_more,
            problems=self._guard.problems,
        )

    # -- one job's way -------------------------------------------------------------------------------------------

    async def _send(self, prepared: Prepared, slot: Slot) -> None:
        """Submit, watch, free the slot, fetch. The caller has reserved the job's units."""
        step, task = prepared.step, None
        with slot:
            try:
                attempt = await self._sender.send(prepared, slot)
                del prepared  # its media may be tens of megabytes, and it is no longer needed
                if attempt is not None:
                    task = await self._watch(step, attempt, slot)
            except Exception:
                # Whatever it was: the worst case is counted, and nobody waits for this job's units for ever.
                self._budget.settle(step.external_task_id, None)
                raise
        if attempt is not None and task is not None:
            await self._bring_home(step, attempt, task)

    async def _watch(self, step: Step, attempt: AttemptRecord, slot: Slot) -> Task | None:
        """The ended task, recorded; None when it has not ended in the time a task may take."""
        task = await self._watcher.ended(attempt)
        if task is None:
            slot.keep()
            self._budget.settle(step.external_task_id, None)
            await self._guard.note(
                step,
                f"stuck: task {attempt.task_id} has not ended for too long. It may still end, and be billed: run the "
                "same command again to look for it.",
            )
            return None
        slot.free()
        await self._ledger.write(writes.ended, ending_of(attempt, task))
        self._budget.settle(step.external_task_id, task.units)
        return task

    async def _bring_home(self, step: Step, attempt: AttemptRecord, task: Task | None) -> None:
        if task is None or task.status is ServiceStatus.SUCCEED:
            async with self._fetching:
                await self._fetcher.fetch(attempt, step.output, task)

    # -- what an earlier run left --------------------------------------------------------------------------------

    def _take_up(self, step: Step) -> None:
        """Go on where the ledger says; slots that are taken at the service count from the start."""
        attempt = step.attempt
        if attempt is None:
            if step.action in UNDER_WAY:
                raise LedgerError(
                    f"The ledger says that {step.external_task_id} is at the service, and knows no attempt of it.",
                    mend=RESTORE,
                )
            return
        match step.action:
            case Action.RESTORE:
                self._spawn(self._guard.run(step, self._restore, step, attempt))
            case Action.FETCH:
                self._spawn(self._guard.run(step, self._bring_home, step, attempt, None))
            case Action.WATCH:
                self._spawn(self._guard.run(step, self._go_on, step, attempt, self._slots.occupy()))
            case Action.RESOLVE:
                self._spawn(self._guard.run(step, self._resolve, step, attempt, self._slots.occupy()))

    async def _restore(self, step: Step, attempt: AttemptRecord) -> None:
        """Back to a video that is paid already."""
        if step.job is not None:
            await self._ledger.write(results.restored, attempt.attempt_id, step.job, here=step.here)
        if not step.here:
            await self._bring_home(step, attempt, None)

    async def _go_on(self, step: Step, attempt: AttemptRecord, slot: Slot) -> None:
        with slot:
            task = await self._watch(step, attempt, slot)
        if task is not None:
            await self._bring_home(step, attempt, task)

    async def _resolve(self, step: Step, attempt: AttemptRecord, slot: Slot) -> None:
        """Settle what is in doubt, then go on with it like with any other."""
        with slot:
            sent = await self._sender.settle(step, slot, attempt)
            if isinstance(sent, Accepted):
                await self._go_on(step, sent.attempt, slot)
                return
            self._budget.release(step.external_task_id)
            slot.free()
        if isinstance(sent, SendAgain) and step.job is not None and step.media is not None:
            await self._prepare(step)

    # -- the line of jobs to send --------------------------------------------------------------------------------

    async def _prepare_some(self, waiting: Iterator[Step]) -> None:
        """One of several that keep jobs ready beyond the slots: one that has to wait does not hold up the rest."""
        for step in waiting:
            if not self._stop.may_send():
                return
            await self._guard.run(step, self._prepare, step)

    async def _prepare(self, step: Step) -> None:
        """Make the job ready and send it in its turn; what turns out to be there already is gone on with."""
        if await self._is_home_after_all(step):
            return
        try:
            if step.estimate is not None:
                await self._budget.room_for(step.external_task_id, step.estimate.low)
            prepared = await self._preparer.prepare(step)
        except Exception:
            self._budget.release(step.external_task_id)
            raise
        if isinstance(prepared, AlreadyThere):
            self._budget.hold(step.external_task_id, prepared.attempt.units_reserved)
            await self._go_on(step, prepared.attempt, self._slots.occupy())
            return
        if prepared is not None:
            await self._send_in_turn(prepared)
            return
        self._budget.release(step.external_task_id)
        if (record := self._ledger.read(queries.job, step.external_task_id)) is not None:
            self._guard.say(step, record.why or "its id is taken in the account")

    async def _is_home_after_all(self, step: Step) -> bool:
        """Before a video that was paid and lost is paid again, the service is asked for it once more."""
        record = step.record
        if record is None or record.attempt is None or record.state is not JobState.EXPIRED:
            return False
        try:
            await self._bring_home(step, record.attempt, None)
        except FetchError as error:
            if not error.expired:
                raise
            return False
        return True

    async def _send_in_turn(self, prepared: Prepared) -> None:
        """Give the job its share of the budget and then a slot; nobody is overtaken.

        In this order: whoever holds a slot never waits for units, which may be held by one that waits for a slot.
        """
        async with self._turn:
            if not self._stop.may_send():
                return
            await self._budget.reserve(prepared.step.external_task_id, prepared.units_reserved)
            slot = await self._slots.take()
            if not self._stop.may_send():  # any more, after the wait
                slot.free()
                self._budget.release(prepared.step.external_task_id)
                return
        self._spawn(self._guard.run(prepared.step, self._send, prepared, slot))

    # -- trouble -------------------------------------------------------------------------------------------------

    async def _watch_all(self) -> None:
        try:
            await self._watcher.run()
        except ManifestRunnerError as error:
            self._stop.now(error)
        except Exception as error:  # noqa: BLE001 - reported as a bug, after what is under way was recorded
            self._stop.now(bug_in("watching tasks", error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        return task

    async def _wind_up(self, *others: asyncio.Task[Any]) -> None:
        """Cancel what waits; let paid calls that are under way be answered and recorded."""
        self._slots.close()
        everything = {*self._tasks, *others}
        for task in everything:
            task.cancel()
        await self._shelter.finish()
        await asyncio.gather(*everything, return_exceptions=True)


def ending_of(attempt: AttemptRecord, task: Task) -> writes.Ending:
    """What the ledger keeps of a task that ended."""
    video = task.videos[0] if task.videos else None
    return writes.Ending(
        attempt_id=attempt.attempt_id,
        status=task.status,
        message=task.status_message,
        video_seconds=video.seconds if video else None,
        units_deducted=task.units,
        request_id=task.request_id,
        ended_at=task.updated_at or utc_now(),
    )
