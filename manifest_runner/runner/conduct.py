"""A run: every step of a plan carried out, slots kept busy, until all is done or there is a reason to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from manifest_runner.errors import FetchError, ManifestRunnerError
from manifest_runner.ledger import AttemptRecord, Ledger, writes
from manifest_runner.models import JobState, utc_now
from manifest_runner.runner.ahead import Ahead, Held
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.courtesy import Courtesy
from manifest_runner.runner.crew import Crew
from manifest_runner.runner.decide import Action
from manifest_runner.runner.fetch import Fetcher
from manifest_runner.runner.fetches import Fetches, attempt_of
from manifest_runner.runner.guard import Guard
from manifest_runner.runner.identities import AlreadyThere, Identities
from manifest_runner.runner.line import Line, Place
from manifest_runner.runner.pace import Size
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.prepare import Prepared, Preparer, expected_bytes
from manifest_runner.runner.send import Sender
from manifest_runner.runner.shelter import Shelter
from manifest_runner.runner.slots import Slot, Slots
from manifest_runner.runner.step import Step
from manifest_runner.runner.stop import Stop, bug_in, unless_stopped
from manifest_runner.runner.submit import Accepted, SendAgain, Submitter
from manifest_runner.runner.watch import Watcher
from manifest_runner.service import Task

PREPARED_AHEAD = 64  # jobs ready beyond the slots, at most; what they hold in memory is bounded by `Ahead`
FEWEST_AHEAD = 8
FETCHES = range(4, 16 + 1)  # at once: a few more where there are many slots
LOOK_AROUND_SECONDS = 2.0  # the first jobs wait so long for the census; then they are looked up one by one


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
    """Collaborators in, one `run(plan)`; a job's way reads top to bottom, from its turn in the line to its fetch."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        identities: Identities,
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
        self._identities = identities
        self._preparer = preparer
        self._submitter = submitter
        self._watcher = watcher
        self._fetcher = fetcher
        self._slots = slots
        self._budget = budget
        self._shelter = shelter
        self._stop = stop
        stop.when_no_more = budget.close
        self._ahead = Ahead()
        self._line = Line(budget, slots)
        self._guard = Guard(ledger, stop)
        self._sender = Sender(
            identities=identities,
            submitter=submitter,
            slots=slots,
            budget=budget,
            guard=self._guard,
            stop=stop,
        )
        self._courtesy = Courtesy()
        self._fetches = Fetches(ledger=ledger, fetcher=fetcher, guard=self._guard, courtesy=self._courtesy)
        self._sending = Crew(stop)  # what holds slots, or makes ready for them
        self._fetching = Crew(stop)

    async def run(self, plan: Plan) -> Outcome:
        """Carry the plan out. Comes back when all ended or when there is a reason to stop."""
        watching = asyncio.create_task(self._watch_all())
        try:
            self._begin(plan)
            await unless_stopped(self._stop, self._sending.done())
            self._fetches.no_more()
            await unless_stopped(self._stop, self._fetching.done())
        finally:
            await self._wind_up(watching)
        return Outcome(
            create_calls=self._submitter.calls,
            tasks_created=self._submitter.accepted,
            calls_in_doubt=self._submitter.in_doubt,
            speech_calls=self._preparer.speech_calls,
            stopped=self._stop.reason or self._stop.no_more,
            problems=self._guard.problems,
        )

    def _begin(self, plan: Plan) -> None:
        """Slots that are taken at the service count from the start; all else is taken up as its turn comes."""
        for step in plan.steps(Action.WATCH, Action.RESOLVE):
            go_on = self._watch_on if step.action is Action.WATCH else self._resolve
            self._sending.spawn(self._guard.run(step, go_on, step, attempt_of(step), self._slots.occupy()))
        self._fetches.go_on_with(plan.steps(Action.FETCH, Action.RESTORE))
        slots = self._slots.ceiling or self._slots.limit
        for _ in range(min(FETCHES[-1], max(FETCHES[0], slots // 4))):
            self._fetching.spawn(self._fetches.work())
        line, ahead = plan.steps(Action.SEND), min(PREPARED_AHEAD, max(FEWEST_AHEAD, slots))
        census = self._sending.spawn(self._identities.look_around())
        for _ in range(min(ahead, plan.counts[Action.SEND])):
            self._sending.spawn(self._prepare_some(line, census))

    # -- one job's way: its turn in the line ---------------------------------------------------------------------

    async def _prepare_some(self, line: Iterator[Step], census: asyncio.Task[None]) -> None:
        """One of several that keep jobs ready beyond the slots: one that has to wait does not hold up the rest."""
        await asyncio.wait({census}, timeout=LOOK_AROUND_SECONDS)
        while self._stop.may_send():
            # Before a step is taken: who has one joins the line at once, in its order.
            await self._courtesy.after_you()
            step = next(line, None)
            if step is None:
                break
            await self._guard.run(step, self._take_up, step)
        census.cancel()  # no further job is taken up

    async def _take_up(self, step: Step) -> None:
        """Make the job ready, once there is memory for it, and send it in its turn."""
        if await self._is_home_after_all(step):
            return
        with self._line.join(step) as place:
            # Memory is given in the order of the line: nobody waits for it behind one that holds some and waits.
            held, slot = (
                await self._ahead.room_for(expected_bytes(step.job, step.media) if step.job else 0),
                None,
            )
            try:
                prepared = await self._prepare(step, place) if self._stop.may_send() else None
                if prepared is not None:
                    held.is_really(prepared.request.held_bytes)
                    slot = await self._slot_for(prepared, place)
                if prepared is not None and slot is not None:
                    self._sending.spawn(self._guard.run(step, self._send, prepared, slot, held))
            finally:
                if slot is None:  # else its sending lets go of it
                    held.let_go()

    async def _is_home_after_all(self, step: Step) -> bool:
        """Before a video that was paid and lost is paid again, the service is asked for it once more."""
        record = step.record
        if record is None or record.attempt is None or record.state is not JobState.EXPIRED:
            return False
        try:
            await self._fetcher.fetch(record.attempt, step.output, None)
        except FetchError as error:
            if not error.expired:
                raise
            return False
        return True

    async def _prepare(self, step: Step, place: Place) -> Prepared | None:
        """Ready to send; None when it is not to be sent: what turns out to be there already is gone on with."""
        try:
            # What may have arrived is asked for whatever the budget says: to find it costs nothing.
            if step.estimate is not None and not step.may_have_arrived:
                await self._line.room_for(place, step.estimate.low)
            prepared = await self._preparer.prepare(step)
        except Exception:
            self._budget.give_up(step.external_task_id, may_be_owed=step.may_have_arrived)
            raise
        if isinstance(prepared, AlreadyThere):
            self._budget.hold(step.external_task_id, prepared.attempt.units_reserved)
            slot = self._slots.occupy()
            self._sending.spawn(self._guard.run(step, self._watch_on, step, prepared.attempt, slot))
            return None
        if prepared is None:
            self._budget.release(step.external_task_id)
            self._guard.say_it_is_taken(step)
        return prepared

    async def _slot_for(self, prepared: Prepared, place: Place) -> Slot | None:
        """Give the job its share of the budget and then a slot. None when the run sends no more.

        In this order: whoever holds a slot never waits for units, which may be held by one that waits for a slot.
        """
        async with self._line.turn(place, prepared.units_reserved):
            if not self._stop.may_send():
                return None
            await self._budget.reserve(place.key, prepared.units_reserved)
            slot = await self._slots.take()
            if not self._stop.may_send():  # any more, after the wait
                slot.free()
                self._budget.release(place.key)
                return None
            return slot

    # -- its slot ------------------------------------------------------------------------------------------------

    async def _send(self, prepared: Prepared, slot: Slot, held: Held) -> None:
        """Submit, watch, free the slot, line up for the fetch. The job's units are reserved."""
        step, size = prepared.step, prepared.size
        with slot:
            with held, self._courtesy.going_first():
                sent = await self._sender.send(prepared, slot)
                del prepared  # its media may be megabytes, and it is no longer needed
            if sent is not None:
                await self._watch(step, sent.attempt, slot, size, sent.task)

    async def _watch(
        self, step: Step, attempt: AttemptRecord, slot: Slot, size: Size, told: Task | None = None
    ) -> None:
        """Until the task has ended, which is recorded, or has not in the time that a task may take."""
        try:
            task = await self._watcher.ended(attempt, size, told)
            if task is None:
                slot.keep()
                self._budget.settle(step.external_task_id, None)
                await self._guard.note(
                    step,
                    f"stuck: task {attempt.task_id} has not ended for too long. It may still end, and be billed: run "
                    "the same command again to look for it.",
                )
                return
            slot.free()
            await self._ledger.write(writes.ended, ending_of(attempt, task))
            self._budget.settle(step.external_task_id, task.units)
        except Exception:
            # Whatever it was: the worst case is counted, and nobody waits for this job's units for ever.
            self._budget.settle(step.external_task_id, None)
            raise
        self._fetches.add(step, attempt, task)

    # -- what an earlier run left --------------------------------------------------------------------------------

    async def _watch_on(self, step: Step, attempt: AttemptRecord, slot: Slot) -> None:
        with slot:
            await self._watch(step, attempt, slot, step.size)

    async def _resolve(self, step: Step, attempt: AttemptRecord, slot: Slot) -> None:
        """Settle what is in doubt, then go on with it like with any other."""
        with slot:
            sent = await self._sender.settle(step, slot, attempt)
            if isinstance(sent, Accepted):
                await self._watch(step, sent.attempt, slot, step.size, sent.task)
                return
            self._budget.release(step.external_task_id)
            slot.free()
        if isinstance(sent, SendAgain) and step.job is not None and step.media is not None:
            await self._take_up(step)

    # -- trouble -------------------------------------------------------------------------------------------------

    async def _watch_all(self) -> None:
        try:
            await self._watcher.run()
        except ManifestRunnerError as error:
            self._stop.now(error)
        except Exception as error:  # noqa: BLE001 - reported as a bug, after what is under way was recorded
            self._stop.now(bug_in("watching tasks", error))

    async def _wind_up(self, watching: asyncio.Task[None]) -> None:
        """Cancel what waits; let paid calls that are under way be answered and recorded."""
        self._slots.close()
        self._preparer.close()
        everything = [*self._sending.cancel(), *self._fetching.cancel(), watching]
        watching.cancel()
        await self._shelter.finish()
        await asyncio.gather(*everything, return_exceptions=True)
        self._line.close()


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
