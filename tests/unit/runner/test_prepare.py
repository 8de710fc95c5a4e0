"""A job made ready: what goes out is what was checked, and what can't go out is said and never sent."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from scripted_campaign import Campaign, open_campaign, picture, sound, with_audio_id, with_files

from manifest_runner.errors import ManifestError, ServiceUnreachable
from manifest_runner.models import JobState, Mode
from manifest_runner.runner.decide import Retry
from manifest_runner.service import retry

A, B = with_files("a"), with_audio_id("b")
PENDING, DONE = JobState.PENDING, JobState.DONE


@pytest.fixture
async def campaign(tmp_path: Path) -> AsyncIterator[Campaign]:
    async with open_campaign(tmp_path) as campaign:
        yield campaign


async def test_files_go_out_as_bare_base64_of_the_bytes_that_were_checked(campaign):
    job = replace(A, prompt="smile", mode=Mode.PRO, watermark=True, callback_url="https://example.com/done")
    await campaign.run(job)
    (body,) = campaign.service.bodies
    assert body == {
        "external_task_id": "a",
        "image": base64.b64encode(picture()).decode(),
        "sound_file": base64.b64encode(sound()).decode(),
        "prompt": "smile",
        "mode": "pro",
        "watermark_info": {"enabled": True},
        "callback_url": "https://example.com/done",
    }
    assert campaign.job("a").attempt.units_reserved == Decimal("1.6"), "two seconds in pro"


async def test_urls_and_audio_ids_go_out_as_they_are(campaign):
    await campaign.run(replace(B, image="https://example.com/a.png?signature=x"))
    (body,) = campaign.service.bodies
    assert (body["image"], body["audio_id"]) == ("https://example.com/a.png?signature=x", "audio-0")
    assert campaign.job("b").attempt.units_reserved == Decimal("120"), "300 seconds at the most"


@pytest.mark.parametrize("name", ["face.png", "voice.wav"])
async def test_a_file_that_changed_after_planning_is_reported_and_not_sent(campaign, name):
    path = campaign.folder / name
    campaign.after_planning = lambda: path.write_bytes(path.read_bytes() + b"\0")
    ran = await campaign.run(A, B)
    assert campaign.service.posts == ["b"]
    assert campaign.states() == {"a": PENDING, "b": DONE}
    (problem,) = ran.outcome.problems
    assert problem.startswith(f"a: '{name}'")
    assert campaign.job("a").why in problem, "the report says it too"
    assert ran.exit_code == 3

    campaign.after_planning = lambda: None
    ran = await campaign.run(A, B)  # the changed file is looked at anew, and it is fit
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 1)


@pytest.mark.parametrize("name", ["face.png", "voice.wav"])
async def test_a_file_that_vanished_after_planning_is_reported_and_not_sent(campaign, name):
    campaign.after_planning = (campaign.folder / name).unlink
    ran = await campaign.run(A, B)
    assert campaign.service.posts == ["b"]
    assert campaign.states() == {"a": PENDING, "b": DONE}
    assert f"There is no file '{name}'" in ran.outcome.problems[0]
    assert ran.exit_code == 3


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("face.png", b"not a picture", "face.png"),
        ("voice.wav", sound(301), "300"),
        ("voice.wav", None, "There is no file"),
    ],
)
async def test_unfit_media_are_refused_before_anything_is_sent(campaign, name, content, why):
    path = campaign.folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ManifestError) as refused:
        await campaign.run(A, B)
    assert [problem.job for problem in refused.value.problems] == ["a"]
    assert why in str(refused.value)
    assert campaign.service.log == []


async def test_unfit_media_of_a_job_that_is_done_are_nobodys_trouble(campaign):
    await campaign.run(A)
    (campaign.folder / "voice.wav").unlink()
    ran = await campaign.run(A)
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 0)


async def test_the_account_is_asked_for_the_id_before_it_is_sent(campaign):
    await campaign.run(B)
    assert campaign.service.log.index("look b") < campaign.service.log.index("post b")


async def test_a_lost_ledger_does_not_pay_for_everything_again(campaign):
    await campaign.run(B)
    for file in campaign.folder.glob("ledger.sqlite3*"):
        file.unlink()
    campaign.service.tasks["b"].created_at -= 86_400_000
    campaign.service.duplicates_refused = False
    ran = await campaign.run(B)
    assert campaign.service.posts == ["b"]
    assert campaign.states() == {"b": JobState.CONFLICT}
    assert campaign.service.tasks["b"].task_id in campaign.job("b").why
    assert ran.exit_code == 3


async def test_the_next_attempt_has_an_id_of_its_own_and_that_is_looked_up(campaign):
    campaign.service.fails = {"b"}
    await campaign.run(B)
    await campaign.run(B, retry=(Retry.FAILED,))
    assert campaign.service.posts == ["b", "b-r2"]
    assert "look b-r2" in campaign.service.log
    assert [attempt.attempt_id for attempt in campaign.job("b").attempts] == ["b", "b-r2"]


async def test_a_pending_id_that_turned_out_to_be_somebody_elses_is_a_conflict(campaign):
    campaign.service.creates["b"] += ["429/1102"]
    await campaign.run(B)  # an attempt is known, and pending
    campaign.service.holds("b", created_at=time.time_ns() // 1_000_000 - 86_400_000)
    await campaign.run(B)
    assert campaign.service.posts == ["b"]
    assert campaign.states() == {"b": JobState.CONFLICT}


async def test_an_id_that_cannot_be_looked_up_is_not_sent(campaign, monkeypatch):
    monkeypatch.setattr(retry, "LOOK_UP_TRIES", 1)
    campaign.service.look_ups += ["500/5000"]
    ran = await campaign.run(B)
    assert (campaign.service.posts, campaign.states()) == ([], {"b": PENDING})
    assert ran.outcome.problems[0].startswith("b: ")


async def test_a_service_that_has_gone_stops_the_run_instead_of_being_asked_for_each_job(
    campaign, monkeypatch
):
    """Each job's look-up takes some two minutes until it gives up: a thousand jobs would take more than a day."""
    monkeypatch.setattr(retry, "LOOK_UP_TRIES", 1)
    campaign.after_planning = lambda: campaign.service.look_ups.extend(["lost"] * 20)
    ran = await campaign.run(*[with_audio_id(f"j{number}") for number in range(10)])
    assert isinstance(ran.outcome.stopped, ServiceUnreachable)
    assert campaign.service.posts == []
    assert len([line for line in campaign.service.log if line.startswith("look")]) < 10
