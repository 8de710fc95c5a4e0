"""What is prepared ahead of the slots, bounded by the bytes that it holds in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

MOST_BYTES = 256 * 1024 * 1024


class Held:
    """One job's part of the bytes, from before its media are read until its create call is answered."""

    def __init__(self, ahead: Ahead, size: int) -> None:
        self._ahead = ahead
        self.size = size

    def is_really(self, size: int) -> None:
        """What was expected has turned out to be so many bytes."""
        self._ahead._change(size - self.size)
        self.size = size

    def let_go(self) -> None:
        self.is_really(0)

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()


class Ahead:
    """Room for prepared requests, given in the order in which it was asked for."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def room_for(self, size: int) -> Held:
        """Wait until so many bytes fit beside the others; a single request always does."""
        if self._waiting or not self._fits(size):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._change(-size)  # it was given in the same moment
                turn.cancel()
                self._give()
                raise
        else:
            self.held += size
        return Held(self, size)

    def _fits(self, size: int) -> bool:
        return not self.held or self.held + size <= self.most_bytes

    def _change(self, by: int) -> None:
        self.held += by
        self._give()

    def _give(self) -> None:
        while self._waiting and (self._waiting[0][1].done() or self._fits(self._waiting[0][0])):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.held += size
                turn.set_result(None)
