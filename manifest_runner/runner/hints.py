"""Hints, as callbacks give them: a reason to look one task up soon, and no more than that."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from manifest_runner.errors import ManifestRunnerError
from manifest_runner.runner.stop import Stop, bug_in
from manifest_runner.runner.watched import Watched

CONFIRMED_AT_ONCE = 8
REST_SECONDS = 1.0  # between two look-ups of one task, however many hints come
EARLY_HINTS = 256  # kept of tasks that are not watched yet: a callback can overtake the create call's answer
EARLY_SECONDS = 10.0


class EarlyHints:
    """Of tasks that nobody watches yet, or that are none of ours: the last few."""

    def __init__(self) -> None:
        self._came: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._came)

    def note(self, identity: str, now: float) -> None:
        self._came[identity] = now
        while len(self._came) > EARLY_HINTS:
            self._came.popitem(last=False)

    def any_for(self, watched: Watched) -> bool:
        """Whether one came a moment ago, before the task was watched."""
        came = [self._came.pop(name, None) for name in (watched.attempt.attempt_id, watched.task_id)]
        return any(at is not None and watched.since - at < EARLY_SECONDS for at in came)


class Confirming:
    """Looks up what was hinted at, few at once; a task for which more hints come is looked up once more a while later.

    `confirm` looks one task up. What it raises stops the run.
    """

    def __init__(self, confirm: Callable[[Watched], Awaitable[None]], stop: Stop) -> None:
        self._confirm = confirm
        self._stop = stop
        self._queue: asyncio.Queue[Watched] = asyncio.Queue()

    def soon(self, watched: Watched) -> None:
        """One look-up soon; another after a rest, when a hint comes meanwhile."""
        watched.again = watched.queued
        if not watched.queued:
            watched.queued = True
            self._queue.put_nowait(watched)

    async def run(self) -> None:
        """Until cancelled."""
        workers = [asyncio.create_task(self._work()) for _ in range(CONFIRMED_AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            watched = await self._queue.get()
            watched.again = False
            try:
                await self._confirm(watched)
            except ManifestRunnerError as error:
                self._stop.now(error)
            except Exception as error:  # noqa: BLE001 - reported as a bug, after what is under way was recorded
                self._stop.now(bug_in("confirming a callback", error))
            asyncio.get_running_loop().call_later(REST_SECONDS, self._rested, watched)

    def _rested(self, watched: Watched) -> None:
        watched.queued = False
        if watched.again:
            self.soon(watched)
