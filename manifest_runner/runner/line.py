"""The line before the slots: in the plan's order, and nobody takes what one further ahead is about to need.

Jobs are made ready side by side, and some take longer than others. One that is ready overtakes those that are not yet,
so that no slot stands idle for an encoder; but not with units that these may need, and hardly with a slot that one of a
higher priority may need.

A call that an earlier run left in doubt, and that turns out to have made nothing, joins at the end, with the job's own
priority. A job whose video was lost is asked about at the service before it joins, and keeps nobody waiting meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count, takewhile

from manifest_runner.models import Units
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.slots import Slots
from manifest_runner.runner.step import Step

PATIENCE = 10.0  # seconds that a free slot waits, at most, for a job of a higher priority that is not ready


@dataclass(slots=True, eq=False)
class Place:
    """One job's place in the line. `units` are what it may need of the budget, at the most."""

    number: int
    key: str
    priority: int
    units: Units
    turn: asyncio.Future[None] | None = None  # waited for since it is ready
    first: asyncio.Future[None] | None = None  # waited for while it is made ready


class Line:
    """`join` in the plan's order, then take a `turn`. One at a time has it."""

    def __init__(self, budget: Budget, slots: Slots) -> None:
        self._budget = budget
        self._slots = slots
        self._numbers = count()
        self._places: dict[int, Place] = {}  # in their order
        self._has_turn: Place | None = None
        self._kept_since: float | None = None  # event loop's clock: a free slot is kept for a higher priority
        self._later: asyncio.TimerHandle | None = None
        slots.when_free = budget.when_settled = self._move_on

    @contextmanager
    def join(self, step: Step) -> Iterator[Place]:
        """At the end of the line, until its turn is over or nothing becomes of it."""
        place = Place(
            number=next(self._numbers),
            key=step.external_task_id,
            priority=step.job.priority if step.job else 0,
            units=step.estimate.high if step.estimate else Decimal(0),
        )
        self._places[place.number] = place
        try:
            yield place
        finally:
            self._leave(place)

    async def room_for(self, place: Place, units: Units) -> None:
        """Wait until the budget has so many units for a job that is to be made ready, without setting them aside.

        For what comes before a create call and would be in vain: a paid speech, a long encoding. Where units are short,
        those further ahead are dealt with first. Raises BudgetReached when they can't be had any more.
        """
        if self._budget.fits(place.key, units + self._may_be_needed(self._ahead_of(place))):
            return
        if next(iter(self._places)) != place.number:
            place.first = asyncio.get_running_loop().create_future()
            await place.first
        await self._budget.room_for(place.key, units)

    @asynccontextmanager
    async def turn(self, place: Place, units: Units) -> AsyncIterator[None]:
        """The job is ready, and may need so many units: wait for its turn, and be out of the line after it."""
        place.units, place.turn = units, asyncio.get_running_loop().create_future()
        try:
            self._move_on()
            await place.turn
            yield
        finally:
            self._leave(place)

    def close(self) -> None:
        """No timer is left behind."""
        if self._later is not None:
            self._later.cancel()

    # -- who is next ---------------------------------------------------------------------------------------------

    def _leave(self, place: Place) -> None:
        if self._places.pop(place.number, None) is None:
            return
        if self._has_turn is place:
            self._has_turn = None
        self._move_on()

    def _move_on(self) -> None:
        if not self._slots.free:
            self._kept_since = None
        head = next(iter(self._places.values()), None)
        if head is not None and head.first is not None and not head.first.done():
            head.first.set_result(None)
        if self._has_turn is not None:
            return
        ready = next((place for place in self._places.values() if place.turn is not None), None)
        if ready is not None and ready.turn is not None and self._may_go(ready):
            self._has_turn = ready
            if not ready.turn.done():
                ready.turn.set_result(None)

    def _may_go(self, ready: Place) -> bool:
        """Whether the first one that is ready takes nothing from those ahead of it, none of which is."""
        overtaken = self._ahead_of(ready)
        if not overtaken:
            return True
        if not self._budget.fits(ready.key, ready.units + self._may_be_needed(overtaken)):
            return False
        higher = sum(place.priority > ready.priority for place in overtaken)
        return not higher or self._slots.free > higher or self._slot_has_waited()

    def _slot_has_waited(self) -> bool:
        """Whether a slot has been kept free for as long as there is patience. From now on, where there is one."""
        if not self._slots.free:
            return False
        loop = asyncio.get_running_loop()
        if self._kept_since is None:
            self._kept_since = loop.time()
        until = self._kept_since + PATIENCE
        if loop.time() >= until:
            return True
        self.close()
        self._later = loop.call_at(until, self._move_on)
        return False

    def _ahead_of(self, place: Place) -> list[Place]:
        return list(takewhile(lambda one: one is not place, self._places.values()))

    def _may_be_needed(self, places: list[Place]) -> Units:
        return sum((place.units for place in places), Decimal(0))
