"""Ways to a second bill or a lost result that lie beside the create call: edits taken back, restored and lost ledgers,
other keys, late arrivals, errors that nobody foresaw. Each once, over a real socket, with a service that accepts
duplicates."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from canaries import CANARY
from scripted_campaign import NAME, Campaign, open_campaign, with_files

from manifest_runner.errors import BudgetReached, ManifestError, NeedsPerson
from manifest_runner.ledger import open_ledger, queries
from manifest_runner.media import DEFAULT_RATES, preflight
from manifest_runner.models import Job, JobState
from manifest_runner.runner import fetch
from manifest_runner.runner.adopt import adopt, adoptable
from manifest_runner.runner.decide import Retry
from manifest_runner.runner.survey import enrol, survey
from manifest_runner.service import ApiKey, AvatarClient

A, B, C = (with_files(key) for key in "abc")
EDITED = replace(A, prompt="other words")
PENDING, DONE, FAILED, EXPIRED = JobState.PENDING, JobState.DONE, JobState.FAILED, JobState.EXPIRED


@pytest.fixture
async def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Campaign]:
    monkeypatch.setattr(fetch, "FIRST_WAIT", 0.0)
    async with open_campaign(tmp_path) as campaign:
        campaign.service.duplicates_refused = False
        campaign.create_seconds = 0.1
        yield campaign


async def take_up(
    campaign: Campaign, *jobs: Job, name: str = NAME, listing: bool = True
) -> dict[str, list[str]]:
    """`adopt`: the jobs that got a task, and the tasks' ids."""
    found, manifest = preflight(jobs, campaign.folder), replace(campaign.manifest(*jobs), campaign=name)
    with open_ledger(campaign.ledger, account="test") as ledger:
        steps = ledger.read(lambda connection: survey(manifest, found, connection, campaign.folder / "out"))
        enrol(ledger, name, jobs, steps)
        async with AvatarClient(campaign.service.url, ApiKey(CANARY)) as client:
            adopted = await adopt(
                adoptable(jobs, ledger),
                found.of,
                ledger=ledger,
                client=client,
                rates=DEFAULT_RATES,
                key_id=None,
                listing=listing,
            )
    return {one.external_task_id: [task.external_task_id for task in one.tasks] for one in adopted}


def lose_the_ledger(campaign: Campaign) -> None:
    for file in campaign.folder.glob("ledger.sqlite3*"):
        file.unlink()


# -- an edit that is taken back ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "then"), [("429/1102", PENDING), ("400/1301", JobState.REJECTED)])
async def test_an_edit_that_was_not_accepted_and_is_taken_back_is_not_paid(campaign, answer, then):
    await campaign.run(A)
    campaign.service.creates["a-r2"].append(answer)
    await campaign.run(EDITED, retry=(Retry.CHANGED,))
    record = campaign.job("a")
    assert (record.state, record.file) == (then, "a.mp4"), "the video of the first is still here"
    ran = await campaign.run(A)
    assert (ran.exit_code, ran.outcome.create_calls, campaign.states()) == (0, 0, {"a": DONE})
    assert campaign.job("a").attempt.attempt_id == "a"
    assert campaign.service.posts == ["a", "a-r2"]
    again = await campaign.run(A)
    assert (again.exit_code, campaign.service.posts) == (0, ["a", "a-r2"])


@pytest.mark.parametrize("second", ["succeeds", "fails"])
async def test_going_back_to_a_paid_version_fetches_it_once_more(campaign, second):
    await campaign.run(A)
    if second == "fails":
        campaign.service.fails.add("a-r2")
    await campaign.run(EDITED, retry=(Retry.CHANGED,))
    assert campaign.states() == {"a": DONE if second == "succeeds" else FAILED}
    ran = await campaign.run(A, retry=tuple(Retry))
    assert (ran.exit_code, campaign.states()) == (0, {"a": DONE})
    assert campaign.service.posts == ["a", "a-r2"]
    record = campaign.job("a")
    assert (record.attempt.attempt_id, record.changed, campaign.file("a.mp4").is_file()) == ("a", (), True)
    ran = await campaign.run(EDITED)
    assert campaign.service.posts == ["a", "a-r2"]
    assert campaign.job("a").attempt.attempt_id == ("a-r2" if second == "succeeds" else "a")


