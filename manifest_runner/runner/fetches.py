"""The line of results to bring home: a few at a time, and few in memory however many wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from manifest_runner.errors import LedgerError
from manifest_runner.ledger import RESTORE, AttemptRecord, Ledger, queries, results
from manifest_runner.models import JobState, ServiceStatus
from manifest_runner.runner.courtesy import Courtesy
from manifest_runner.runner.decide import Action
from manifest_runner.runner.fetch import Fetcher
from manifest_runner.runner.guard import Guard
from manifest_runner.runner.step import Step
from manifest_runner.service import Task

KEPT = 1000  # results whose tasks are kept at hand; of further ones only the jobs' ids, and the service is asked again


@dataclass(frozen=True, slots=True)
class _Errand:
    step: Step
    attempt: AttemptRecord
    task: Task | None  # the freshest description, where there is one


class Fetches:
    """Workers take turns: a result of this run, then one that an earlier run left, in the plan's order."""

    def __init__(self, *, ledger: Ledger, fetcher: Fetcher, guard: Guard, courtesy: Courtesy) -> None:
        self._ledger = ledger
        self._fetcher = fetcher
        self._guard = guard
        self._courtesy = courtesy
        self._left_over: Iterator[Step] = iter(())
        self._fresh: deque[_Errand] = deque()
        self._later: deque[str] = deque()
        self._fresh_first = False
        self._closed = False
        self._news = asyncio.Event()

    def go_on_with(self, left_over: Iterator[Step]) -> None:
        """What earlier runs left: FETCH and RESTORE steps, each taken when its turn comes."""
        self._left_over = left_over

    def add(self, step: Step, attempt: AttemptRecord, task: Task) -> None:
        """A task has ended, and is recorded. One that failed has no result."""
        if task.status is not ServiceStatus.SUCCEED:
            return
        if len(self._fresh) < KEPT:
            self._fresh.append(_Errand(step, attempt, task))
        else:
            self._later.append(step.external_task_id)
        self._news.set()

    def no_more(self) -> None:
        """Nothing is added any more: workers end when all is home."""
        self._closed = True
        self._news.set()

    async def work(self) -> None:
        while True:
            await self._courtesy.after_you()
            errand = self._next()
            if errand is not None:
                await self._guard.run(errand.step, self._carry_out, errand)
            elif self._closed:
                return
            else:
                self._news.clear()
                await self._news.wait()

    # -- what comes next -----------------------------------------------------------------------------------------

    def _next(self) -> _Errand | None:
        self._fresh_first = not self._fresh_first
        if self._fresh_first:
            return self._from_this_run() or self._from_earlier_runs()
        return self._from_earlier_runs() or self._from_this_run()

    def _from_this_run(self) -> _Errand | None:
        if self._fresh:
            return self._fresh.popleft()
        while self._later:
            record = self._ledger.read(queries.job, self._later.popleft())
            if record is not None and record.attempt is not None and record.state is JobState.RENDERED:
                step = Step(
                    external_task_id=record.external_task_id,
                    action=Action.FETCH,
                    why="rendered",
                    output=record.output,
                    record=record,
                )
                return _Errand(step, record.attempt, None)
        return None

    def _from_earlier_runs(self) -> _Errand | None:
        step = next(self._left_over, None)
        if step is None:
            return None
        return _Errand(step, attempt_of(step), None)

    async def _carry_out(self, errand: _Errand) -> None:
        step = errand.step
        if step.action is Action.RESTORE:  # back to a video that is paid already
            if step.job is not None:
                await self._ledger.write(
                    results.restored, errand.attempt.attempt_id, step.job, here=step.here
                )
            if step.here:
                return
        await self._fetcher.fetch(errand.attempt, step.output, errand.task)


def attempt_of(step: Step) -> AttemptRecord:
    """The attempt of a job that is under way. Raises LedgerError when the ledger has lost it."""
    if step.attempt is None:
        raise LedgerError(
            f"The ledger says that {step.external_task_id} is at the service, and knows no attempt of it.",
            mend=RESTORE,
        )
    return step.attempt
