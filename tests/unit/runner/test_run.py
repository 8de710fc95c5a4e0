"""A campaign run once, twice, interrupted and gone on with: no job is sent twice."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import signal
import warnings
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from scripted_campaign import Campaign, open_campaign, video, with_audio_id, with_files

from manifest_runner.errors import CredentialsError, Interrupted, ManifestError, ServiceUnreachable
from manifest_runner.ledger import open_ledger, queries
from manifest_runner.models import JobState, ServiceStatus
from manifest_runner.runner import conduct, run
from manifest_runner.runner.conduct import Outcome
from manifest_runner.runner.run import exit_code

A, B, C = with_audio_id("a"), with_audio_id("b"), with_audio_id("c")
PENDING, SUBMITTING, RUNNING, DONE = JobState.PENDING, JobState.SUBMITTING, JobState.RUNNING, JobState.DONE


@pytest.fixture
async def campaign(tmp_path: Path) -> AsyncIterator[Campaign]:
    async with open_campaign(tmp_path) as campaign:
        yield campaign


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """One job is made ready at a time, so that they are sent in the order of the manifest."""
    monkeypatch.setattr(conduct, "PREPARED_AHEAD", 1)


def interrupt(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


# -- all the way -------------------------------------------------------------------------------------------------


async def test_from_manifest_to_videos(campaign):
    ran = await campaign.run(with_files("a"), B)
    assert (ran.exit_code, ran.outcome.create_calls, ran.outcome.problems) == (0, 2, [])
    for key in "ab":
        assert campaign.file(f"{key}.mp4").read_bytes() == video()
        assert not campaign.file(f".{key}.mp4.part").exists()
    record = campaign.job("a")
    assert (record.file, record.bytes) == ("a.mp4", len(video()))
    assert record.sha256 == hashlib.sha256(video()).hexdigest()
    attempt = record.attempt
    assert (attempt.units_deducted, attempt.video_seconds) == (Decimal("0.8"), Decimal("0.500"))
    assert attempt.service_status is ServiceStatus.SUCCEED
    assert campaign.went("a") == [PENDING, SUBMITTING, RUNNING, JobState.RENDERED, DONE]


async def test_the_second_run_makes_no_create_call(campaign, in_order):
    await campaign.run(A, B)
    ran = await campaign.run(A, B)
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 0)
    assert campaign.service.posts == ["a", "b"]


async def test_a_later_run_sends_only_what_is_new(campaign):
    await campaign.run(A)
    ran = await campaign.run(A, B)
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 1)
    assert campaign.service.posts == ["a", "b"]


async def test_a_video_that_was_deleted_here_is_fetched_again_without_paying(campaign):
    await campaign.run(A)
    campaign.file("a.mp4").unlink()
    ran = await campaign.run(A)
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 0)
    assert campaign.file("a.mp4").read_bytes() == video()


async def test_a_job_that_was_never_sent_and_left_the_manifest_is_forgotten(campaign, in_order):
    campaign.concurrency = 1
    campaign.service.every_create = "429/1102"
    await campaign.run(A, B)
    await campaign.run(A)
    assert campaign.states() == {"a": PENDING}


async def test_the_longest_job_goes_first(campaign, in_order):
    campaign.concurrency = 1
    await campaign.run(with_files("short"), with_audio_id("of-unknown-length"))
    assert campaign.service.posts == ["of-unknown-length", "short"]


# -- interrupted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_sends_nothing_new_and_the_next_run_goes_on(campaign, in_order, number):
    campaign.concurrency = 1
    service = campaign.service
    service.held = {"a"}
    going = asyncio.create_task(campaign.run(A, B))
    await service.until(lambda: "a" in service.tasks)
    await asyncio.sleep(0.05)
    interrupt(number)
    ran = await going
    assert isinstance(ran.outcome.stopped, Interrupted)
    assert "same command again" in str(ran.outcome.stopped)
    assert (ran.exit_code, service.posts) == (130, ["a"])
    assert campaign.states() == {"a": RUNNING, "b": PENDING}

    service.held.clear()
    ran = await campaign.run(A, B)
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 1)
    assert service.posts == ["a", "b"]
    assert campaign.states() == {"a": DONE, "b": DONE}


async def test_a_create_call_under_way_is_answered_and_recorded_although_the_run_stops(campaign):
    service = campaign.service
    service.creates["a"] += ["slow"]
    going = asyncio.create_task(campaign.run(A))
    await service.until(lambda: "a" in service.posts)
    interrupt()
    ran = await going
    assert (ran.exit_code, ran.outcome.create_calls) == (130, 1)
    assert campaign.states() == {"a": RUNNING}
    assert campaign.job("a").attempt.task_id == service.tasks["a"].task_id

    ran = await campaign.run(A)
    assert (ran.exit_code, service.posts) == (0, ["a"])


async def test_an_interrupt_while_in_doubt_leaves_the_doubt_to_the_next_run(campaign):
    """The task had landed; the next run finds it, and sends nothing."""
    campaign.create_seconds = 0.4
    service = campaign.service
    service.creates["a"] += ["lost"]
    going = asyncio.create_task(campaign.run(A))
    await service.until(lambda: service.log[-2:] == ["post a", "look a"])
    interrupt()
    assert (await going).exit_code == 130
    assert campaign.states() == {"a": SUBMITTING}
    service.holds("a")
    ran = await campaign.run(A)
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 0)
    assert (service.posts, campaign.states()) == (["a"], {"a": DONE})


async def test_an_interrupt_before_the_first_job_ends_the_run_without_a_word_from_python(
    campaign, monkeypatch
):
    service = campaign.service
    service.held = {"a"}
    campaign.task_timeout = 0.1
    await campaign.run(A)  # leaves a task to be watched
    list_tasks = service.list_tasks

    def list_and_interrupt():
        interrupt()
        return list_tasks()

    monkeypatch.setattr(service, "list_tasks", list_and_interrupt)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # It may come just before the hello's answer, or just after: then the jobs have been taken up already.
        (ran,) = await asyncio.gather(campaign.run(A, B), return_exceptions=True)
        gc.collect()
    assert isinstance(ran if isinstance(ran, Exception) else ran.outcome.stopped, Interrupted)
    assert service.posts == ["a"]
    assert campaign.states() == {"a": RUNNING, "b": PENDING}
    assert [str(warning.message) for warning in caught] == []


async def test_waits_are_cut_short_by_an_interrupt(campaign, in_order):
    """Of a job that waits to be sent again, and of those that wait for their turn behind it."""
    campaign.concurrency = 1
    service = campaign.service
    service.every_create = "429/1303"
    going = asyncio.create_task(campaign.run(A, B, C))
    await service.until(lambda: "a" in service.posts)
    await asyncio.sleep(0.05)
    interrupt()
    ran = await going
    assert ran.exit_code == 130
    assert set(campaign.states().values()) == {PENDING}
    assert service.posts.count("a") == 1


# -- before anything is sent -------------------------------------------------------------------------------------


async def test_a_service_that_is_not_there(campaign, monkeypatch):
    monkeypatch.setattr(run, "HELLO_TRIES", 1)
    campaign.service.listening.close()
    with pytest.raises(ServiceUnreachable, match="does not answer") as unreachable:
        await campaign.run(A)
    assert unreachable.value.exit_code == 4
    assert campaign.states() == {"a": PENDING}


async def test_a_wrong_key_is_said_before_anything_is_sent(campaign):
    campaign.service.lists += ["401/1000"]
    with pytest.raises(CredentialsError, match="does not accept the key"):
        await campaign.run(A)
    assert campaign.service.posts == []


async def test_a_service_that_stumbles_once_is_asked_again(campaign):
    campaign.service.lists += ["502"]
    assert (await campaign.run(A)).exit_code == 0


async def test_an_id_of_another_campaign_is_refused_where_it_stands(campaign, monkeypatch):
    await campaign.run(A)
    monkeypatch.setattr("scripted_campaign.NAME", "another")
    with pytest.raises(ManifestError) as refused:
        await campaign.run(A, B)
    assert [problem.job for problem in refused.value.problems] == ["a"]
    assert "belongs to the campaign 'campaign'" in str(refused.value)
    assert campaign.service.posts == ["a"]


async def test_units_of_what_is_in_flight_are_reserved_once(campaign, in_order):
    """What an interrupted run left is settled by the next, not counted twice."""
    campaign.budget, campaign.task_timeout = "1.6", 0.1
    campaign.service.held = {"a"}
    jobs = [with_files("a"), with_files("b")]
    campaign.concurrency = 1
    await campaign.run(*jobs)
    campaign.task_timeout = 60
    campaign.service.held.clear()
    ran = await campaign.run(*jobs)
    assert (ran.exit_code, campaign.spend().committed) == (0, Decimal("1.6"))


async def test_what_is_at_the_service_is_carried_and_what_is_sent_is_not(campaign, in_order, monkeypatch):
    """A run's figures are of the campaign: what it only waits for counts once, beside what it sends."""
    budgets, budget_of = [], run.budget_of

    def noted(*arguments):
        budgets.append(budget_of(*arguments))
        return budgets[-1]

    monkeypatch.setattr(run, "budget_of", noted)
    jobs = [with_files("a"), with_files("b")]
    campaign.concurrency, campaign.task_timeout = 1, 0.1
    campaign.service.held = {"a"}
    await campaign.run(*jobs)
    campaign.task_timeout = 60
    campaign.service.held.clear()
    await campaign.run(*jobs)
    assert [budget.carried for budget in budgets] == [Decimal(0), Decimal("0.8")]


# -- what the program ends with ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "unfinished", "code"),
    [
        (Outcome(), 0, 0),
        (Outcome(), 1, 3),
        (Outcome(problems=["a: it was so"]), 0, 3),
        (Outcome(stopped=Interrupted("enough")), 0, 130),
        (Outcome(stopped=CredentialsError("no")), 2, 4),
    ],
)
def test_exit_codes(outcome, unfinished, code):
    assert exit_code(outcome, unfinished) == code


async def test_the_ledger_is_free_again_after_a_run(campaign):
    await campaign.run(A)
    with open_ledger(campaign.ledger, account="test") as ledger:
        assert ledger.read(queries.counts, "campaign") == {DONE: 1}
