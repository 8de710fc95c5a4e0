"""Ids that are nobody's when they are asked about, and somebody's by the time their call would leave."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_campaign import Campaign, open_campaign, picture, sound, with_files

from manifest_runner.models import JobState
from manifest_runner.runner import conduct, identities
from manifest_runner.service import retry

A, B = with_files("a"), with_files("b")


@pytest.fixture
async def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Campaign]:
    """One slot, jobs in their order; the service itself refuses no duplicate."""
    monkeypatch.setattr(conduct, "PREPARED_AHEAD", 1)
    monkeypatch.setattr(identities, "HOLDS_FOR", 0.05)
    (tmp_path / "here").mkdir()
    async with open_campaign(tmp_path / "here") as campaign:
        campaign.concurrency = 1
        campaign.service.duplicates_refused = False
        yield campaign


def another_machine(campaign: Campaign) -> Campaign:
    """The same manifest on the same account, with a folder and a ledger of its own."""
    folder = campaign.folder.parent / "there"
    folder.mkdir()
    (folder / "face.png").write_bytes(picture())
    (folder / "voice.wav").write_bytes(sound())
    return Campaign(folder, campaign.service)


async def test_what_another_machine_sent_while_a_job_waited_for_its_slot_is_not_sent_again(campaign):
    service = campaign.service
    service.held = {"a"}
    going = asyncio.create_task(campaign.run(A, B))
    await service.until(lambda: "made a" in service.log and "look b-r2" in service.log)
    await asyncio.sleep(0.2)
    await another_machine(campaign).run(B)
    service.held.clear()
    ran = await going
    assert service.log.count("made b") == 1
    assert campaign.states() == {"a": JobState.DONE, "b": JobState.CONFLICT}
    assert ran.exit_code == 3
    (problem,) = ran.outcome.problems
    assert "the account already has a task" in problem


async def test_what_another_machine_sent_while_a_job_waited_after_a_refusal_is_not_sent_again(campaign):
    service = campaign.service
    service.creates["a"] = deque(["429/1303"])
    going = asyncio.create_task(campaign.run(A))
    await service.until(lambda: "post a" in service.log)
    await asyncio.sleep(0.2)
    service.holds("a", created_at=1_700_000_000_000)  # older than our intent: surely not ours
    ran = await going
    assert service.posts == ["a"], "the one that was refused"
    assert campaign.states() == {"a": JobState.CONFLICT}
    assert "the account already has a task" in ran.outcome.problems[0]


async def test_a_call_that_the_service_refused_and_made_all_the_same_is_taken_up(campaign):
    service = campaign.service
    service.creates["a"] = deque(["429/1303"])
    going = asyncio.create_task(campaign.run(A))
    await service.until(lambda: "post a" in service.log)
    await asyncio.sleep(0.2)
    service.holds("a")
    ran = await going
    assert (service.posts, ran.exit_code) == (["a"], 0)
    assert campaign.states() == {"a": JobState.DONE}
    assert campaign.job("a").attempt.posts == 1


async def test_what_was_asked_a_moment_ago_is_not_asked_again(campaign, monkeypatch):
    monkeypatch.setattr(identities, "HOLDS_FOR", 60.0)
    await campaign.run(A, B)
    asked = [line for line in campaign.service.log if line.startswith("look ") and line[5] in "ab"]
    assert sorted(asked) == ["look a", "look a-r2", "look b", "look b-r2"]


async def test_a_service_that_does_not_answer_the_second_question_gets_no_call(campaign, monkeypatch):
    monkeypatch.setattr(retry, "LOOK_UP_TRIES", 1)
    service = campaign.service
    service.held = {"a"}
    going = asyncio.create_task(campaign.run(A, B))
    await service.until(lambda: "made a" in service.log and "look b-r2" in service.log)
    await asyncio.sleep(0.2)
    real = service.look_up
    service.look_up = lambda any_id: (502, b"<html>") if any_id.startswith("b") else real(any_id)
    service.held.clear()
    ran = await going
    assert (service.posts, ran.exit_code) == (["a"], 4)
    assert campaign.states()["b"] is JobState.PENDING
