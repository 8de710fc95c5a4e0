"""Who is sent next: the plan's order, kept where slots or units are short, and nowhere else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from scripted_campaign import HELLO, open_campaign, with_audio_id, with_files, with_speech

from manifest_runner.errors import BudgetReached
from manifest_runner.media import Encoder, Estimate
from manifest_runner.models import Job
from manifest_runner.runner import line as line_module
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.decide import Action
from manifest_runner.runner.line import Line, Place
from manifest_runner.runner.slots import Slots
from manifest_runner.runner.step import Step


class Rehearsal:
    """A line whose jobs are made ready when the test says so."""

    def __init__(self, *, slots: int = 1, limit: str | None = None) -> None:
        self.budget = Budget(Decimal(limit) if limit else None, Decimal(0))
        self.slots = Slots(slots)
        self.line = Line(self.budget, self.slots)
        self.gone: list[str] = []
        self.waiting = ExitStack()

    def join(self, key: str, *, priority: int = 0, units: str = "1") -> Place:
        high = Decimal(units)
        step = Step(
            external_task_id=key,
            action=Action.SEND,
            why="new",
            output="a.mp4",
            job=replace(with_audio_id(key), priority=priority),
            estimate=Estimate(low=high, expected=high, high=high),
        )
        return self.waiting.enter_context(self.line.join(step))

    async def ready(self, place: Place, units: str | None = None) -> asyncio.Task[None]:
        """It may need so many; by default what was expected of it."""
        going = asyncio.create_task(self._go(place, Decimal(units) if units else place.units))
        await settle()
        return going

    async def _go(self, place: Place, units: Decimal) -> None:
        async with self.line.turn(place, units):
            await self.budget.reserve(place.key, units)
            self.gone.append(place.key)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_whoever_is_ready_goes_where_nothing_is_short():
    rehearsal = Rehearsal()
    first, second, third = (rehearsal.join(key) for key in "abc")
    await rehearsal.ready(third)
    await rehearsal.ready(first)
    await rehearsal.ready(second)
    assert rehearsal.gone == ["c", "a", "b"]


async def test_of_several_that_are_ready_the_first_goes():
    rehearsal = Rehearsal()
    first, second, third = (rehearsal.join(key) for key in "abc")
    async with rehearsal.line.turn(first, Decimal(1)):
        await rehearsal.ready(third)
        await rehearsal.ready(second)
    await settle()
    assert rehearsal.gone == ["b", "c"]


async def test_a_last_slot_is_kept_for_a_higher_priority():
    rehearsal = Rehearsal(slots=1)
    high, low = rehearsal.join("high", priority=5), rehearsal.join("low")
    await rehearsal.ready(low)
    assert rehearsal.gone == []
    await rehearsal.ready(high)
    assert rehearsal.gone == ["high", "low"]
    rehearsal.line.close()


async def test_no_slot_is_kept_where_there_are_enough():
    rehearsal = Rehearsal(slots=2)
    rehearsal.join("high", priority=5)
    await rehearsal.ready(rehearsal.join("low"))
    assert rehearsal.gone == ["low"]


async def test_a_slot_does_not_wait_for_ever_for_a_higher_priority(monkeypatch):
    monkeypatch.setattr(line_module, "PATIENCE", 0.05)
    rehearsal = Rehearsal(slots=1)
    rehearsal.join("high", priority=5)
    going = await rehearsal.ready(rehearsal.join("low"))
    assert rehearsal.gone == []
    await asyncio.wait_for(going, 5)
    assert rehearsal.gone == ["low"]


async def test_slots_that_are_free_together_wait_together(monkeypatch):
    monkeypatch.setattr(line_module, "PATIENCE", 0.05)
    rehearsal = Rehearsal(slots=2)
    for key in ("high", "higher"):
        rehearsal.join(key, priority=5)
    going = [await rehearsal.ready(rehearsal.join(key)) for key in ("low", "lower")]
    assert rehearsal.gone == []
    await asyncio.wait_for(going[0], 5)
    await settle()
    assert rehearsal.gone == ["low", "lower"]
    rehearsal.line.close()


async def test_where_no_slot_is_free_none_has_waited_long_enough(monkeypatch):
    monkeypatch.setattr(line_module, "PATIENCE", 0.05)
    rehearsal = Rehearsal(slots=1)
    busy = rehearsal.slots.occupy()
    high, low = rehearsal.join("high", priority=5), rehearsal.join("low")
    await rehearsal.ready(low)
    await asyncio.sleep(0.1)
    assert rehearsal.gone == []
    busy.free()
    await settle()
    assert rehearsal.gone == []
    await rehearsal.ready(high)
    assert rehearsal.gone == ["high", "low"]
    rehearsal.line.close()


async def test_when_slots_come_free_it_is_seen_at_once():
    rehearsal = Rehearsal(slots=2)
    busy = rehearsal.slots.occupy()
    rehearsal.join("high", priority=5)
    await rehearsal.ready(rehearsal.join("low"))
    assert rehearsal.gone == []
    busy.free()
    await settle()
    assert rehearsal.gone == ["low"]


async def test_when_units_come_free_it_is_seen_at_once():
    rehearsal = Rehearsal(slots=9, limit="10")
    rehearsal.budget.hold("before", Decimal(5))
    rehearsal.join("first", units="4")
    await rehearsal.ready(rehearsal.join("second", units="3"))
    assert rehearsal.gone == []
    rehearsal.budget.settle("before", Decimal(1))
    await settle()
    assert rehearsal.gone == ["second"]


async def test_nobody_takes_the_units_that_one_ahead_may_need():
    rehearsal = Rehearsal(slots=9, limit="10")
    first, second = rehearsal.join("first", units="8"), rehearsal.join("second", units="3")
    waiting = await rehearsal.ready(second)
    assert rehearsal.gone == []
    await rehearsal.ready(first)
    assert rehearsal.gone == ["first"]
    rehearsal.budget.settle("first", Decimal("7"))
    await waiting
    assert rehearsal.gone == ["first", "second"]


async def test_what_a_job_may_need_is_known_better_once_it_is_ready():
    rehearsal = Rehearsal(slots=9, limit="10")
    rehearsal.join("first", units="8")
    await rehearsal.ready(rehearsal.join("second", units="8"), units="2")
    assert rehearsal.gone == ["second"]


async def test_what_the_one_ahead_does_not_need_after_all_is_free():
    rehearsal = Rehearsal(slots=9, limit="10")
    with ExitStack() as ahead:
        rehearsal.waiting = ahead
        rehearsal.join("first", units="8")
        rehearsal.waiting = ExitStack()
        going = await rehearsal.ready(rehearsal.join("second", units="3"))
        assert rehearsal.gone == []
    await going
    assert rehearsal.gone == ["second"]


async def test_a_job_far_back_does_not_say_that_the_budget_is_reached():
    """It fits no longer once those ahead have had their turn, but they are only being made ready."""
    rehearsal = Rehearsal(slots=9, limit="10")
    first, second = rehearsal.join("first", units="8"), rehearsal.join("second", units="3")
    asking = asyncio.create_task(rehearsal.line.room_for(second, Decimal("3")))
    await settle()
    assert not asking.done()
    await rehearsal.ready(first)
    await settle()
    assert not asking.done(), "the first one may turn out cheaper"
    rehearsal.budget.settle("first", Decimal("8"))
    with pytest.raises(BudgetReached, match="job second, which may need 3: 8 are spent"):
        await asking


async def test_whoever_is_cancelled_in_its_turn_lets_the_next_one_go():
    rehearsal = Rehearsal(limit="10")
    first, second = rehearsal.join("first", units="10"), rehearsal.join("second", units="1")
    rehearsal.budget.hold("other", Decimal(5))
    stuck, waiting = await rehearsal.ready(first), await rehearsal.ready(second)
    stuck.cancel()
    await waiting
    assert rehearsal.gone == ["second"]


# -- in a campaign -----------------------------------------------------------------------------------------------


@pytest.fixture
def slow_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Files are read once the test lets them."""
    let, real = threading.Event(), Encoder.image

    def image(self, reference, *args):
        if reference == "face.png":
            let.wait(10)
        return real(self, reference, *args)

    monkeypatch.setattr(Encoder, "image", image)
    yield let
    let.set()


