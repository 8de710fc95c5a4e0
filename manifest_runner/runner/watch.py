"""Watching tasks at the service: one list call for all, single look-ups for those it did not show."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from manifest_runner.errors import ServiceError, ServiceRefused, ServiceUnreachable
from manifest_runner.ledger import AttemptRecord, Ledger, writes
from manifest_runner.models import ServiceStatus
from manifest_runner.runner.stop import Stop, stops_the_run
from manifest_runner.service import AvatarClient, Task, next_delay

MOST_SINGLE_LOOKUPS = 10  # a round
SMALLEST_PAGE, LARGEST_PAGE = 30, 500
GIVE_UP_AFTER = 900.0  # seconds of nothing but failing calls


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds between two looks: a tenth of the oldest task's age, between these bounds."""

    shortest: float = 1.0
    longest: float = 10.0

    def interval(self, oldest_age: float) -> float:
        return min(self.longest, max(self.shortest, oldest_age / 10))


@dataclass(slots=True, eq=False)
class _Watched:
    attempt: AttemptRecord
    task_id: str
    since: float  # event loop's clock
    over: asyncio.Future[Task | None]
    looked: float = field(default=0.0)  # when it was last seen or looked up
    status: ServiceStatus | None = None
    status_text: str | None = None


class Watcher:
    """Tells when tasks end. `run()` is its one loop; `ended()` waits for one task."""

    def __init__(
        self, *, ledger: Ledger, client: AvatarClient, stop: Stop, pace: Pace, task_timeout: float
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._stop = stop
        self._pace = pace
        self._task_timeout = task_timeout
        self._watched: dict[str, _Watched] = {}  # by attempt: a confused service may give two the same task
        self._news = asyncio.Event()
        self._rng = random.Random()  # noqa: S311 - spreads load, guards nothing

    async def ended(self, attempt: AttemptRecord) -> Task | None:
        """The task as the service describes it once it has ended; None when it has not within the time-out.

        A task that is given up keeps its slot at the service: the caller must not give the slot away.
        """
        if attempt.task_id is None:
            raise ValueError(f"attempt {attempt.attempt_id} has no task to watch")
        loop = asyncio.get_running_loop()
        watched = _Watched(
            attempt, attempt.task_id, loop.time(), loop.create_future(), status=attempt.service_status
        )
        self._watched[attempt.attempt_id] = watched
        self._news.set()
        try:
            return await watched.over
        finally:
            self._watched.pop(attempt.attempt_id, None)

    async def run(self) -> None:
        """Look at what is watched, again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        failing_since: float | None = None
        failures = 0
        while True:
            await self._something_to_watch()
            await asyncio.sleep(
                self._pace.interval(loop.time() - min(w.since for w in self._watched.values()))
            )
            try:
                await self._look()
                failing_since, failures = None, 0
            except ServiceError as error:
                failures += 1
                failing_since = failing_since if failing_since is not None else loop.time()
                wait = self._wait_after(error, failures, loop.time() - failing_since)
                if wait is None:
                    return
                await asyncio.sleep(wait)
            self._give_up_overdue(loop.time())

    async def _something_to_watch(self) -> None:
        while not self._watched:
            self._news.clear()
            await self._news.wait()

    async def _look(self) -> None:
        """One list call; then single look-ups, those first that were not seen for longest. Either does without the
        other: raises the list's error only when nothing else was answered."""
        now = asyncio.get_running_loop().time()
        failed: ServiceError | None = None
        shown: dict[str, Task] = {}
        try:
            shown = await self._list()
        except ServiceRefused:
            raise  # it has its reason: to ask on would be no better
        except ServiceError as error:
            failed = error
        unseen = []
        for watched in list(self._watched.values()):
            if watched.task_id in shown:
                await self._note(watched, shown[watched.task_id], now)
            else:
                unseen.append(watched)
        answered = await self._look_singly(unseen, now)
        if failed is not None and not answered:
            raise failed

    async def _list(self) -> dict[str, Task]:
        size = min(LARGEST_PAGE, max(SMALLEST_PAGE, 2 * len(self._watched)))
        page = await self._client.list_tasks(page=1, page_size=size)
        return {task.task_id: task for task in page.tasks}

    async def _look_singly(self, unseen: list[_Watched], now: float) -> int:
        """How many look-ups were answered; the first that is not ends the round."""
        answered = 0
        for watched in sorted(unseen, key=lambda w: w.looked)[:MOST_SINGLE_LOOKUPS]:
            watched.looked = now  # also when it fails: the others have their turn first
            try:
                task = await self._client.get(watched.task_id)
            except ServiceError as error:
                if isinstance(error, ServiceRefused) and stops_the_run(error) is not None:
                    raise
                break
            answered += 1
            if task is not None:
                await self._note(watched, task, now)
        return answered

    async def _note(self, watched: _Watched, task: Task, now: float) -> None:
        watched.looked = now
        unknown = task.status is ServiceStatus.UNKNOWN
        if task.status.ended:
            if not watched.over.done():
                watched.over.set_result(task)
        elif task.status is not watched.status or (unknown and task.status_text != watched.status_text):
            watched.status, watched.status_text = task.status, task.status_text
            await self._ledger.write(
                writes.status_seen,
                watched.attempt.attempt_id,
                task.status,
                f"an unknown status: {task.status_text}" if unknown else task.status_message,
            )

    def _wait_after(self, error: ServiceError, failures: int, failing_for: float) -> float | None:
        """Seconds to wait after a look that failed; None when the run has to stop."""
        if isinstance(error, ServiceRefused):
            reason = stops_the_run(error)
            if reason is not None:
                self._stop.now(reason)
                return None
        if failing_for > GIVE_UP_AFTER:
            self._stop.now(
                ServiceUnreachable(
                    f"The service has not answered properly for {failing_for / 60:.0f} minutes: {error.what}",
                    mend="The tasks go on there. Run the same command again when it answers.",
                )
            )
            return None
        return next_delay(error, failures, self._rng) or self._pace.longest

    def _give_up_overdue(self, now: float) -> None:
        for watched in self._watched.values():
            if now - watched.since > self._task_timeout and not watched.over.done():
                watched.over.set_result(None)
