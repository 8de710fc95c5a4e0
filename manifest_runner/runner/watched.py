"""What is known of a task while it is watched, and what follows from it. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from manifest_runner.ledger import AttemptRecord
from manifest_runner.models import ServiceStatus
from manifest_runner.runner.pace import WANTED, Size
from manifest_runner.service import Task, TaskPage


@dataclass(slots=True, eq=False)
class Watched:
    attempt: AttemptRecord
    task_id: str
    size: Size
    number: int  # in the order in which this run began to watch
    since: float  # event loop's clock
    born: float  # the same, of when the service took it
    looked: float  # when it was last seen or looked up
    over: asyncio.Future[Task | None]
    status: ServiceStatus | None = None
    status_text: str | None = None
    hinted: bool = False  # a callback has told of it
    queued: bool = False  # a confirming look-up is on its way
    again: bool = False  # and another hint has come since it left


def is_due(watched: Watched, now: float, likely: float | None) -> bool:
    """What has taken long already is looked at less often: it may well take longer yet. But at once when it has most
    likely ended since the last look, after `likely` seconds."""
    if likely is not None and watched.looked < watched.born + likely <= now:
        return True
    return now - watched.looked >= 0.75 * WANTED * (now - watched.born)


def tells_all(task: Task) -> bool:
    """Whether there is nothing more to learn of a task that has ended."""
    has_video = bool(task.videos) and task.videos[0].url is not None
    ended = task.status is ServiceStatus.FAILED or (task.status is ServiceStatus.SUCCEED and has_video)
    return ended and task.units is not None


def behind(page: TaskPage, unseen: Sequence[Watched], clock_skew: timedelta | None) -> list[Watched]:
    """Those that the service took before the oldest that the page shows. `clock_skew`: service's clock minus ours."""
    moments = [task.created_at for task in page.tasks if task.created_at is not None]
    if not moments:
        return []
    oldest_by_our_clock = min(moments) - (clock_skew or timedelta(0))
    taken = ((one, one.attempt.accepted_at) for one in unseen)
    return [one for one, accepted_at in taken if accepted_at and accepted_at < oldest_by_our_clock]