def high(job: Job) -> Job:
    return replace(job, priority=50)


async def test_the_highest_priority_is_sent_first_though_it_takes_longest_to_make_ready(
    tmp_path: Path, slow_files
):
    async with open_campaign(tmp_path) as campaign:
        campaign.concurrency = 1
        jobs = [*(with_audio_id(f"low{number}") for number in range(6)), high(with_files("high"))]
        going = asyncio.create_task(campaign.run(*jobs))
        await campaign.service.until(lambda: "list" in campaign.service.log)
        await asyncio.sleep(0.2)
        assert campaign.service.posts == []
        slow_files.set()
        assert (await going).exit_code == 0
        assert campaign.service.posts[0] == "high"


async def test_a_small_budget_is_spent_on_what_comes_first(tmp_path: Path, slow_files):
    """A long text further back does not fit, which is no reason not to send what does."""
    async with open_campaign(tmp_path) as campaign:
        campaign.budget = "1.7"
        speech = replace(HELLO, text="A long story. " * 40)
        going = asyncio.create_task(campaign.run(high(with_files("first")), with_speech("long", speech)))
        await campaign.service.until(lambda: "look first" in campaign.service.log)
        await asyncio.sleep(0.1)
        slow_files.set()
        ran = await going
        assert ran.exit_code == 5
        assert campaign.service.posts == ["first"]
        assert "speak" not in campaign.service.log, "nothing is spoken for a video that can't be paid"
        assert "job long" in str(ran.outcome.stopped)
