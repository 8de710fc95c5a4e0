"""The line of results: both sources have their turns, few are kept in memory, and one's trouble is its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from result_server import rendered

from manifest_runner.errors import FetchError, LedgerError
from manifest_runner.ledger import AttemptRecord, Ledger, open_ledger, queries
from manifest_runner.models import ServiceStatus
from manifest_runner.runner import fetches as fetches_module
from manifest_runner.runner.courtesy import Courtesy
from manifest_runner.runner.decide import Action
from manifest_runner.runner.fetches import Fetches
from manifest_runner.runner.guard import Guard
from manifest_runner.runner.step import Step
from manifest_runner.runner.stop import Stop
from manifest_runner.service import Task


class Fetcher:
    """Notes what it is asked to bring home."""

    def __init__(self) -> None:
        self.brought: list[tuple[str, str, bool]] = []
        self.trouble: dict[str, Exception] = {}

    async def fetch(self, attempt: AttemptRecord, output: str, task: Task | None) -> None:
        self.brought.append((attempt.external_task_id, output, task is not None))
        await asyncio.sleep(0)
        if attempt.external_task_id in self.trouble:
            raise self.trouble[attempt.external_task_id]


@pytest.fixture
def ledger(tmp_path: Path):
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        yield ledger


@pytest.fixture
def desk(ledger: Ledger):
    fetcher, stop = Fetcher(), Stop()
    fetches = Fetches(ledger=ledger, fetcher=fetcher, guard=Guard(ledger, stop), courtesy=Courtesy())  # type: ignore[arg-type]
    return fetches, fetcher, stop


def step(ledger: Ledger, key: str, *, known: bool = True) -> Step:
    """A rendered job, as a plan or this run has it."""
    rendered(ledger, key, f"task-{key}")
    record = ledger.read(queries.job, key) if known else None
    return Step(external_task_id=key, action=Action.FETCH, why="paid", output=f"{key}.mp4", record=record)


def told(key: str, status: ServiceStatus = ServiceStatus.SUCCEED) -> Task:
    return Task(task_id=f"task-{key}", status=status, status_text=status.value)


async def all_home(fetches: Fetches, workers: int = 1) -> None:
    fetches.no_more()
    async with asyncio.timeout(5):
        await asyncio.gather(*(fetches.work() for _ in range(workers)))


async def test_results_of_this_run_and_of_earlier_ones_take_turns(ledger, desk):
    fetches, fetcher, _ = desk
    fetches.go_on_with(iter([step(ledger, f"old-{number}") for number in range(3)]))
    for number in range(3):
        fresh = step(ledger, f"new-{number}")
        fetches.add(fresh, fresh.attempt, told(f"new-{number}"))
    await all_home(fetches)
    assert [key for key, _, _ in fetcher.brought] == ["new-0", "old-0", "new-1", "old-1", "new-2", "old-2"]
    assert [has_task for _, _, has_task in fetcher.brought] == [True, False] * 3


async def test_earlier_results_are_taken_from_the_plan_when_their_turn_comes(ledger, desk):
    fetches, fetcher, _ = desk
    taken = []

    def left_over():
        for number in range(20):
            taken.append(number)
            yield step(ledger, f"old-{number}")

    fetches.go_on_with(left_over())
    working = [asyncio.create_task(fetches.work()) for _ in range(3)]
    await asyncio.sleep(0)
    assert len(taken) == 3
    await all_home(fetches)
    await asyncio.gather(*working)
    assert len(fetcher.brought) == 20


async def test_of_very_many_only_the_ids_are_kept(ledger, desk, monkeypatch):
    monkeypatch.setattr(fetches_module, "KEPT", 2)
    fetches, fetcher, _ = desk
    for number in range(5):
        fresh = step(ledger, f"new-{number}")
        fetches.add(fresh, fresh.attempt, told(f"new-{number}"))
    assert len(fetches._fresh) == 2
    await all_home(fetches, workers=2)
    assert sorted(fetcher.brought) == [
        (f"new-{number}", f"new-{number}.mp4", number < 2) for number in range(5)
    ]


async def test_a_task_that_failed_has_no_result(ledger, desk):
    fetches, fetcher, _ = desk
    failed = step(ledger, "a")
    fetches.add(failed, failed.attempt, told("a", ServiceStatus.FAILED))
    await all_home(fetches)
    assert fetcher.brought == []


async def test_workers_wait_until_there_is_something_or_nothing_more(ledger, desk):
    fetches, fetcher, _ = desk
    working = asyncio.create_task(fetches.work())
    await asyncio.sleep(0.01)
    assert not working.done()
    fresh = step(ledger, "a")
    fetches.add(fresh, fresh.attempt, told("a"))
    await asyncio.sleep(0.05)
    assert [key for key, _, _ in fetcher.brought] == ["a"]
    assert not working.done()
    fetches.no_more()
    await asyncio.wait_for(working, 5)


async def test_a_result_that_cannot_be_had_holds_up_no_other(ledger, desk):
    fetches, fetcher, stop = desk
    fetcher.trouble = {"old-0": FetchError("it broke off.")}
    fetches.go_on_with(iter([step(ledger, f"old-{number}") for number in range(2)]))
    await all_home(fetches)
    assert [key for key, _, _ in fetcher.brought] == ["old-0", "old-1"]
    assert ledger.read(queries.job, "old-0").why == "it broke off."
    assert stop.reason is None


async def test_a_job_whose_attempt_the_ledger_has_lost_is_said(ledger, desk):
    fetches, _, _ = desk
    fetches.go_on_with(iter([step(ledger, "a", known=False)]))
    with pytest.raises(LedgerError, match="knows no attempt of it"):
        await all_home(fetches)
