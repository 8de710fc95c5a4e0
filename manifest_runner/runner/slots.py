"""The service's slots: how many attempts may be under way at once.

A slot is taken before the create call and given back when the task has ended, not when the call was answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from manifest_runner.errors import NeedsPerson

QUIET_SECONDS = 30.0  # without a "too many tasks" for so long, one more slot is tried


class Slot:
    """One slot. As a context manager it is free again at the end, however that comes about, unless it was kept."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._held = True

    def free(self) -> None:
        if self._held:
            self._held = False
            self._slots._give_back()

    async def take_again(self) -> None:
        """Wait in line for it once more, after `free`."""
        await self._slots._wait_for_one()
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

    def __init__(self, ceiling: int, *, quiet_seconds: float = QUIET_SECONDS) -> None:
        self.ceiling = ceiling
        self.limit = ceiling
        self.used = 0
        self._lost = 0
        self._quiet_seconds = quiet_seconds
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._creep: asyncio.TimerHandle | None = None

    async def take(self) -> Slot:
        """Wait for a free slot and take it, first come first served.

        Raises NeedsPerson when every slot is held by a task whose end was given up on.
        """
        await self._wait_for_one()
        return Slot(self)

    def occupy(self) -> Slot:
        """The slot of a task that the service already has; counted even past the limit."""
        self.used += 1
        return Slot(self)

    def too_many(self) -> None:
        """The service refused a create call for lack of slots (1303); the caller still holds its own.

        What is in flight without that call is what the account can take just now. From there the limit
        creeps up again, one slot after each quiet while.
        """
        self.limit = max(1, min(self.limit, self.used - 1))
        self.close()
        self._schedule()

    def close(self) -> None:
        """No timer is left behind."""
        if self._creep is not None:
            self._creep.cancel()
            self._creep = None

    async def _wait_for_one(self) -> None:
        if self._lost >= self.ceiling:
            raise _all_lost(self.ceiling)
        if self.used < self.limit and not self._waiting:
            self.used += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()  # it was handed over in the same moment: pass it on
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _give_back(self) -> None:
        self.used -= 1
        self._hand_out()

    def _lose(self) -> None:
        self._lost += 1
        while self._lost >= self.ceiling and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(_all_lost(self.ceiling))

    def _schedule(self) -> None:
        self._creep = asyncio.get_running_loop().call_later(self._quiet_seconds, self._one_more)

    def _one_more(self) -> None:
        self._creep = None
        self.limit = min(self.ceiling, self.limit + 1)
        self._hand_out()
        if self.limit < self.ceiling:
            self._schedule()

    def _hand_out(self) -> None:
        while self._waiting and self.used < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.used += 1
                turn.set_result(None)


def _all_lost(ceiling: int) -> NeedsPerson:
    return NeedsPerson(
        f"Each of the {ceiling} slots is held by a task that does not end, or whose state is unknown.",
        mend="Look at the tasks in the service's console, then run the same command again.",
    )
