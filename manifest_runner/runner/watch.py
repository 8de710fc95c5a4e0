"""Watching tasks at the service: one list call for all, single look-ups for what it did not show or was hinted at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from math import inf

from manifest_runner.errors import ServiceError, ServiceRefused
from manifest_runner.ledger import AttemptRecord, Ledger, writes
from manifest_runner.models import ServiceStatus
from manifest_runner.runner.hints import Confirming, EarlyHints
from manifest_runner.runner.pace import Pace, RenderTimes, Size, Stretch
from manifest_runner.runner.patience import Patience
from manifest_runner.runner.roster import Roster
from manifest_runner.runner.stop import Stop, stops_the_run
from manifest_runner.runner.watched import Watched, behind, is_due, tells_all
from manifest_runner.service import AvatarClient, Task, TaskPage

MOST_SINGLE_LOOKUPS = 10  # a round
MOST_PAGES = 3  # a round
WORTH_A_PAGE = 4  # tasks behind the page; fewer are looked up one by one
MOST_UNLISTED = 300  # tasks since the last look: a page has to reach back to what that one showed
LONGEST_STRETCHED = 45.0  # seconds; a census of the account goes stale after 60
UNKNOWN_SIZE = Size()
RETRIED_AFTER = 1.0  # seconds after a list call that failed, for the census's sake

Seen = Callable[[TaskPage, int, float], None]
"""Called with each first page of the list, its size as asked for, and of when it tells (event loop's clock)."""


class Watcher:
    """Tells when tasks end. `run()` is its one loop; `ended()` waits for one task; `hint()` hurries one."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client: AvatarClient,
        stop: Stop,
        pace: Pace,
        task_timeout: float,
        wanted: Callable[[], bool] = lambda: False,
        seen: Seen = lambda *_: None,
        keep_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._pace = pace
        self._task_timeout = task_timeout
        self._wanted = wanted  # whether jobs wait for slots
        self._seen = seen
        self._keep_up = keep_up  # whether the list is to be looked at even when nothing is watched
        self._roster = Roster()
        self._listed_at = 0.0  # event loop's clock
        self._list_tried_at = 0.0  # the same, of the last that was asked for, answered or not
        self._looked_at = 0.0
        self._rest_until = 0.0
        self._times = RenderTimes()
        self._stretch = Stretch()
        self._patience = Patience(stop, usual=pace.longest)
        self._early = EarlyHints()
        self._confirming = Confirming(self._look_up_hinted, stop)
        self._news = asyncio.Event()

    async def ended(
        self, attempt: AttemptRecord, size: Size = UNKNOWN_SIZE, told: Task | None = None
    ) -> Task | None:
        """The task as the service describes it once it has ended; None when it has not within the time-out.

        `told` is what the service has just said of it. A task that is given up keeps its slot at the service: the
        caller must not give the slot away.
        """
        if attempt.task_id is None:
            raise ValueError(f"attempt {attempt.attempt_id} has no task to watch")
        self._roster.counted()
        if told is not None and tells_all(told):
            self._news.set()
            return told
        watched = self._begin(attempt, attempt.task_id, size)
        watched.hinted = self._early.any_for(watched)
        if watched.hinted or (told is not None and told.status.ended):
            self._confirming.soon(watched)
        try:
            return await watched.over
        finally:
            self._roster.leave(watched)

    def hint(self, identity: str) -> None:
        """Something may have become of the task with this `task_id` or `external_task_id`: it is looked up soon.

        Cheap, and nothing for what is not watched.
        """
        now = asyncio.get_running_loop().time()
        watched = self._roster.of(identity)
        if watched is None:
            self._early.note(identity, now)
            return
        watched.hinted = True
        self._stretch.hint(now)
        self._confirming.soon(watched)

    async def run(self) -> None:
        """Look at what is watched, again and again, until cancelled."""
        confirming = asyncio.create_task(self._confirming.run())
        try:
            await self._look_on()
        finally:
            confirming.cancel()
            await asyncio.gather(confirming, return_exceptions=True)

    # -- when ----------------------------------------------------------------------------------------------------

    def _begin(self, attempt: AttemptRecord, task_id: str, size: Size) -> Watched:
        was_idle, now = not self._roster, asyncio.get_running_loop().time()
        watched = self._roster.enter(attempt, task_id, size)
        if was_idle:
            self._looked_at = now
        if now - watched.born > self._pace.longest:
            self._looked_at = -inf  # an earlier run's: it may have ended long since
        self._news.set()
        return watched

    async def _until_due(self) -> None:
        """Wait until it is time to look: sooner, when something is watched that can end sooner."""
        loop = asyncio.get_running_loop()
        while True:
            self._news.clear()
            wait = self._due_at() - loop.time()
            if wait <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(wait if wait < inf else None):
                    await self._news.wait()

    def _due_at(self) -> float:
        """When to look next; for the census's sake also where nothing is watched, or much was sent since."""
        due = max(self._looked_at + self._interval(), self._rest_until) if self._roster else inf
        if self._keep_up():
            unlisted = self._roster.count - self._roster.listed_up_to
            stale = self._listed_at + (0.0 if unlisted >= MOST_UNLISTED else LONGEST_STRETCHED)
            failed = self._list_tried_at > self._listed_at
            due = min(due, max(stale, self._list_tried_at + RETRIED_AFTER) if failed else stale)
        return due

    def _interval(self) -> float:
        under_way = [(watched.size, self._looked_at - watched.born) for watched in self._roster]
        wanted = self._wanted() and self._stretch.factor == 1.0  # callbacks tell of the ends sooner
        usual = self._times.interval(self._pace, under_way, wanted=wanted)
        return max(usual, min(usual * self._stretch.factor, LONGEST_STRETCHED))

    async def _look_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._until_due()
            self._looked_at = began = loop.time()
            try:
                await self._look()
                self._patience.answered()
                took = loop.time() - began  # as long as that there is rest: who is busy is not kept busier
                self._rest_until = loop.time() + min(took, self._pace.longest)
            except ServiceError as error:
                wait = self._patience.wait_after(error)
                if wait is None:
                    return
                await asyncio.sleep(wait)
            self._give_up_overdue(loop.time())

    def _give_up_overdue(self, now: float) -> None:
        for watched in self._roster:
            if now - watched.since > self._task_timeout and not watched.over.done():
                watched.over.set_result(None)

    # -- one look ------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """The list; then single look-ups, those first that were not seen for longest. Either does without the
        other: raises the list's error only when nothing else was answered."""
        now = asyncio.get_running_loop().time()
        due = [one for one in self._roster if is_due(one, now, self._times.likely(one.size))]
        failed: ServiceError | None = None
        unseen = due
        try:
            unseen = await self._look_at_list(due, now)
        except ServiceRefused:
            raise  # it has its reason: to ask on would be no better
        except ServiceError as error:
            failed = error
        self._stretch.looked()
        answered = await self._look_singly(unseen, now)
        if failed is not None and not answered:
            raise failed

    async def _look_at_list(self, due: list[Watched], now: float) -> list[Watched]:
        """What the first page shows, and further ones while many are behind it. Gives back what was not shown."""
        size, count, unseen = self._roster.page_size(due), self._roster.count, due
        self._list_tried_at = now
        for number in range(1, MOST_PAGES + 1):
            try:
                page = await self._client.list_tasks(page=number, page_size=size)
            except ServiceError:
                if number == 1:
                    raise
                break
            if number == 1:
                self._listed_at = now
                self._roster.listed(page, count)
                self._seen(page, size, self._roster.as_of(page, count, now))
            await self._note_page(page, now)
            shown = {task.task_id for task in page.tasks}
            unseen = [one for one in unseen if one.task_id not in shown and not one.over.done()]
            if page.listed < size or len(behind(page, unseen, self._client.clock_skew)) < WORTH_A_PAGE:
                break
        return unseen

    async def _note_page(self, page: TaskPage, now: float) -> None:
        """The ends first, so that their slots are free at once; then what is to be recorded, together."""
        shown = {task.task_id: task for task in page.tasks}
        changed = []
        for watched in self._roster:
            task = shown.get(watched.task_id)
            if task is not None and self._saw(watched, task, now, listed=True):
                changed.append(self._record_status(watched, task))
        await asyncio.gather(*changed)

    async def _look_singly(self, unseen: list[Watched], now: float) -> int:
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
            if task is not None and self._saw(watched, task, now):
                await self._record_status(watched, task)
        return answered

    def _saw(self, watched: Watched, task: Task, now: float, *, listed: bool = False) -> bool:
        """Whether what the service says of it is something new to record."""
        watched.looked = now
        if watched.over.done():
            return False  # what was asked before it ended, and answered after
        if task.status.ended:
            watched.over.set_result(task)
            self._learn(watched, task, now, listed=listed)
            return False
        unknown = task.status is ServiceStatus.UNKNOWN
        return task.status is not watched.status or (unknown and task.status_text != watched.status_text)

    async def _record_status(self, watched: Watched, task: Task) -> None:
        watched.status, watched.status_text = task.status, task.status_text
        unknown = task.status is ServiceStatus.UNKNOWN
        await self._ledger.write(
            writes.status_seen,
            watched.attempt.attempt_id,
            task.status,
            f"an unknown status: {task.status_text}" if unknown else task.status_message,
        )

    def _learn(self, watched: Watched, task: Task, now: float, *, listed: bool) -> None:
        """How long it took, by the service's own clock where that makes sense; and whether a callback was missed."""
        age = now - watched.born
        took = None
        if task.created_at is not None and task.updated_at is not None:
            took = (task.updated_at - task.created_at).total_seconds()
        took = took if took is not None and 0 <= took <= age + 1 else age
        if task.status is ServiceStatus.SUCCEED:  # a failure can come at any time
            self._times.learn(watched.size, took)
        if listed and not watched.hinted:
            self._stretch.missed(now, age - took)

    # -- hints ---------------------------------------------------------------------------------------------------

    async def _look_up_hinted(self, watched: Watched) -> None:
        """A look-up that fails is no loss: the list tells too."""
        if watched.over.done():
            return
        try:
            task = await self._client.get(watched.task_id)
        except ServiceError as error:
            reason = stops_the_run(error) if isinstance(error, ServiceRefused) else None
            if reason is not None:
                raise reason from None
            return
        if task is None or watched.over.done():
            return
        if self._saw(watched, task, asyncio.get_running_loop().time()):
            await self._record_status(watched, task)
        if watched.over.done():
            self._stretch.ended_by_hint()
