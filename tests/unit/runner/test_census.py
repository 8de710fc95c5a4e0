"""The census of the account: believed when it is whole, in order, fresh and never contradicted; else every job is asked
for by itself."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from canaries import CANARY
from result_server import API, ResultServer, envelope, plain, silence

from manifest_runner.errors import CredentialsError
from manifest_runner.runner import census as census_module
from manifest_runner.runner.census import Census
from manifest_runner.service import ApiKey, AvatarClient
from manifest_runner.service import retry as retry_module

NOW = 1_790_000_000_000  # ms


class Desk:
    """A census over a real socket, and a clock that a test sets."""

    def __init__(self, server: ResultServer, client: AvatarClient) -> None:
        self.server, self.client = server, client
        self.clock, self.made, self.strangers = 0.0, 0, set()

    def put(self, *keys: str, created_at: int | None = None) -> None:
        """Further tasks, each newer than the last, on top of the list."""
        for key in keys:
            self.made += 1
            self.server.put(f"{870_000 + self.made}", "succeed", key=key)
            task = self.server.tasks.pop(f"{870_000 + self.made}")
            task["created_at"] = NOW + self.made if created_at is None else created_at
            self.server.tasks = {str(task["task_id"]): task} | self.server.tasks

    def census(self, jobs: int = 1000, wave: int = 0, sample: bool = False, borne_out: int = 8) -> Census:
        census = Census(
            self.client,
            jobs=jobs,
            wave=wave,
            stranger=lambda task: task.external_task_id in self.strangers,
            clock=lambda: self.clock,
            rng=random.Random(1),
        )
        if not sample:
            census._sample = frozenset()
        for _ in range(borne_out):
            census.spares("on trial")
            census.not_found()
        return census

    async def taken(self, **about) -> Census:
        census = self.census(**about)
        await census.take()
        return census

    async def look(self, census: Census, size: int = 30) -> None:
        census.look(await self.client.list_tasks(page=1, page_size=size), size, self.clock)


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(retry_module, "_FIRST_SECONDS", 0.001)
    monkeypatch.setattr(census_module, "PAGE", 10)
    async with ResultServer() as server, AvatarClient(server.url, ApiKey(CANARY)) as client:
        yield Desk(server, client)


# -- believed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 35])
async def test_who_is_in_the_account_is_looked_up_and_who_is_not_is_spared(desk, count):
    desk.put(*(f"there-{number}" for number in range(count)))
    census = await desk.taken()
    assert (census.trusted, census.why_not) == (True, "")
    assert census.spares("new")
    assert [census.spares(f"there-{number}") for number in range(count)] == [False] * count


async def test_a_second_attempt_in_the_account_is_as_good_as_a_first(desk):
    """A lost ledger may have known a first attempt that was refused."""
    desk.put("a-r2")
    census = await desk.taken()
    assert not census.spares("a")
    assert census.spares("b")


async def test_tasks_that_come_up_during_the_walk_are_seen_twice_and_missed_never(desk):
    desk.put(*(f"there-{number}" for number in range(25)))
    real = desk.client.list_tasks

    async def list_tasks(page: int, page_size: int):
        shown = await real(page=page, page_size=page_size)
        desk.put(f"new-{page}", f"newer-{page}")
        return shown

    desk.client.list_tasks = list_tasks
    census = await desk.taken()
    assert census.trusted
    assert not any(census.spares(f"there-{number}") for number in range(25))


# -- not believed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [0, 1, 32, 100])
async def test_a_small_campaign_takes_none(desk, jobs):
    census = await desk.taken(jobs=jobs, wave=50)
    assert not census.trusted
    assert not census.spares("new")
    assert desk.server.lists == []


async def test_a_list_in_another_order_is_not_believed(desk):
    desk.put(*(f"there-{number}" for number in range(12)))
    desk.server.tasks = dict(reversed(desk.server.tasks.items()))
    census = await desk.taken()
    assert (census.trusted, census.why_not) == (False, "the list is not newest first")
    assert not census.spares("new")


async def test_the_order_holds_over_all_pages(desk):
    desk.put(*(f"there-{number}" for number in range(10)))
    desk.put(*(f"older-{number}" for number in range(10)), created_at=NOW)
    census = await desk.taken()
    assert census.why_not == "the list is not newest first"


async def test_a_list_without_times_is_not_believed(desk):
    desk.put("a", "b")
    for task in desk.server.tasks.values():
        del task["created_at"]
    assert not (await desk.taken()).trusted


async def test_an_entry_that_cannot_be_read_may_be_anybodys(desk):
    desk.put("a", "b")
    next(iter(desk.server.tasks.values()))["task_id"] = None
    assert (await desk.taken()).why_not == "an entry of the list can't be read"


async def test_a_service_that_gives_shorter_pages_than_it_was_asked_for(desk, monkeypatch):
    desk.put(*(f"there-{number}" for number in range(20)))
    real = desk.client.list_tasks
    desk.client.list_tasks = lambda page, page_size: real(page=page, page_size=5)
    census = await desk.taken()
    assert census.why_not == "a page is shorter than it was asked for, and not the last"


async def test_a_list_that_is_longer_than_it_is_worth_is_left_alone(desk):
    desk.put(*(f"there-{number}" for number in range(80)))
    census = await desk.taken(jobs=100)
    assert census.why_not == "the account has more tasks than are worth walking over"
    assert len(desk.server.lists) == 5, "one page for twenty jobs"


@pytest.mark.parametrize("trouble", [silence, plain(502), plain(200, b"{}")])
async def test_a_list_that_cannot_be_had(desk, trouble):
    desk.server.list_trouble = [trouble] * 9
    census = await desk.taken()
    assert (census.trusted, census.why_not) == (False, "the list can't be had")


async def test_what_every_call_would_meet_stops_the_run(desk):
    desk.server.list_trouble = [envelope(None, code=1000, status=401)]
    with pytest.raises(CredentialsError):
        await desk.taken()


async def test_before_it_is_taken_it_says_nothing(desk):
    assert not desk.census().spares("new")


# -- tried ------------------------------------------------------------------------------------------------------------


async def test_the_first_wave_and_a_sample_are_looked_up_all_the_same(desk):
    census = await desk.taken(jobs=500, wave=20, sample=True, borne_out=0)
    spared = []
    for number in range(500):
        spared.append(census.spares(f"new-{number}"))
        if not spared[-1]:
            census.not_found()
    assert not any(spared[:20])
    assert (
        500 - 20 - 500 // census_module.SAMPLED <= sum(spared) < 500 - 20 - 500 // census_module.SAMPLED // 2
    )
    assert not census.in_use, "nobody is left to ask"


async def test_nobody_is_spared_before_half_of_the_first_wave_has_borne_it_out(desk):
    census = await desk.taken(wave=20, borne_out=0)
    assert not any(census.spares(f"new-{number}") for number in range(30))
    for _ in range(9):
        census.not_found()
    assert not census.spares("new")
    census.not_found()
    assert census.spares("new")


async def test_a_look_up_that_finds_more_than_the_census_ends_it(desk):
    desk.put("known")
    census = await desk.taken()
    census.found("known")
    assert census.trusted
    census.found("unknown")
    assert (census.trusted, census.in_use) == (False, False)
    assert not census.spares("new")


async def test_a_create_call_that_meets_a_duplicate_ends_it(desk):
    census = await desk.taken()
    census.duplicate("a")
    assert not census.spares("new")


# -- fresh ------------------------------------------------------------------------------------------------------------


async def test_it_goes_stale_and_a_look_that_leaves_no_gap_keeps_it_fresh(desk):
    desk.put("old")
    census = await desk.taken()
    desk.clock = 60.0
    assert census.spares("new")
    desk.clock = 61.0
    assert not census.spares("new")
    desk.put("another's")
    await desk.look(census)
    assert census.spares("new")


async def test_a_page_that_does_not_reach_back_keeps_nothing_fresh(desk):
    desk.put("old")
    census = await desk.taken()
    desk.clock = 50.0
    desk.put(*(f"newer-{number}" for number in range(30)))
    await desk.look(census, size=30)
    desk.clock = 61.0
    assert not census.spares("new"), "what lies behind the page nobody has seen"
    await desk.look(census, size=31)
    assert census.spares("new")


async def test_a_strangers_task_under_an_id_of_ours_ends_it(desk):
    """Another machine is sending the same manifest."""
    desk.put("old")
    census = await desk.taken()
    desk.put("nobody's business")
    await desk.look(census)
    assert census.trusted
    desk.put("ours")
    desk.strangers.add("ours")
    await desk.look(census)
    assert not census.trusted
    assert "somebody else has made a task with the id ours" in census.why_not


async def test_a_later_page_in_another_order_ends_it(desk):
    desk.put("a", "b")
    census = await desk.taken()
    desk.server.tasks = dict(reversed(desk.server.tasks.items()))
    await desk.look(census)
    assert not census.trusted


async def test_pages_of_a_census_that_is_not_believed_are_not_even_looked_at(desk):
    census = desk.census()
    desk.put("ours")
    desk.strangers.add("ours")
    await desk.look(census)
    assert census.why_not == "it was not taken yet"
    assert desk.server.asked[-1].path == API