async def test_a_paid_version_whose_last_status_was_covered_by_a_late_one_is_still_paid(campaign):
    """As older versions may have left it."""
    await campaign.run(A)
    await campaign.run(EDITED, retry=(Retry.CHANGED,))
    with closing(sqlite3.connect(campaign.ledger)) as connection, connection:
        connection.execute("UPDATE attempts SET service_status = 'processing' WHERE attempt_id = 'a'")
    ran = await campaign.run(A, retry=tuple(Retry))
    assert (ran.exit_code, campaign.states()) == (0, {"a": DONE})
    assert campaign.service.posts == ["a", "a-r2"]


async def test_toggling_between_two_paid_versions_always_brings_the_right_video(campaign):
    service, real = campaign.service, campaign.service.answer

    async def answer(method, path, body):
        status, content = await real(method, path, body)
        made_by = next(
            (key for key, task in service.tasks.items() if path == f"/results/{task.task_id}.mp4"), ""
        )
        tail = made_by.encode()  # a box of its own: each task's video is another file
        return status, content + (len(tail) + 8).to_bytes(4, "big") + b"free" + tail if made_by else content

    service.answer = answer
    await campaign.run(A)
    await campaign.run(EDITED, retry=(Retry.CHANGED,))
    for row, key in ((A, b"a"), (EDITED, b"a-r2"), (A, b"a"), (EDITED, b"a-r2")):
        assert (await campaign.run(row)).exit_code == 0
        assert campaign.file("a.mp4").read_bytes().endswith(b"free" + key)
    assert service.posts == ["a", "a-r2"]


async def test_a_deleted_video_is_not_taken_for_one_that_is_here_when_its_row_comes_back(campaign):
    await campaign.run(A)
    campaign.service.creates["a-r2"].append("400/1301")
    await campaign.run(EDITED, retry=(Retry.CHANGED,))
    campaign.file("a.mp4").unlink()
    assert (await campaign.run(A)).exit_code == 0
    assert campaign.file("a.mp4").is_file()
    assert campaign.service.posts == ["a", "a-r2"]


async def test_a_paid_version_that_the_service_no_longer_has_is_paid_only_when_asked_for(campaign):
    await campaign.run(A)
    await campaign.run(EDITED, retry=(Retry.CHANGED,))
    del campaign.service.tasks["a"]
    ran = await campaign.run(A)
    assert (ran.exit_code, campaign.states()) == (3, {"a": EXPIRED})
    assert campaign.service.posts == ["a", "a-r2"]
    ran = await campaign.run(A, retry=(Retry.EXPIRED,))
    assert (ran.exit_code, campaign.service.posts) == (0, ["a", "a-r2", "a-r3"])


# -- calls that arrive late --------------------------------------------------------------------------------------


async def test_a_call_that_landed_before_its_row_was_edited_is_shown_as_the_old_version(campaign):
    campaign.service.creates["a"] += ["lost"] * 3
    await campaign.run(A)
    assert campaign.states() == {"a": PENDING}
    campaign.service.holds("a")
    ran = await campaign.run(EDITED)
    assert (ran.exit_code, campaign.states()) == (3, {"a": DONE})
    assert campaign.job("a").changed == ("prompt",)
    assert campaign.service.posts == ["a"] * 3


async def test_a_call_that_lands_while_its_edited_row_is_sent_is_not_taken_for_the_new_version(campaign):
    service = campaign.service
    service.duplicates_refused = True
    service.creates["a"] += ["lost"] * 3
    await campaign.run(A)
    real = service.create

    async def create(body):
        if "a" not in service.tasks:
            service.holds("a")  # the first POST, after all
        return await real(body)

    service.create = create
    ran = await campaign.run(EDITED)
    assert (ran.exit_code, campaign.states(), campaign.job("a").changed) == (3, {"a": DONE}, ("prompt",))
    assert "look at the video" in " ".join(event.why for event in read(campaign, queries.events_of, "a"))
    assert (await campaign.run(EDITED)).exit_code == 3, "also at the next run"


async def test_a_refusal_that_speaks_of_a_duplicate_is_waited_out(campaign):
    """A gateway sends our call twice: the first makes the task, the second is answered, and look-ups lag."""
    service = campaign.service

    async def create(body):
        service.note(f"post {body['external_task_id']}")
        asyncio.get_running_loop().call_later(0.08, service.holds, "a")
        return 400, b'{"code": 1201, "message": "external_task_id already exists", "data": null}'

    service.create = create
    ran = await campaign.run(A)
    assert (ran.exit_code, campaign.states(), service.posts) == (0, {"a": DONE}, ["a"])


