"""One job's create call, made again as long as it surely made nothing and may yet: within its slot and its units.

However long the job has waited, it goes out only while its id is nobody's.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from manifest_runner.errors import NeedsPerson, ServiceUnreachable
from manifest_runner.ledger import AttemptRecord
from manifest_runner.models import JobState
from manifest_runner.runner.again import Cause, wait_before_again
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.guard import Guard
from manifest_runner.runner.identities import AlreadyThere, Free, Identities
from manifest_runner.runner.prepare import Prepared
from manifest_runner.runner.slots import Slot, Slots
from manifest_runner.runner.step import Step
from manifest_runner.runner.stop import Stop
from manifest_runner.runner.submit import Accepted, SendAgain, Sent, Submitter

LONGEST_WITHOUT_A_SLOT = (
    5400.0  # seconds; by then our own tasks are over, or given up, and so are most of others
)


class Sender:
    """Between a job's turn and its task: who waits for what, how often, and what is given back."""

    def __init__(
        self,
        *,
        identities: Identities,
        submitter: Submitter,
        slots: Slots,
        budget: Budget,
        guard: Guard,
        stop: Stop,
    ) -> None:
        self._identities = identities
        self._submitter = submitter
        self._slots = slots
        self._budget = budget
        self._guard = guard
        self._stop = stop
        self._rng = random.Random()  # noqa: S311 - spreads load, guards nothing

    async def send(self, prepared: Prepared, slot: Slot) -> Accepted | None:
        """What the service took; None when it will not have it, now or ever.

        A job that is refused for lack of a slot keeps what was prepared, and its place at the head of the line.
        """
        step, free = prepared.step, prepared.free
        why = step.why if step.record else "sent for the first time"
        times = Counter[Cause]()
        while True:
            still = await self._still_free(prepared, free)
            if not isinstance(still, Free):
                return still
            # From here on the census can't answer for it: it does not keep count of calls of our own.
            free = replace(still, never_sent=False)
            sent = await self._settled(step, slot, self._submitter.send(prepared, why))
            if isinstance(sent, Accepted):
                self._slots.passed()
                return sent
            if not isinstance(sent, SendAgain):
                self._budget.release(step.external_task_id)
                return None
            times[sent.cause] += 1
            if sent.cause is Cause.NO_SLOT:  # the account's trouble, not this job's: counted over all
                times[sent.cause] = self._slots.too_many(slot)
            wait = wait_before_again(sent.cause, times[sent.cause], self._rng, sent.asked)
            if sent.cause is Cause.NO_SLOT and self._slots.refused_for > LONGEST_WITHOUT_A_SLOT:
                wait = None
            if wait is not None and sent.cause is Cause.NO_SLOT:
                self._slots.hold(wait)
            slot.free()
            if wait is None:
                self._budget.release(step.external_task_id)
                self._leave_pending(step, sent, times[sent.cause])
                return None
            if sent.cause is not Cause.NO_SLOT:  # there the gate makes everybody wait
                await asyncio.sleep(wait)
            await slot.take_again()
            if not self._stop.may_send():  # any more, after the wait
                self._budget.release(step.external_task_id)
                return None
            why = f"sent again: {sent.why}"

    async def _still_free(self, prepared: Prepared, free: Free) -> Free | Accepted | None:
        """Its id, as long as nobody has it; the task, where a call of ours made it after all; None: it is taken."""
        step = prepared.step
        try:
            still = await self._identities.still_free(free, step.external_task_id, prepared.media)
        except Exception:
            self._budget.give_up(step.external_task_id, may_be_owed=step.may_have_arrived)
            raise
        if isinstance(still, AlreadyThere):
            self._budget.hold(step.external_task_id, still.attempt.units_reserved)
            return Accepted(still.attempt, still.task)
        if still is None:
            self._budget.release(step.external_task_id)
            self._guard.say_it_is_taken(step)
        return still

    async def settle(self, step: Step, slot: Slot, attempt: AttemptRecord) -> Sent:
        """What became of a call that an earlier run left in doubt, or gave up."""
        given_up = step.record is not None and step.record.state is JobState.PENDING
        asking = self._submitter.look(attempt) if given_up else self._submitter.resolve(attempt)
        return await self._settled(step, slot, asking)

    async def _settled(self, step: Step, slot: Slot, sending: Coroutine[Any, Any, Sent]) -> Sent:
        """The outcome of a submission. When it stays in doubt, so do its slot and its units."""
        try:
            return await sending
        except Exception:
            slot.keep()
            self._budget.settle(step.external_task_id, None)
            raise

    def _leave_pending(self, step: Step, sent: SendAgain, times: int) -> None:
        if sent.cause is Cause.NO_CONNECTION:
            self._stop.now(
                ServiceUnreachable(
                    f"The service can't be reached: {sent.why}",
                    mend="Check the network and the service's address, then run the same command again.",
                )
            )
        elif sent.cause is Cause.NO_SLOT:
            minutes = self._slots.refused_for / 60
            self._stop.send_no_more(
                NeedsPerson(
                    f"The account has had no slot free for {minutes:.0f} minutes, at none of {times} tries: {sent.why}",
                    mend="Look in the service's console what else takes them, then run the same command again.",
                )
            )
        else:
            self._guard.say(step, f"not sent after {times} tries ({sent.why}). Run the same command again.")
