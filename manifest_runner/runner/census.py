"""Which ids the account has: one walk over its list in place of one or two look-ups for each job of a large campaign.

Before a job is sent for the first time, somebody has to say that nobody has its id: that stands between a lost ledger,
or a second machine with the same manifest, and a second bill for every video. One by one it doubles the calls of a
campaign. The list says it of all of them, if it can be believed. This is what the belief rests on:

- The walk has seen every task: pages of the largest size up to one with nothing new behind a short one, every entry
  readable, newest first throughout. Then tasks that come up meanwhile push entries onto later pages, where they are
  seen twice; none can slip through. Any other order, or a list longer than the walk is worth, is not trusted.
- It is kept fresh by what the watcher lists anyway: a first page that still shows the newest task of the page before
  has left nothing out between them. Nobody is sent on its word when such a look is more than a minute old; a page
  that lacks tasks which we have made ourselves is as old as the first of these.
- It is tried: the first wave of jobs is looked up one by one all the same, and nobody is spared before half of it has
  borne the census out; so is one in ten of the rest.
- One contradiction ends the belief for the whole run: a look-up that finds what the census does not have, a stranger's
  task under an id of this campaign, a create call that is answered with "exists already".

A job of which an earlier call may have arrived is never spared its look-up. Where the census is silent, each job is
looked up as before; it can only ever spare a look-up, and a wrong "has it" costs one more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

from manifest_runner.errors import ServiceError, ServiceRefused
from manifest_runner.models import attempt_id
from manifest_runner.runner.stop import stops_the_run
from manifest_runner.service import AvatarClient, Task, TaskPage, repeat_safely

FRESH_SECONDS = 60.0
PAGE = 500
MOST_PAGES = 200
JOBS_A_PAGE = 20  # a page has to spare so many jobs their look-ups, or the walk is not worth it
SMALL = 32  # jobs
LEAST_WAVE, LEAST_SAMPLE = 8, 16  # jobs that are looked up all the same
SAMPLED = 10  # one of so many
LIST_TRIES = 3

Stranger = Callable[[Task], bool]
"""Whether a task has an id of this campaign, and the ledger does not know it as ours."""


class Census:
    """`take` once, `look` at each page that is listed later; `spares` says whether a job needs no look-up.

    `jobs` is how many are sent, `wave` how many at once. `clock` gives seconds that only ever rise.
    """

    def __init__(
        self,
        client: AvatarClient,
        *,
        jobs: int,
        wave: int,
        stranger: Stranger,
        clock: Callable[[], float],
        rng: random.Random | None = None,
    ) -> None:
        rng = rng or random.Random()  # noqa: S311 - chooses a sample, guards nothing
        self._client = client
        self._jobs = jobs
        self._stranger = stranger
        self._clock = clock
        self._most_pages = 0 if jobs <= max(SMALL, 2 * wave) else min(MOST_PAGES, max(2, jobs // JOBS_A_PAGE))
        self._on_trial = max(wave, LEAST_WAVE)
        self._borne_out = 0  # look-ups that found nothing where the census has nothing
        self._sample = (
            frozenset(rng.sample(range(jobs), min(max(LEAST_SAMPLE, jobs // SAMPLED), jobs)))
            if self._most_pages
            else frozenset()
        )
        self._asked = 0  # how often `spares` was
        self._ids: set[int] = set()  # hashes of external ids: one that collides costs a look-up, no more
        self._newest: str | None = None  # task_id at the top of the newest page
        self._shown: frozenset[str] = frozenset()  # task_ids of the newest page
        self._fresh_at: float | None = None  # when the last gapless look was
        self.trusted = False
        self.why_not = "the campaign is small" if not self._most_pages else "it was not taken yet"

    # -- taking it -----------------------------------------------------------------------------------------------

    async def take(self) -> None:
        """Walk the list. A list that can't be had, or can't be believed, leaves the census untrusted, no worse."""
        if not self._most_pages:
            return
        began = self._clock()
        try:
            self.why_not = await self._walk()
        except ServiceError as error:
            if isinstance(error, ServiceRefused) and (reason := stops_the_run(error)) is not None:
                raise reason from error
            self.why_not = "the list can't be had"
        self.trusted = not self.why_not
        self._fresh_at = began
        if not self.trusted:
            self._ids.clear()

    async def _walk(self) -> str:
        """Why the list can't be believed; empty when it can."""
        order, before, short = _Order(), frozenset[str](), False
        for number in range(1, self._most_pages + 1):
            page = await self._page(number)
            if page.listed != len(page.tasks):
                return "an entry of the list can't be read"
            if short:
                known = all(task.task_id in before for task in page.tasks)  # pushed there by new ones
                return "" if known else "a page is shorter than it was asked for, and not the last"
            if number == 1:
                self._newest = page.tasks[0].task_id if page.tasks else None
                self._shown = frozenset(task.task_id for task in page.tasks)
            for task in page.tasks:
                if task.task_id not in before and not order.goes_on_with(task):
                    return "the list is not newest first"
                self._keep(task)
            if not page.listed:
                return ""
            before, short = frozenset(task.task_id for task in page.tasks), page.listed < PAGE
        return "the account has more tasks than are worth walking over"

    async def _page(self, number: int) -> TaskPage:
        return await repeat_safely(
            lambda: self._client.list_tasks(page=number, page_size=PAGE), limit=LIST_TRIES
        )

    # -- keeping it fresh ----------------------------------------------------------------------------------------

    def look(self, page: TaskPage, size: int, at: float) -> None:
        """A first page of the list, asked for in this size, that shows the account as it was at this time or later."""
        if not self.trusted:
            return
        order, shown = _Order(), frozenset(task.task_id for task in page.tasks)
        sound = page.listed == len(page.tasks) and all(order.goes_on_with(task) for task in page.tasks)
        if not sound:
            self.contradict("the list is no longer newest first, or can't be read")
            return
        for task in page.tasks:
            if task.task_id not in self._shown:
                self._take_in(task)
        if page.listed < size or self._newest in shown:
            self._fresh_at = at
            self._newest = page.tasks[0].task_id if page.tasks else None
            self._shown = shown

    def _take_in(self, task: Task) -> None:
        if self._stranger(task):
            self.contradict(f"somebody else has made a task with the id {task.external_task_id}")
            self._keep(task)

    def _keep(self, task: Task) -> None:
        if task.external_task_id is not None:
            self._ids.add(hash(task.external_task_id))

    # -- asking it -----------------------------------------------------------------------------------------------

    def spares(self, external_task_id: str) -> bool:
        """Whether a job that was never sent needs no look-up of its id. Asked once for each job."""
        turn, self._asked = self._asked, self._asked + 1
        if turn < self._on_trial or not self.is_borne_out or turn in self._sample:
            return False
        return self.knows_free(external_task_id)

    def knows_free(self, external_task_id: str) -> bool:
        """Whether the account surely has neither this id nor that of a second attempt."""
        fresh = self._fresh_at is not None and self._clock() - self._fresh_at <= FRESH_SECONDS
        names = (external_task_id, attempt_id(external_task_id, 2))
        return self.trusted and fresh and not any(map(self._has, names))

    @property
    def is_borne_out(self) -> bool:
        """Whether half of the first wave's look-ups found nothing where it has nothing."""
        return 2 * self._borne_out >= self._on_trial

    @property
    def in_use(self) -> bool:
        """Whether jobs are still sent on its word, so that it has to be kept fresh."""
        return self.trusted and self._asked < self._jobs

    def found(self, identity: str) -> None:
        """A look-up has found a task under this id."""
        if self.trusted and not self._has(identity):
            self.contradict(f"the account has the id {identity}, and the list did not show it")

    def not_found(self) -> None:
        """A look-up has found nothing, as the census has it."""
        self._borne_out += 1

    def duplicate(self, identity: str) -> None:
        """A create call was told that the id exists."""
        self.contradict(f"the service says that the id {identity} exists already")

    def contradict(self, why: str) -> None:
        """From now on every job is looked up."""
        self.trusted, self.why_not = False, why

    def _has(self, identity: str) -> bool:
        return hash(identity) in self._ids


class _Order:
    """Whether tasks come newest first, by the service's own times."""

    def __init__(self) -> None:
        self._last: datetime | None = None

    def goes_on_with(self, task: Task) -> bool:
        if task.created_at is None or (self._last is not None and task.created_at > self._last):
            return False
        self._last = task.created_at
        return True