async def test_a_call_that_lands_after_its_row_has_left_the_manifest_is_fetched_too(campaign):
    campaign.service.creates["a"] += ["lost"] * 3
    await campaign.run(A, B)
    assert campaign.states() == {"a": PENDING, "b": DONE}
    ran = await campaign.run(B)
    assert (ran.exit_code, campaign.states()["a"]) == (0, PENDING)
    campaign.service.holds("a")
    await campaign.run(B)
    assert campaign.states() == {"a": DONE, "b": DONE}
    assert campaign.service.posts.count("a") == 3


# -- lost and restored ledgers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("listing", [True, False])
async def test_a_refused_first_attempt_hides_no_second_from_adopt(campaign, listing):
    campaign.service.creates["a"].append("400/1301")
    await campaign.run(A)
    await campaign.run(EDITED)
    assert list(campaign.service.tasks) == ["a-r2"]
    lose_the_ledger(campaign)
    assert await take_up(campaign, EDITED, listing=listing) == {"a": ["a-r2"]}
    ran = await campaign.run(EDITED)
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 0)


async def test_a_lost_ledger_pays_no_second_attempt_again_even_without_adopt(campaign):
    campaign.service.creates["a"].append("400/1301")
    await campaign.run(A)
    await campaign.run(EDITED)
    lose_the_ledger(campaign)
    ran = await campaign.run(EDITED)
    assert (ran.exit_code, campaign.states()) == (3, {"a": JobState.CONFLICT})
    assert campaign.service.posts == ["a", "a-r2"]


async def test_an_old_backup_is_brought_up_to_date_by_adopt(campaign):
    campaign.service.fails = {"a"}
    await campaign.run(A)
    campaign.service.fails = set()
    shutil.copy(campaign.ledger, campaign.folder / "backup")
    await campaign.run(A, retry=(Retry.FAILED,))
    lose_the_ledger(campaign)
    shutil.copy(campaign.folder / "backup", campaign.ledger)
    ran = await campaign.run(A, retry=(Retry.FAILED,))
    assert (ran.outcome.create_calls, campaign.states()) == (0, {"a": FAILED})
    assert await take_up(campaign, A, listing=False) == {"a": ["a-r2"]}
    ran = await campaign.run(A)
    assert (ran.exit_code, campaign.states()) == (0, {"a": DONE})
    assert campaign.service.posts == ["a", "a-r2"]


async def test_a_conflict_of_a_later_attempt_can_be_settled(campaign):
    service = campaign.service
    service.fails = {"a"}
    await campaign.run(A)
    service.fails = set()
    service.creates["a-r2"].append("lost though made")
    real = service.holds
    service.holds = lambda key: real(key, created_at=int(time.time() * 1000) - 3_600_000)
    await campaign.run(A, retry=(Retry.FAILED,))
    assert campaign.states() == {"a": JobState.CONFLICT}
    assert await take_up(campaign, A) == {"a": ["a-r2"]}
    assert (await campaign.run(A)).exit_code == 0


async def test_adopt_takes_no_other_jobs_task(campaign):
    other = with_files("a-r2")
    campaign.service.held, campaign.task_timeout = {"a-r2"}, 0.1
    await campaign.run(other)
    campaign.service.holds("a")
    assert await take_up(campaign, A, name="another", listing=False) == {"a": ["a"]}
    campaign.service.held = set()
    assert (await campaign.run(other)).exit_code == 0
    assert campaign.file("a-r2.mp4").is_file()


# -- another key -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["rendered", "running", "expired"])
async def test_another_accounts_key_gives_up_no_paid_result(campaign, state):
    service = campaign.service
    campaign.key_id = "mine"
    if state == "rendered":
        service.results.extend(["502"] * fetch.TRIES)
    if state == "running":
        campaign.task_timeout, service.held = 0.1, {"a"}
    await campaign.run(A)
    kept = dict(service.tasks)
    if state == "expired":
        campaign.file("a.mp4").unlink()
        service.tasks.clear()
        await campaign.run(A)
        service.tasks.update(kept)
    assert campaign.states()["a"].value == state
    campaign.key_id = "another"
    service.tasks.clear()
    with pytest.raises(NeedsPerson, match="another key"):
        await campaign.run(A, retry=(Retry.EXPIRED,))
    service.tasks.update(kept)
    service.held = set()
    campaign.key_id = "mine"
    assert (await campaign.run(A)).exit_code == 0
    assert service.posts == ["a"]


