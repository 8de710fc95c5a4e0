"""A run: every step of a plan carried out, slots kept busy, until all is done or there is a reason to stop."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifest_runner.errors import (
    BudgetReached,
    FetchError,
    LedgerError,
    ManifestRunnerError,
    MediaError,
    NeedsPerson,
    ServiceError,
    ServiceRefused,
    ServiceUnreachable,
)
from manifest_runner.ledger import AttemptRecord, Ledger, writes
from manifest_runner.models import ServiceStatus, utc_now
from manifest_runner.runner.again import Cause, wait_before_again
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.fetch import Fetcher
from manifest_runner.runner.plan import Action, Step
from manifest_runner.runner.prepare import Prepared, Preparer
from manifest_runner.runner.shelter import Shelter
from manifest_runner.runner.slots import Slot, Slots
from manifest_runner.runner.stop import Stop, stops_the_run
from manifest_runner.runner.submit import Accepted, SendAgain, Sent, Submitter
from manifest_runner.runner.watch import Watcher
from manifest_runner.service import Task

PREPARED_AHEAD = 4  # jobs ready beyond the slots; each may hold some 20 MB of Base64
FETCHES_AT_ONCE = 4


@dataclass(slots=True)
class Outcome:
    """What a run did. `problems` are sentences about jobs that it could not carry through."""

    create_calls: int = 0
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
        self._ready: asyncio.Queue[Prepared | None] = asyncio.Queue(PREPARED_AHEAD)
        self._fetching = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._rng = random.Random()  # noqa: S311 - spreads load, guards nothing
        self._outcome = Outcome()

    async def run(self, steps: Sequence[Step]) -> Outcome:
        """Carry the steps out. Comes back when all ended or when `stop` has a reason; an error of one job becomes
        one of the outcome's problems."""
        for step in steps:
            self._take_up(step)
        line = self._spawn(self._prepare_all([step for step in steps if step.action is Action.SEND]))
        self._spawn(self._send_all(line))
        watching = asyncio.create_task(self._watcher.run())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            while self._tasks and self._stop.reason is None:
                done, _ = await asyncio.wait(
                    {stopped, watching, *self._tasks}, return_when=asyncio.FIRST_COMPLETED
                )
                self._tasks -= done
                for task in done:
                    if not task.cancelled():
                        task.result()  # a bug in us ends the run here
        finally:
            await self._wind_up(stopped, watching)
        self._outcome.create_calls = self._submitter.calls
        self._outcome.stopped = self._stop.reason or self._outcome.stopped
        return self._outcome

    # -- one job's way -------------------------------------------------------------------------------------------

    async def _send(self, prepared: Prepared, slot: Slot) -> None:
        """Submit, watch, free the slot, fetch. The caller has reserved the job's units."""
        task = None
        with slot:
            attempt = await self._submit(prepared, slot)
            if attempt is not None:
                task = await self._watch(prepared.step, attempt, slot)
        if attempt is not None and task is not None:
            await self._bring_home(prepared.step, attempt, task)

    async def _submit(self, prepared: Prepared, slot: Slot) -> AttemptRecord | None:
        """The accepted attempt; None when the service will not have it, now or ever."""
        step = prepared.step
        why = step.why if step.record else "sent for the first time"
        times = Counter[Cause]()
        while True:
            sent = await self._settled(step, slot, self._submitter.send(prepared, why))
            if isinstance(sent, Accepted):
                return sent.attempt
            if not isinstance(sent, SendAgain):
                self._budget.release(step.external_task_id)
                return None
            if sent.cause is Cause.NO_SLOT:
                self._slots.too_many()
            slot.free()
            times[sent.cause] += 1
            wait = wait_before_again(sent.cause, times[sent.cause], self._rng, sent.asked)
            if wait is None:
                self._budget.release(step.external_task_id)
                self._leave_pending(step, sent, times[sent.cause])
                return None
            await asyncio.sleep(wait)
            await slot.take_again()
            why = f"sent again: {sent.why}"

    async def _settled(self, step: Step, slot: Slot, sending: Coroutine[Any, Any, Sent]) -> Sent:
        """The outcome of a submission. When it stays in doubt, so do its slot and its units."""
        try:
            return await sending
        except ServiceError:
            slot.keep()
            self._budget.settle(step.external_task_id, None)
            raise

    async def _watch(self, step: Step, attempt: AttemptRecord, slot: Slot) -> Task | None:
        """The ended task, recorded; None when it has not ended in the time a task may take."""
        task = await self._watcher.ended(attempt)
        if task is None:
            slot.keep()
            self._budget.settle(step.external_task_id, None)
            self._outcome.problems.append(
                f"{step.external_task_id}: task {attempt.task_id} has not ended for too long. It may still end, and "
                "be billed: run the same command again to look for it."
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
        attempt = step.record.attempt if step.record else None
        if attempt is None:
            return
        match step.action:
            case Action.FETCH:
                self._spawn(self._guard(step, self._bring_home(step, attempt, None)))
            case Action.WATCH:
                self._spawn(self._guard(step, self._go_on(step, attempt, self._slots.occupy())))
            case Action.RESOLVE:
                self._spawn(self._guard(step, self._resolve(step, attempt, self._slots.occupy())))

    async def _go_on(self, step: Step, attempt: AttemptRecord, slot: Slot) -> None:
        with slot:
            task = await self._watch(step, attempt, slot)
        if task is not None:
            await self._bring_home(step, attempt, task)

    async def _resolve(self, step: Step, attempt: AttemptRecord, slot: Slot) -> None:
        """Settle what is in doubt, then go on with it like with any other."""
        with slot:
            sent = await self._settled(step, slot, self._submitter.resolve(attempt))
            if isinstance(sent, Accepted):
                await self._go_on(step, sent.attempt, slot)
                return
            self._budget.release(step.external_task_id)
            if isinstance(sent, SendAgain) and step.job is not None and step.media is not None:
                prepared = await self._preparer.prepare(step)
                if prepared is not None:
                    await self._budget.reserve(step.external_task_id, prepared.units_reserved)
                    await self._send(prepared, slot)

    # -- the line of jobs to send --------------------------------------------------------------------------------

    async def _prepare_all(self, steps: Sequence[Step]) -> None:
        """Keep a few jobs ready beyond the slots."""
        for step in steps:
            if self._outcome.stopped is not None:
                break
            await self._guard(step, self._prepare(step))
        await self._ready.put(None)

    async def _prepare(self, step: Step) -> None:
        prepared = await self._preparer.prepare(step)
        if prepared is not None:
            await self._ready.put(prepared)

    async def _send_all(self, line: asyncio.Task[None]) -> None:
        """Give each ready job a slot and its share of the budget, in turn."""
        while (prepared := await self._ready.get()) is not None:
            try:
                slot = await self._slots.take()
                await self._budget.reserve(prepared.step.external_task_id, prepared.units_reserved)
            except BudgetReached as reached:
                slot.free()
                self._outcome.stopped = reached
                line.cancel()
                return
            except NeedsPerson as lost:
                self._stop.now(lost)
                return
            self._spawn(self._guard(prepared.step, self._send(prepared, slot)))

    # -- trouble -------------------------------------------------------------------------------------------------

    async def _guard(self, step: Step, work: Coroutine[Any, Any, None]) -> None:
        """One job's errors are its own; those that every job would meet stop the run."""
        try:
            await work
        except (LedgerError, NeedsPerson) as error:
            self._stop.now(error)
        except BudgetReached as reached:
            self._outcome.stopped = reached
        except (ServiceError, MediaError, FetchError) as error:
            reason = stops_the_run(error) if isinstance(error, ServiceRefused) else None
            if reason is not None:
                self._stop.now(reason)
                return
            await self._say(step, str(error))

    async def _say(self, step: Step, what: str) -> None:
        self._outcome.problems.append(f"{step.external_task_id}: {what}")
        try:
            await self._ledger.write(writes.note, step.external_task_id, what)
        except LedgerError as error:
            self._stop.now(error)

    def _leave_pending(self, step: Step, sent: SendAgain, times: int) -> None:
        if sent.cause is Cause.NO_CONNECTION:
            self._stop.now(
                ServiceUnreachable(
                    f"The service can't be reached: {sent.why}",
                    mend="Check the network and the service's address, then run the same command again.",
                )
            )
            return
        self._outcome.problems.append(
            f"{step.external_task_id}: not sent after {times} tries ({sent.why}). Run the same command again."
        )

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
