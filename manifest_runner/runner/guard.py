"""One job's trouble is its own; what every job would meet stops the run. Nothing that goes wrong goes unsaid."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVarTuple, Unpack

from manifest_runner.errors import (
    BudgetReached,
    FetchError,
    LedgerError,
    MediaError,
    NeedsPerson,
    ServiceError,
    ServiceRefused,
)
from manifest_runner.ledger import Ledger, queries, writes
from manifest_runner.runner.step import Step
from manifest_runner.runner.stop import Stop, bug_in, stops_the_run

MOST_PROBLEMS = 1000  # kept; the ledger has them all

Arguments = TypeVarTuple("Arguments")


class Guard:
    """Runs the parts of each job's way, and keeps the sentences to say of jobs that could not go on."""

    def __init__(self, ledger: Ledger, stop: Stop) -> None:
        self._ledger = ledger
        self._stop = stop
        self._problems: list[str] = []
        self._more = 0

    @property
    def problems(self) -> list[str]:
        """What to say at the end of the run; of very many, how many more there are."""
        more = f"... and {self._more:,} more: the report has them all." if self._more else None
        return [*self._problems, more] if more else list(self._problems)

    async def run(
        self,
        step: Step,
        do: Callable[[Unpack[Arguments]], Coroutine[Any, Any, None]],
        *args: *Arguments,
    ) -> None:
        """`do(*args)` for this job, with every error of it taken care of."""
        work = do(*args)
        del args  # they may hold the job's media, which `do` lets go of
        try:
            await work
        except (LedgerError, NeedsPerson) as error:
            self._stop.now(error)
        except BudgetReached as reached:
            self._stop.send_no_more(reached)
        except (ServiceError, MediaError, FetchError) as error:
            reason = stops_the_run(error) if isinstance(error, ServiceRefused) else None
            if reason is not None:
                self._stop.now(reason)
                return
            await self.note(step, str(error))
        except Exception as error:  # noqa: BLE001 - reported as a bug; the jobs under way are still brought home
            self._stop.send_no_more(bug_in(f"job {step.external_task_id}", error))

    def say_it_is_taken(self, step: Step) -> None:
        """Somebody else has its id, as the ledger has recorded."""
        record = self._ledger.read(queries.job, step.external_task_id)
        self.say(step, (record.why if record else None) or "its id is taken in the account")

    def say(self, step: Step, what: str) -> None:
        """One sentence about a job, for the end of the run."""
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(f"{step.external_task_id}: {what}")
        else:
            self._more += 1

    async def note(self, step: Step, what: str) -> None:
        """The same, kept in the ledger too: the report and `explain` tell it."""
        self.say(step, what)
        try:
            await self._ledger.write(writes.note, step.external_task_id, what)
        except LedgerError as error:
            self._stop.now(error)
