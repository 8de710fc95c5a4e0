"""Who is watched, in the order in which they came; and how far back a page of the list has to reach to show them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from manifest_runner.ledger import AttemptRecord
from manifest_runner.models import utc_now
from manifest_runner.runner.pace import Size
from manifest_runner.runner.watched import Watched
from manifest_runner.service import TaskPage

SMALLEST_PAGE, LARGEST_PAGE = 30, 500


class Roster:
    """Watched tasks by attempt and by task. Times are of the event loop's clock."""

    def __init__(self) -> None:
        self._by_attempt: dict[str, Watched] = {}  # a confused service may give two attempts the same task
        self._by_task: dict[str, Watched] = {}
        self.count = 0  # of tasks that this run has had at the service so far
        self.listed_up_to = 0  # what the count was at the last look at the list
        self._strangers = 0.0  # entries of others for each of ours in a page, lately

    def __len__(self) -> int:
        return len(self._by_attempt)

    def __iter__(self) -> Iterator[Watched]:
        return iter(list(self._by_attempt.values()))

    def of(self, identity: str) -> Watched | None:
        """The one with this `task_id` or `external_task_id`."""
        return self._by_attempt.get(identity) or self._by_task.get(identity)

    def counted(self) -> None:
        """One more task has been made; whether it will have to be watched is another matter."""
        self.count += 1

    def enter(self, attempt: AttemptRecord, task_id: str, size: Size) -> Watched:
        """The newest that was counted."""
        loop = asyncio.get_running_loop()
        now, age = loop.time(), 0.0
        if attempt.accepted_at is not None:
            age = max(0.0, (utc_now() - attempt.accepted_at).total_seconds())
        watched = Watched(
            attempt,
            task_id,
            size,
            self.count,
            since=now,
            born=now - age,
            looked=now - age,
            over=loop.create_future(),
            status=attempt.service_status,
        )
        self._by_attempt[attempt.attempt_id] = self._by_task[task_id] = watched
        return watched

    def leave(self, watched: Watched) -> None:
        self._by_attempt.pop(watched.attempt.attempt_id, None)
        if self._by_task.get(watched.task_id) is watched:
            del self._by_task[watched.task_id]

    # -- the list ------------------------------------------------------------------------------------------------

    def page_size(self, due: list[Watched]) -> int:
        """Enough to reach the oldest that is due, and what the look before showed: what was created since lies before
        it in the list."""
        oldest = min((watched.number for watched in due), default=self.count)
        newer = self.count - min(oldest, self.listed_up_to)
        return min(LARGEST_PAGE, max(SMALLEST_PAGE, 10 + int(1.25 * newer * (1 + self._strangers))))

    def listed(self, page: TaskPage, count: int) -> None:
        """A first page was shown, asked for when so many had been counted."""
        self.listed_up_to = count
        places = [number for number, task in enumerate(page.tasks) if task.task_id in self._by_task]
        if places:  # other programs' tasks lie between ours, up to the oldest of ours that is shown
            ours = self.count - min(self._by_task[page.tasks[place].task_id].number for place in places)
            between = max(0, places[-1] + 1 - ours)
            self._strangers = 0.5 * self._strangers + 0.5 * between / max(1, ours)

    def as_of(self, page: TaskPage, count: int, asked_at: float) -> float:
        """Of when a first page tells: of when it was asked for, but for tasks of ours that it should show and does not.

        A service may answer from a copy that lags behind.
        """
        shown = [watched.number for task in page.tasks if (watched := self._by_task.get(task.task_id))]
        newest = max(shown, default=0)
        missing = (watched.born for watched in self if newest < watched.number <= count)
        return min([asked_at, *missing])
