"""Paid calls, once begun, are answered and recorded, also when the run around them is stopping."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Shelter:
    """Work that cancelling its caller does not cancel. Whoever ends a run waits for it with `finish`."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; when the caller is cancelled meanwhile, the work goes on without it."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._over)
        return await asyncio.shield(task)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # taken also where the caller has gone: whoever met it first has told of it

    async def finish(self) -> None:
        while self._under_way:
            await asyncio.wait(self._under_way)
