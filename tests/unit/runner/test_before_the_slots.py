"""The line before the slots: what is prepared, how much of it, and what refusals for lack of slots do to it."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_campaign import AVATAR, Campaign, envelope, open_campaign, scripted, with_audio_id, with_files

from manifest_runner.ledger import limits, open_for_reading
from manifest_runner.models import JobState
from manifest_runner.runner import again, ahead, conduct, identities
from manifest_runner.runner.again import Cause
from manifest_runner.runner.conduct import Conductor
from manifest_runner.runner.prepare import Prepared

DONE = JobState.DONE


@pytest.fixture
async def campaign(tmp_path: Path) -> AsyncIterator[Campaign]:
    async with open_campaign(tmp_path) as campaign:
        yield campaign


def jobs(count: int, make=with_audio_id):
    return [make(f"j{number:03}") for number in range(count)]


def prepared_now() -> int:
    gc.collect()
    return sum(isinstance(thing, Prepared) for thing in gc.get_objects())


class AccountOf:
    """A service whose account takes so many tasks at once, and counts the create calls that are under way."""

    def __init__(self, campaign: Campaign, slots: int) -> None:
        self.slots, self.under_way, self.most_refused_at_once, self.refused = slots, 0, 0, 0
        self._service, self._real = campaign.service, campaign.service.create
        campaign.service.create = self._create

    @property
    def live(self) -> int:
        return sum(not task.ended for task in self._service.tasks.values())

    async def _create(self, body):
        self.under_way += 1
        try:
            await asyncio.sleep(0.005)
            if self.live < self.slots:
                return await self._real(body)
            self.refused += 1
            self.most_refused_at_once = max(self.most_refused_at_once, self.under_way)
            self._service.note(f"post {body['external_task_id']}")
            return scripted("429/1303")
        finally:
            self.under_way -= 1


# -- how much is prepared ----------------------------------------------------------------------------------------


async def test_steps_are_taken_from_the_plan_as_they_are_needed(campaign, monkeypatch):
    monkeypatch.setattr(conduct, "PREPARED_AHEAD", 3)
    taken, real = [], Conductor._take_up

    async def take_up(conductor, step):
        taken.append(step.external_task_id)
        await real(conductor, step)

    monkeypatch.setattr(Conductor, "_take_up", take_up)
    service = campaign.service
    service.held = {job.external_task_id for job in jobs(20)}
    going = asyncio.create_task(campaign.run(*jobs(20)))
    await service.until(lambda: len(service.tasks) == 2)
    await asyncio.sleep(0.1)
    assert len(taken) == 2 + 3, "two slots, and three ahead"
    assert prepared_now() <= 3, "what was sent holds nothing any more"
    service.held.clear()
    assert (await going).exit_code == 0
    assert len(taken) == 20


async def test_what_is_prepared_is_bounded_by_its_bytes(campaign, monkeypatch):
    """Each holds a portrait and a recording; no more than two of them fit."""
    sizes = [(campaign.folder / name).stat().st_size for name in ("face.png", "voice.wav")]
    monkeypatch.setattr(ahead.Ahead.__init__, "__defaults__", (int(2.5 * sum(sizes)),))
    service, most = campaign.service, 0
    real = service.create

    async def create(body):
        nonlocal most
        await asyncio.sleep(0.01)
        most = max(most, prepared_now())
        return await real(body)

    service.create = create
    campaign.concurrency = 8
    ran = await campaign.run(*jobs(12, with_files))
    assert (ran.exit_code, set(campaign.states().values())) == (0, {DONE})
    assert 1 <= most <= 2


async def test_of_a_finished_campaign_nothing_is_left_in_memory(campaign):
    await campaign.run(*jobs(30))
    gc.collect()
    assert prepared_now() == 0


# -- refusals for lack of slots ----------------------------------------------------------------------------------


@pytest.fixture
def quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(again._BOUNDS, Cause.NO_SLOT, again._Bound(None, 0.02, 0.05))


async def test_a_storm_of_refusals_is_one_call_at_a_time_and_prepares_no_further(
    campaign, quick_probes, monkeypatch
):
    monkeypatch.setattr(conduct, "PREPARED_AHEAD", 4)
    campaign.concurrency = 3
    account = AccountOf(campaign, 0)
    going = asyncio.create_task(campaign.run(*jobs(60)))
    await campaign.service.until(lambda: account.refused >= 3)
    account.most_refused_at_once = 0  # those that were under way together before the first refusal
    await campaign.service.until(lambda: account.refused >= 15)
    assert account.most_refused_at_once == 1
    assert set(campaign.service.posts) <= {f"j{number:03}" for number in range(3 + 4)}
    assert len(set(campaign.service.posts[6:])) == 1, "the head of the line, again and again"
    assert prepared_now() <= 3 + 4
    account.slots = 3
    ran = await going
    assert (ran.exit_code, len(campaign.service.tasks)) == (0, 60)


async def test_what_the_account_takes_is_learned_and_told(campaign, quick_probes):
    """Ten are allowed, and it takes four: after the first refusals hardly any call is wasted."""
    campaign.concurrency = 10
    account = AccountOf(campaign, 4)
    ran = await campaign.run(*jobs(40))
    assert (ran.exit_code, set(campaign.states().values())) == (0, {DONE})
    assert account.refused < 40
    with open_for_reading(campaign.ledger) as connection:
        told = list(limits.limits_of(connection, "campaign"))
    assert (told[0].limit, told[0].used) == (10, 0)
    assert [(attempt.number) for attempt in campaign.job("j039").attempts] == [1], "a refusal is no attempt"


async def test_without_a_figure_the_account_tells_where_to_begin(campaign):
    campaign.concurrency = None
    service, real = campaign.service, campaign.service.answer

    async def answer(method: str, path: str, body: bytes):
        if not path.startswith("/account/costs"):
            return await real(method, path, body)
        packs = [
            {"resource_pack_name": "Old-30Con-1Months", "status": "expired"},
            {"resource_pack_name": "Video-100Units-3Con-1Months", "status": "online"},
            {"resource_pack_name": "Trial-2Con", "status": "online"},
        ]
        return envelope(data={"code": 0, "msg": "m", "resource_pack_subscribe_infos": packs})

    service.answer = answer
    service.held = {job.external_task_id for job in jobs(8)}
    going = asyncio.create_task(campaign.run(*jobs(8)))
    await service.until(lambda: len(service.tasks) == 3)
    await asyncio.sleep(0.1)
    assert len(service.tasks) == 3
    service.held.clear()
    assert (await going).exit_code == 0


async def test_an_account_that_does_not_tell_begins_with_five(campaign):
    campaign.concurrency = None
    service = campaign.service
    service.held = {job.external_task_id for job in jobs(8)}
    going = asyncio.create_task(campaign.run(*jobs(8)))
    await service.until(lambda: len(service.tasks) == 5)
    await asyncio.sleep(0.1)
    assert len(service.tasks) == 5
    service.held.clear()
    assert (await going).exit_code == 0


# -- the census --------------------------------------------------------------------------------------------------


async def test_most_jobs_of_a_large_campaign_need_no_look_up(campaign):
    lists_properly(campaign)
    ran = await campaign.run(*jobs(120))
    asked = [line for line in campaign.service.log if line.startswith("look j")]
    assert (ran.exit_code, len(campaign.service.tasks)) == (0, 120)
    assert 2 + 16 <= len(asked) < 60, "the first wave and the sample"


async def test_a_lost_ledger_of_a_large_campaign_pays_for_nothing_again(campaign):
    lists_properly(campaign)
    campaign.service.duplicates_refused = False
    await campaign.run(*jobs(80))
    for file in campaign.folder.glob("ledger.sqlite3*"):
        file.unlink()
    for task in campaign.service.tasks.values():
        task.created_at -= 86_400_000
    ran = await campaign.run(*jobs(90))
    assert len(campaign.service.posts) == 90, "the ten that were new"
    assert list(campaign.states().values()).count(JobState.CONFLICT) == 80
    assert ran.exit_code == 3


async def test_a_list_that_hides_tasks_is_found_out_by_the_first_wave(campaign):
    """Nothing is paid twice although the list says that the account is empty."""
    service = campaign.service
    service.duplicates_refused = False
    lists_properly(campaign)
    campaign.concurrency = 1
    keys = [job.external_task_id for job in jobs(90)]
    service.unlisted = set(keys)
    for key in keys:
        service.holds(key, created_at=1_700_000_000_000)
    await campaign.run(*jobs(90))
    assert service.posts == []
    assert set(campaign.states().values()) == {JobState.CONFLICT}


async def test_the_census_says_nothing_of_calls_of_our_own(campaign, monkeypatch):
    """A call that was refused and landed after all is taken up, however clear the list of a large campaign was."""
    monkeypatch.setattr(identities, "HOLDS_FOR", 0.05)
    service, real = campaign.service, campaign.service.create
    lists_properly(campaign)
    service.duplicates_refused = False
    service.creates["j070"] = deque(["429/1303"])

    async def create(body):
        first = body["external_task_id"] == "j070" and "post j070" not in service.log
        said = await real(body)
        if first:  # while the gate is closed for a second
            asyncio.get_running_loop().call_later(0.2, service.holds, "j070")
        return said

    service.create = create
    ran = await campaign.run(*jobs(90))
    assert service.posts.count("j070") == 1
    assert (ran.exit_code, set(campaign.states().values())) == (0, {DONE})


async def test_a_list_that_never_answers_keeps_no_run_open_that_sends_nothing_more(campaign, monkeypatch):
    monkeypatch.setattr(conduct, "LOOK_AROUND_SECONDS", 0.05)
    service, real = campaign.service, campaign.service.answer

    async def answer(method: str, path: str, body: bytes):
        if "pageSize=500" in path:
            await asyncio.sleep(3600)
        return await real(method, path, body)

    service.answer = answer
    campaign.budget = "0.9"
    async with asyncio.timeout(15):  # a list call by itself may take half a minute, and is tried three times
        ran = await campaign.run(*jobs(90, with_files))
    assert ran.exit_code == 5
    assert len(service.posts) == 1


def lists_properly(campaign: Campaign) -> None:
    """Newest first, in pages of the size that is asked for."""
    service, real = campaign.service, campaign.service.answer

    async def answer(method: str, path: str, body: bytes):
        if not path.startswith(f"{AVATAR}?"):
            return await real(method, path, body)
        number, size = (int(part.split("=")[1]) for part in path.partition("?")[2].split("&"))
        service.note("list")
        shown = [task for task in service.tasks.values() if task.key not in service.unlisted]
        newest = sorted(shown, key=lambda task: task.created_at, reverse=True)
        page = newest[(number - 1) * size : number * size]
        return envelope(data=[service.looked_at(task) for task in page])

    service.answer = answer
