"""Text made into sound: once for each text and voice, and every call that may have been billed is counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from scripted_campaign import HELLO, Campaign, open_campaign, with_speech

from manifest_runner.errors import AccountPaused, BudgetReached
from manifest_runner.ledger import open_ledger
from manifest_runner.models import JobState, utc_now, utc_text
from manifest_runner.runner import conduct, speak
from manifest_runner.runner.speak import speech_key

A, B = with_speech("a"), with_speech("b")


@pytest.fixture
async def campaign(tmp_path: Path) -> AsyncIterator[Campaign]:
    async with open_campaign(tmp_path) as campaign:
        yield campaign


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """One job is made ready at a time, so that they are sent in the order of the manifest."""
    monkeypatch.setattr(conduct, "PREPARED_AHEAD", 1)


def calls(campaign: Campaign) -> int:
    return campaign.service.log.count("speak")


async def test_two_jobs_with_the_same_text_share_one_call(campaign):
    ran = await campaign.run(A, B)
    assert (ran.exit_code, calls(campaign)) == (0, 1)
    spoken, *created = campaign.service.bodies
    assert (spoken["text"], spoken["voice_id"]) == ("Hello!", "oversea_male1")
    assert [body["audio_id"] for body in created] == ["audio-1", "audio-1"]
    assert all("sound_file" not in body for body in created)
    (record,) = campaign.speeches()
    assert (record.calls, record.calls_lost, record.units_deducted) == (1, 0, Decimal("0.05"))
    assert campaign.spend().deducted == Decimal("1.65")


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Good evening!"},
        {"voice_id": "other"},
        {"voice_language": "zh"},
        {"voice_speed": Decimal("1.2")},
    ],
)
async def test_what_is_heard_differently_is_made_anew(campaign, change):
    await campaign.run(A, with_speech("b", replace(HELLO, **change)))
    assert calls(campaign) == 2
    audio_ids = {body["audio_id"] for body in campaign.service.bodies if "audio_id" in body}
    assert audio_ids == {"audio-1", "audio-2"}


async def test_a_later_run_uses_the_audio_that_was_made(campaign):
    await campaign.run(A)
    await campaign.run(A, B)
    assert calls(campaign) == 1


@pytest.mark.parametrize("answer", ["lost", "500/5000"])
async def test_a_lost_answer_leads_to_one_more_call_and_stays_counted(campaign, answer):
    campaign.service.speaks += [answer]
    ran = await campaign.run(A)
    assert (ran.exit_code, calls(campaign)) == (0, 2)
    (record,) = campaign.speeches()
    assert (record.calls, record.calls_lost) == (2, 1)


async def test_two_lost_answers_are_enough_for_one_run_and_the_next_may_ask_again(campaign):
    campaign.service.speaks += ["lost"] * 2
    ran = await campaign.run(A)
    assert calls(campaign) == 2
    assert campaign.states() == {"a": JobState.PENDING}
    assert (ran.exit_code, len(ran.outcome.problems)) == (3, 1)

    ran = await campaign.run(A)
    assert (ran.exit_code, calls(campaign)) == (0, 3)
    assert [(record.calls, record.calls_lost) for record in campaign.speeches()] == [(3, 2)]


async def test_two_lost_answers_are_enough_for_one_text_however_many_jobs_have_it(campaign):
    """Each may have been billed: "once more in a run, not oftener"."""
    campaign.service.speaks += ["lost"] * 9
    await campaign.run(A, B)
    assert calls(campaign) == 2


async def test_a_lost_answer_counts_against_the_budget_of_later_runs(campaign):
    campaign.service.speaks += ["lost"] * 2
    await campaign.run(A)
    assert campaign.spend().committed == Decimal("0.10"), "the worst case counts until it is known"


async def test_a_refusal_for_good_is_counted_as_not_made_and_costs_its_job_only(campaign, in_order):
    campaign.service.speaks += ["400/1200"]
    ran = await campaign.run(A, with_speech("b", replace(HELLO, text="Howdy!")))
    assert campaign.states() == {"a": JobState.PENDING, "b": JobState.DONE}
    assert ran.outcome.problems[0].startswith("a: ")
    assert [(record.calls, record.calls_lost) for record in campaign.speeches()] == [(1, 0), (1, 0)]
    assert campaign.service.posts == ["b"]


async def test_too_fast_is_tried_again_and_costs_nothing(campaign):
    campaign.service.speaks += ["429/1302"]
    ran = await campaign.run(A)
    assert (ran.exit_code, calls(campaign)) == (0, 2)
    assert [(record.calls, record.calls_lost) for record in campaign.speeches()] == [(2, 0)]


async def test_refusals_come_to_an_end(campaign, monkeypatch):
    monkeypatch.setattr(speak, "MOST_REFUSALS", 1)
    campaign.service.speaks += ["429/1302"] * 3
    ran = await campaign.run(A)
    assert (ran.exit_code, calls(campaign)) == (3, 1)


async def test_an_account_that_cannot_pay_for_speech_stops_the_run(campaign):
    campaign.service.speaks += ["429/1102"]
    ran = await campaign.run(A, B)
    assert isinstance(ran.outcome.stopped, AccountPaused)
    assert (calls(campaign), campaign.service.posts) == (1, [])


async def test_speech_that_would_pass_the_budget_is_not_made(campaign):
    campaign.budget = "0.04"
    ran = await campaign.run(A, B)
    assert isinstance(ran.outcome.stopped, BudgetReached)
    assert (ran.exit_code, calls(campaign)) == (5, 0)
    assert campaign.speeches() == []


@pytest.mark.parametrize(("age", "made_again"), [(timedelta(days=28), False), (timedelta(days=29), True)])
async def test_audio_that_the_service_will_soon_forget_is_made_again(campaign, age, made_again):
    await campaign.run(A)
    made_at = utc_text(utc_now() - age)
    with open_ledger(campaign.ledger, account="test") as ledger:
        ledger.write_now(lambda connection: connection.execute("UPDATE speeches SET made_at = ?", (made_at,)))
    ran = await campaign.run(A, B)
    assert (ran.exit_code, calls(campaign)) == (0, 2 if made_again else 1)
    assert campaign.service.bodies[-1]["audio_id"] == ("audio-2" if made_again else "audio-1")
    (record,) = campaign.speeches()
    assert record.units_deducted == (Decimal("0.10") if made_again else Decimal("0.05"))


def test_the_key_of_a_speech_does_not_hang_on_how_its_speed_is_written():
    assert speech_key(replace(HELLO, voice_speed=Decimal("1.00"))) == speech_key(HELLO)