async def test_what_the_account_refused_for_good_reason_may_go_with_another_key(campaign):
    campaign.key_id = "empty"
    campaign.service.every_create = "429/1102"
    await campaign.run(A)
    campaign.key_id, campaign.service.every_create = "full", "ok"
    assert (await campaign.run(A)).exit_code == 0


# -- money and files ---------------------------------------------------------------------------------------------


async def test_a_late_task_counts_against_the_budget(campaign):
    campaign.concurrency = 3
    campaign.service.creates["a"] += ["lost"] * 3
    await campaign.run(A)
    campaign.service.holds("a")
    campaign.service.held = {"a", "b", "c"}
    campaign.budget, campaign.task_timeout = "1.6", 0.2
    ran = await campaign.run(A, B, C)
    assert isinstance(ran.outcome.stopped, BudgetReached)
    assert len(campaign.service.tasks) == 2


async def test_a_call_that_landed_after_all_is_found_however_little_the_budget_has_left(campaign):
    campaign.service.creates["a"] += ["lost"] * 3
    await campaign.run(with_files("a"))
    assert campaign.states() == {"a": PENDING}
    campaign.service.holds("a")
    campaign.budget = "0.1"
    ran = await campaign.run(with_files("a"))
    assert (ran.exit_code, campaign.states()) == (0, {"a": DONE})
    assert campaign.service.posts == ["a"] * 3


async def test_an_error_that_nobody_foresaw_lets_no_other_job_wait_for_ever(campaign, monkeypatch):
    campaign.budget = "0.8"
    real = AvatarClient.create

    async def create(client, request):
        await asyncio.sleep(0.1)
        if request.external_task_id == "a":
            raise RuntimeError("boom")
        return await real(client, request)

    monkeypatch.setattr(AvatarClient, "create", create)
    async with asyncio.timeout(60):
        ran = await campaign.run(A, B)
    assert ran.exit_code == 1
    assert "boom" in str(ran.outcome.stopped)


async def test_a_watermarked_copy_that_never_came_is_asked_for_again(campaign):
    marked = replace(A, watermark=True)
    for _ in range(2):
        ran = await campaign.run(marked)
        assert ran.exit_code == 3
        assert "not its watermarked copy" in ran.outcome.problems[0]
    assert campaign.service.posts == ["a"]


async def test_no_video_lands_where_another_jobs_video_lies(campaign):
    await campaign.run(replace(A, output="1.mp4"))
    with pytest.raises(ManifestError, match=r"1\.mp4 is where the video of a lies"):
        await campaign.run(replace(B, output="1.mp4"), replace(A, output="2.mp4"))
    assert campaign.service.posts == ["a"]
    assert (await campaign.run(replace(B, output="2.mp4"), replace(A, output="3.mp4"))).exit_code == 0


async def test_a_deleted_video_that_the_service_no_longer_has_is_expired(campaign):
    await campaign.run(A)
    campaign.file("a.mp4").unlink()
    campaign.service.tasks.clear()
    ran = await campaign.run(A)
    record = campaign.job("a")
    assert (ran.exit_code, record.state, record.file) == (3, EXPIRED, None)
    ran = await campaign.run(A, retry=(Retry.EXPIRED,))
    assert (ran.exit_code, campaign.service.posts) == (0, ["a", "a-r2"])


def read(campaign: Campaign, query, *args):
    with open_ledger(campaign.ledger, account="test") as ledger:
        return ledger.read(query, *args)


async def test_a_call_that_was_given_up_before_its_row_went_back_keeps_nobody_waiting(campaign):
    calm, lively = replace(A, prompt="Calm"), replace(A, prompt="Lively")
    await campaign.run(calm)
    campaign.service.creates["a-r2"] += ["lost"] * 3
    await campaign.run(lively, retry=(Retry.CHANGED,))
    assert campaign.states()["a"] is JobState.PENDING
    campaign.budget = "2"  # 0.8 are paid, and 0.8 held back for what may have arrived
    async with asyncio.timeout(20):
        ran = await campaign.run(calm, B)
    assert isinstance(ran.outcome.stopped, BudgetReached)
    assert campaign.states() == {"a": JobState.DONE, "b": JobState.PENDING}
