"""The service's slots: how many attempts may be under way at once, as far as the account has taught it.

A slot is taken before the create call and given back when the task has ended, not when the call was answered.
`ceiling` is the most that the manifest allows, or None: then a start is given, and what the account takes is found out.

A refusal for lack of slots (1303) says that what is in flight without it is all that the account takes just now. That
becomes the limit, and the gate closes for a while: nobody else sends a call into the refusal. From there the limit
creeps up by one after each quiet while; where the same step is refused again and again, the whiles grow. A probe costs
nothing, and whoever else uses the account has their share meanwhile.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from types import TracebackType

from manifest_runner.errors import NeedsPerson

AUTO_START = 5  # the smallest resource packs that are sold have as many
QUIET_SECONDS = 30.0  # without a "too many tasks" for so long, one more slot is tried
LONGEST_QUIET = 600.0

Told = Callable[[int, int, str], None]
"""Called with a new limit, how many slots are in use, and what changed it."""


class Slot:
    """One slot. As a context manager it is free again at the end, however that comes about, unless it was kept."""

    def __init__(self, slots: Slots, ticket: int, refusals_seen: int) -> None:
        self._slots = slots
        self._ticket = ticket
        self._held = True
        self.refusals_seen = refusals_seen  # how many the account had had when this slot was handed out

    def free(self) -> None:
        if self._held:
            self._held = False
            self._slots._give_back()

    async def take_again(self) -> None:
        """Wait for it once more, after `free`: before all who came later."""
        await self._slots._wait_for_one(self._ticket)
        self.refusals_seen = self._slots.refusals
        self._held = True

    def keep(self) -> None:
        """The service may hold it for longer than this run: it is not given to anybody else."""
        if self._held:
            self._held = False
            self._slots._lose()

    def __enter__(self) -> Slot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()


class Slots:
    """`ceiling` is what the manifest allows; `limit` is what the account has lately let through."""

    def __init__(
        self,
        ceiling: int | None,
        *,
        start: int = AUTO_START,
        quiet_seconds: float = QUIET_SECONDS,
        told: Told = lambda *_: None,
    ) -> None:
        self.ceiling = ceiling
        self.limit = start if ceiling is None else ceiling
        self.used = 0
        self.refusals = 0  # for lack of slots; those of calls that were under way together count once
        self._start = self.limit
        self._lost = 0
        self._in_a_row = 0
        self._refused_since: float | None = None  # event loop's clock
        self._quiet_seconds = quiet_seconds
        self._taught: int | None = None  # the limit that the last refusal left
        self._same_again = 0  # refusals of one and the same step upward
        self._told = told
        self.when_free: Callable[[], object] = lambda: None  # called when one may have come free
        self._tickets = itertools.count()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []  # a heap
        self._creep: asyncio.TimerHandle | None = None
        self._gate: asyncio.TimerHandle | None = None

    async def take(self) -> Slot:
        """Wait for a free slot and take it, first come first served.

        Raises NeedsPerson when every slot is held by a task whose end was given up on.
        """
        ticket = next(self._tickets)
        await self._wait_for_one(ticket)
        return Slot(self, ticket, self.refusals)

    def occupy(self) -> Slot:
        """The slot of a task that the service already has; counted even past the limit."""
        self.used += 1
        return Slot(self, next(self._tickets), self.refusals)

    @property
    def free(self) -> int:
        """How many could be handed out at once."""
        # Where the account has had no slot at all, one call at a time finds out when it has one again.
        return max(0, max(1, self.limit) - self.used) if self._gate is None else 0

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for one."""
        return bool(self._waiting)

    @property
    def refused_for(self) -> float:
        """Seconds since the first refusal for lack of slots after which no call passed."""
        since = self._refused_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    # -- what the account teaches --------------------------------------------------------------------------------

    def too_many(self, slot: Slot) -> int:
        """The service refused a create call for lack of slots (1303); the caller still holds its `slot`.

        How many such refusals there have been in a row, without a call that passed.
        """
        in_flight = self.used - 1
        if slot.refusals_seen == self.refusals:  # else it left together with one that was refused already
            self.refusals += 1
            self._in_a_row += 1
            if self._refused_since is None:
                self._refused_since = asyncio.get_running_loop().time()
            self._same_again = self._same_again + 1 if in_flight == self._taught else 0
        if in_flight < self.limit:
            self._set_limit(in_flight, "the account takes no more at once (1303)")
        self._taught = self.limit
        self._schedule_creep()
        return max(1, self._in_a_row)

    def hold(self, seconds: float) -> None:
        """Nobody gets a slot for so long: the gate is closed."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        if self._gate is not None:
            if self._gate.when() >= until:
                return
            self._gate.cancel()
        self._gate = loop.call_at(until, self._open)

    def passed(self) -> None:
        """The service took a create call."""
        self._in_a_row, self._refused_since = 0, None
        if self.limit == 0:
            self._set_limit(1, "the account takes tasks again")

    def close(self) -> None:
        """No timer is left behind."""
        for timer in (self._creep, self._gate):
            if timer is not None:
                timer.cancel()
        self._creep = self._gate = None

    # -- the line ------------------------------------------------------------------------------------------------

    async def _wait_for_one(self, ticket: int) -> None:
        if self._all_lost():
            raise _lost_error(self._lost)
        if self._creep is None:
            self._schedule_creep()
        if self.free and not self._waiting:
            self.used += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (ticket, turn))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()  # it was handed over in the same moment: pass it on
            else:
                turn.cancel()  # whoever hands out passes over it
            raise

    def _hand_out(self) -> None:
        while self._waiting and self.free:
            _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self.used += 1
                turn.set_result(None)
        if self.free:
            self.when_free()

    def _give_back(self) -> None:
        self.used -= 1
        self._hand_out()

    def _lose(self) -> None:
        self._lost += 1
        while self._waiting and self._all_lost():
            _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_exception(_lost_error(self._lost))

    def _all_lost(self) -> bool:
        return self._lost >= (max(self._start, self.limit) if self.ceiling is None else self.ceiling)

    # -- the limit, and time -------------------------------------------------------------------------------------

    def _set_limit(self, limit: int, why: str) -> None:
        self.limit = limit
        self._told(limit, self.used, why)

    def _schedule_creep(self) -> None:
        if self._creep is not None:
            self._creep.cancel()
            self._creep = None
        if self.ceiling is None or self.limit < self.ceiling:
            self._creep = asyncio.get_running_loop().call_later(self._quiet(), self._one_more)

    def _quiet(self) -> float:
        if self.limit != self._taught:
            return self._quiet_seconds
        return min(
            self._quiet_seconds * 2.0 ** min(self._same_again, 16), max(LONGEST_QUIET, self._quiet_seconds)
        )

    def _one_more(self) -> None:
        """Tried only where the limit is what holds the campaign back."""
        self._creep = None
        if self.used >= self.limit:
            self._set_limit(self.limit + 1, "one more after a quiet while")
            self._hand_out()
        self._schedule_creep()

    def _open(self) -> None:
        self._gate = None
        self._hand_out()


def _lost_error(slots: int) -> NeedsPerson:
    return NeedsPerson(
        f"Each of the {slots} slots is held by a task that does not end, or whose state is unknown.",
        mend="Look at the tasks in the service's console, then run the same command again.",
    )
