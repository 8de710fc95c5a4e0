"""Work that goes on side by side until none is left. What goes wrong with any of it stops the run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from manifest_runner.errors import ManifestRunnerError
from manifest_runner.runner.stop import Stop, bug_in


class Crew:
    """`spawn` work, which may spawn more; `done` waits until all of it is over."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        self._idle.clear()
        task.add_done_callback(self._over)
        return task

    async def done(self) -> None:
        await self._idle.wait()

    def cancel(self) -> list[asyncio.Task[None]]:
        """The tasks that were cancelled, to be waited for."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._stop.now(error if isinstance(error, ManifestRunnerError) else bug_in("a run", error))
        if not self._tasks:
            self._idle.set()
