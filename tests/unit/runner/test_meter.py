"""What a run's figures say, against what was written into a real ledger; and how fast it is said to go."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from ledger_kit import Doings

from manifest_runner.ledger import open_ledger, queries
from manifest_runner.ledger.standing import CHUNK
from manifest_runner.models import JobState
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.gauges import Gauges
from manifest_runner.runner.meter import Meter
from manifest_runner.runner.speed import LEAST_ENDS, WINDOW_SECONDS, Speed


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def doings(tmp_path: Path) -> Iterator[Doings]:
    with open_ledger(tmp_path / "ledger.sqlite3", account="sandbox") as ledger:
        yield Doings(ledger)


def meter(doings: Doings, clock: Clock, *, units: int = 0, gauges: Gauges | None = None) -> Meter:
    return Meter(doings.ledger, "c", gauges or Gauges(), expected_units=Decimal(units), clock=clock)


def test_what_it_counts_is_what_the_ledger_has(doings):
    doings.enrol("here", "a", "b", "c", "d", "e")
    doings.make("here")
    looking = meter(doings, Clock())
    assert looking.look().done == 1, "of the run before"
    doings.make("a")
    doings.send("b")
    doings.refuse("b")
    doings.send("c")
    doings.accept("c")
    doings.end("c", failed=True)
    doings.send("d")
    doings.accept("d")
    doings.end("d")
    doings.send("e")
    figures = looking.look()
    assert +figures.by_state == doings.ledger.read(queries.counts, "c")
    assert (figures.jobs, figures.done, figures.not_made) == (6, 2, 2)
    assert (figures.at_service, figures.to_fetch) == (1, 1)
    assert figures.video_seconds == Decimal("10.5"), "of the videos that this run has fetched"


def test_a_job_that_the_manifest_no_longer_names_is_none_of_it(doings):
    doings.enrol("a", "gone")
    doings.send("gone")
    doings.accept("gone")
    doings.ledger.write_now(
        lambda connection: connection.execute("UPDATE jobs SET listed = 0 WHERE external_task_id = 'gone'")
    )
    looking = meter(doings, Clock())
    doings.end("gone")
    doings.keep("gone")
    figures = looking.look()
    assert (figures.jobs, figures.by_state[JobState.PENDING], figures.done) == (1, 1, 0)


def test_another_campaign_in_the_ledger_is_none_of_it(doings):
    doings.enrol("a")
    looking = meter(doings, Clock())
    Doings(doings.ledger, "other").enrol("b")
    assert looking.look().jobs == 1


def test_a_look_reads_only_what_is_new(doings):
    doings.enrol("a")
    looking = meter(doings, Clock())
    doings.make("a")
    assert [move.to_state for move in looking.catch_up()] == [
        JobState.SUBMITTING,
        JobState.RUNNING,
        JobState.RENDERED,
        JobState.DONE,
    ]
    assert looking.catch_up() == []


def test_more_than_one_part_is_caught_up_with(doings):
    looking = meter(doings, Clock())
    doings.enrol(*(f"j{number}" for number in range(CHUNK * 2 + 3)))
    assert looking.look().jobs == CHUNK * 2 + 3


def test_units_are_the_budgets_own(doings):
    doings.enrol("a")
    budget = Budget(Decimal(500), Decimal("12.4"), {"x": Decimal(2)}, carried=Decimal(2))
    gauges = Gauges(slots=SimpleNamespace(used=3, limit=4, ceiling=5), budget=budget)
    looking = meter(doings, Clock(), units=4, gauges=gauges)
    looking.look()
    budget.hold("a", Decimal(5))
    budget.settle("a", Decimal("4.4"))
    gauges.received(1_500_000)
    figures = looking.look()
    assert (figures.units_spent, figures.units_held) == (Decimal("14.8"), Decimal(2))
    assert figures.units_expected == Decimal("16.4"), (
        "spent before, at the service before, and what this run sends"
    )
    assert (figures.slots_used, figures.slots_limit, figures.slots_ceiling) == (3, 4, 5)
    assert figures.bytes_received == 1_500_000


def test_the_time_left_goes_by_what_has_ended(doings):
    clock, ids = Clock(), [f"j{number}" for number in range(10)]
    doings.enrol(*ids)
    gauges = Gauges(slots=SimpleNamespace(used=2, limit=2, ceiling=2))
    looking = meter(doings, clock, units=40, gauges=gauges)
    assert looking.look().seconds_left is None, "nothing tells yet"
    clock.now += 10
    doings.make("j0")
    assert looking.look().seconds_left is None, "one of two slots has not ended anything yet"
    doings.make("j1")
    assert looking.look().seconds_left == pytest.approx(40), "2 of 10 in 10 s"
    clock.now += 10
    doings.send("j2")
    doings.refuse("j2")
    assert looking.look().seconds_left == pytest.approx(70), "7 to go, 2 in 20 s: a refusal takes no time"


def test_what_an_earlier_run_left_counts_for_the_speed_and_not_for_the_work(doings):
    clock = Clock()
    doings.enrol("old", "new")
    doings.send("old")
    doings.accept("old")
    looking = meter(doings, clock, units=4)
    clock.now += 10
    doings.end("old")
    assert looking.look().seconds_left == pytest.approx(10)


def test_speed_forgets_what_was_long_ago():
    clock = Clock()
    speed = Speed(clock)
    for _ in range(100):
        clock.now += 1
        speed.ended(Decimal(10))
    assert speed.per_second(at_least=50) == pytest.approx(10)
    for _ in range(1000):
        clock.now += 2
        speed.ended(Decimal(10))
    assert speed.per_second(at_least=50) == pytest.approx(5, rel=0.02), "the quick beginning is forgotten"
    clock.now += WINDOW_SECONDS
    assert speed.per_second(at_least=50) < 1, "nothing ends: it is no longer so quick"


def test_speed_of_long_tasks_is_measured_over_enough_of_them():
    clock = Clock()
    speed = Speed(clock)
    for _ in range(60):
        clock.now += WINDOW_SECONDS * 2
        speed.ended(Decimal(6))
    assert speed.per_second(at_least=1) == pytest.approx(6 / (WINDOW_SECONDS * 2))
    assert LEAST_ENDS > 1


def test_speed_without_anything_done_is_not_known():
    clock = Clock()
    speed = Speed(clock)
    clock.now += 5
    assert speed.per_second(at_least=0) is None
    speed.ended(Decimal(0))
    assert speed.per_second(at_least=0) is None
