"""Watching tasks, over a real socket: what the list shows, what it does not, and a service that has its moods."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from canaries import CANARY
from plan_kit import ListedPlan
from result_server import API, ResultServer, envelope, plain, running, silence

from manifest_runner.errors import AccountPaused, CredentialsError, NeedsPerson, ServiceUnreachable
from manifest_runner.ledger import open_ledger, queries
from manifest_runner.media import JobMedia
from manifest_runner.models import Job, JobState, Manifest, ServiceStatus
from manifest_runner.runner import hints, patience
from manifest_runner.runner import watch as watch_module
from manifest_runner.runner.decide import Action
from manifest_runner.runner.options import RunOptions, Service
from manifest_runner.runner.pace import Pace
from manifest_runner.runner.run import carry_out
from manifest_runner.runner.step import Step
from manifest_runner.runner.stop import Stop
from manifest_runner.runner.watch import Watcher
from manifest_runner.service import ApiKey, AvatarClient, Task, Video
from manifest_runner.service import retry as retry_module

QUICK = Pace(shortest=0.005, longest=0.02)
TASK = "870123456789012345"
PATIENCE = 5.0  # seconds after which a test that waits has failed; never what a test takes


class Desk:
    """A watcher at work, and what its service and ledger know."""

    def __init__(self, server: ResultServer, ledger, client: AvatarClient) -> None:
        self.server, self.ledger, self.client, self.stop = server, ledger, client, Stop()
        self._tasks: list[asyncio.Task] = []
        self.looking: asyncio.Task[None] | None = None

    def watch(self, *task_ids: str, task_timeout: float = 60, pace: Pace = QUICK) -> list[asyncio.Task]:
        """Start the watcher and one wait for each task; the jobs are called `job-` and the task's id."""
        watcher = self.new_watcher(pace=pace, task_timeout=task_timeout)
        attempts = [running(self.ledger, f"job-{task_id}", task_id) for task_id in task_ids]
        *waits, self.looking = self.also(*(watcher.ended(attempt) for attempt in attempts), watcher.run())
        return waits

    def new_watcher(self, *, pace: Pace = QUICK, task_timeout: float = 60, **hooks) -> Watcher:
        self.watcher = Watcher(
            ledger=self.ledger,
            client=self.client,
            stop=self.stop,
            pace=pace,
            task_timeout=task_timeout,
            **hooks,
        )
        return self.watcher

    def also(self, *work: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
        """Start what has to be over when the test is."""
        tasks = [asyncio.create_task(each) for each in work]
        self._tasks += tasks
        return tasks

    async def ended(self, *waits: asyncio.Task):
        """What the waits came to; the first one's when there is only one."""
        async with asyncio.timeout(PATIENCE):
            found = await asyncio.gather(*waits)
        return found if len(waits) > 1 else found[0]

    async def until(self, condition) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - neither the ledger nor the server has an event for it
                await asyncio.sleep(0.002)

    async def looks(self, more: int) -> None:
        """Wait until the list was asked for so many times more, and each answer but the last was dealt with."""
        goal = len(self.server.lists) + more
        await self.until(lambda: len(self.server.lists) >= goal)

    def attempt(self, task_id: str = TASK):
        return self.ledger.read(queries.job, f"job-{task_id}").attempt

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(retry_module, "_FIRST_SECONDS", 0.005)
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        async with ResultServer() as server, AvatarClient(server.url, ApiKey(CANARY)) as client:
            desk = Desk(server, ledger, client)
            yield desk
            await desk.close()


# -- what the list shows ----------------------------------------------------------------------------------------------


async def test_one_list_call_watches_all_tasks(desk):
    ids = [f"87{number:04}" for number in range(16)]
    for task_id in ids:
        desk.server.put(task_id, "succeed")
    tasks = await desk.ended(*desk.watch(*ids))
    assert [task.task_id for task in tasks] == ids
    assert {task.status for task in tasks} == {ServiceStatus.SUCCEED}
    assert (len(desk.server.lists), desk.server.look_ups) == (1, [])
    assert desk.server.lists[0].target == f"{API}?pageNum=1&pageSize=30"


async def test_a_look_that_takes_long_is_followed_by_a_rest(desk, monkeypatch):
    clock, real, begun, over = asyncio.get_running_loop().time, desk.client.list_tasks, [], []

    async def slow(**which):
        begun.append(clock())
        await asyncio.sleep(0.03)
        page = await real(**which)
        over.append(clock())
        return page

    monkeypatch.setattr(desk.client, "list_tasks", slow)
    desk.server.put(TASK, "processing")
    desk.watch(TASK, pace=Pace(shortest=0.005, longest=1.0))
    await desk.looks(3)
    rests = [later - before for before, later in zip(over, begun[1:], strict=False)]
    assert len(rests) >= 2
    assert min(rests) >= 0.03


async def test_a_task_is_waited_for_until_it_ends(desk):
    desk.server.put(TASK, "submitted")
    (wait,) = desk.watch(TASK)
    await desk.looks(2)
    desk.server.put(TASK, "processing")
    await desk.until(lambda: desk.attempt().service_status is ServiceStatus.PROCESSING)
    assert not wait.done()
    desk.server.put(TASK, "failed")
    assert (await desk.ended(wait)).status is ServiceStatus.FAILED
    assert desk.server.look_ups == []


async def test_nothing_is_asked_while_there_is_nothing_to_watch(desk):
    desk.watch()
    await asyncio.sleep(QUICK.longest * 3)
    assert desk.server.asked == []


async def test_who_no_longer_waits_is_no_longer_watched(desk):
    desk.server.unlisted = {"1", "2"}
    desk.server.put("1", "processing")
    desk.server.put("2", "processing")
    first, _ = desk.watch("1", "2")
    await desk.until(lambda: "1" in desk.server.look_ups)
    first.cancel()
    await desk.looks(2)  # the one that may have been under way, and one that began afterwards
    desk.server.asked.clear()
    await desk.looks(3)
    assert set(desk.server.look_ups) == {"2"}


async def test_tasks_of_others_are_not_ours(desk):
    """The account is shared: other campaigns, other programs, even one whose id looks like a job of ours."""
    before = [running(desk.ledger, "of another campaign", "999")]
    desk.server.put("999", "failed", key="of another campaign")
    desk.server.put("998", "succeed", key=f"job-{TASK}")
    desk.server.put(TASK, "processing", key=f"job-{TASK}")
    (wait,) = desk.watch(TASK)
    await desk.looks(3)
    assert not wait.done()
    assert [desk.ledger.read(queries.job, "of another campaign").attempt] == before
    assert desk.ledger.read(queries.job, "of another campaign").state is JobState.RUNNING
    desk.server.put(TASK, "succeed", key=f"job-{TASK}")
    assert (await desk.ended(wait)).task_id == TASK


# -- what the list does not show --------------------------------------------------------------------------------------


async def test_a_task_that_the_list_does_not_show_is_looked_up(desk):
    desk.server.put("1", "succeed")
    desk.server.put("2", "succeed")
    desk.server.unlisted = {"2"}
    tasks = await desk.ended(*desk.watch("1", "2"))
    assert [task.task_id for task in tasks] == ["1", "2"]
    assert desk.server.look_ups == ["2"], "only the one that the list left out"


async def test_a_task_behind_the_first_page_is_found(desk):
    for number in range(200):  # newer tasks of somebody else
        desk.server.put(f"9{number:05}", "processing")
    desk.server.put(TASK, "processing")
    (wait,) = desk.watch(TASK)
    await desk.looks(2)
    desk.server.put(TASK, "succeed")
    assert (await desk.ended(wait)).status is ServiceStatus.SUCCEED


async def test_many_tasks_behind_the_first_page_have_their_turns(desk, monkeypatch):
    """Those that were not seen for longest come first, so none is forgotten, and no round grows without bound."""
    monkeypatch.setattr(watch_module, "MOST_SINGLE_LOOKUPS", 3)
    ids = [f"87{number:04}" for number in range(8)]
    for task_id in ids:
        desk.server.put(task_id, "processing")
    desk.server.unlisted = set(ids)
    waits = desk.watch(*ids)
    await desk.until(lambda: len(desk.server.look_ups) >= 2 * len(ids))
    rounds = "".join("L" if asked.path == API else "." for asked in desk.server.asked)
    assert rounds.startswith("L...L...L...L")
    assert sorted(desk.server.look_ups[: len(ids)]) == ids, "each once before any a second time"
    desk.server.tasks = {
        task_id: task | {"task_status": "succeed"} for task_id, task in desk.server.tasks.items()
    }
    assert [task.task_id for task in await desk.ended(*waits)] == ids


async def test_a_task_the_service_says_it_does_not_have_stays_watched(desk):
    """A look-up can be behind; a paid task is not given up because of it."""
    (wait,) = desk.watch(TASK)
    await desk.until(lambda: desk.server.look_ups.count(TASK) >= 3)
    assert not wait.done()
    desk.server.put(TASK, "succeed")
    assert (await desk.ended(wait)).status is ServiceStatus.SUCCEED


async def test_tasks_the_service_does_not_have_take_no_turns_of_others(desk, monkeypatch):
    monkeypatch.setattr(watch_module, "MOST_SINGLE_LOOKUPS", 2)
    desk.server.put("there", "succeed")
    desk.server.unlisted = {"there"}
    *lost, wait = desk.watch("lost-1", "lost-2", "lost-3", "there")
    assert (await desk.ended(wait)).task_id == "there"
    assert not any(other.done() for other in lost)


# -- what nobody has documented ---------------------------------------------------------------------------------------


async def test_an_unknown_status_is_recorded_and_watched_on(desk):
    desk.server.put(TASK, "queued_for_review")
    (wait,) = desk.watch(TASK)
    await desk.until(lambda: desk.attempt().service_status is ServiceStatus.UNKNOWN)
    assert desk.attempt().service_message == "an unknown status: queued_for_review"
    await desk.looks(2)
    assert not wait.done()
    assert desk.ledger.read(queries.job, f"job-{TASK}").state is JobState.RUNNING
    desk.server.put(TASK, "succeed")
    assert (await desk.ended(wait)).status is ServiceStatus.SUCCEED


# -- a service that has its moods -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        plain(502, b"<html>Bad gateway</html>"),
        plain(404, b"<html>Not found</html>"),
        plain(200, b'{"code": 0, "data": [{"task_id"'),
        envelope(None, code=5001, status=503),
        envelope(None, code=1302, status=429),
        silence,
    ],
    ids=["gateway", "wrong page", "cut", "maintenance", "too fast", "no answer"],
)
async def test_a_list_that_fails_three_times(desk, trouble):
    desk.server.put(TASK, "succeed")
    desk.server.look_up_trouble[TASK] = trouble
    desk.server.list_trouble = [trouble] * 3
    assert (await desk.ended(*desk.watch(TASK))).status is ServiceStatus.SUCCEED
    assert len(desk.server.lists) == 4
    assert desk.stop.reason is None


@pytest.mark.parametrize(
    ("trouble", "singly"),
    [
        pytest.param(plain(502, b"<html>Bad gateway</html>"), True, id="gateway"),
        pytest.param(silence, True, id="no answer"),
        pytest.param(envelope(None, code=1302, status=429), False, id="too fast"),
    ],
)
async def test_single_look_ups_do_without_a_list_that_is_broken_but_not_one_that_is_refused(
    desk, trouble, singly
):
    desk.server.put(TASK, "succeed")
    desk.server.list_trouble = [trouble]
    assert (await desk.ended(*desk.watch(TASK))).status is ServiceStatus.SUCCEED
    assert len(desk.server.lists) == (1 if singly else 2)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (envelope(None, code=1000, status=401), CredentialsError),
        (envelope(None, code=1102, status=429), AccountPaused),
        (envelope(None, code=1304, status=429), NeedsPerson),
    ],
)
async def test_what_every_call_would_meet_stops_the_run(desk, trouble, reason):
    desk.server.put(TASK, "processing")
    desk.server.list_trouble = [trouble]
    (wait,) = desk.watch(TASK)
    await asyncio.wait_for(desk.looking, PATIENCE)
    assert type(desk.stop.reason) is reason
    assert not wait.done(), "the task itself goes on at the service"


async def test_a_service_that_fails_for_too_long_stops_the_run(desk, monkeypatch):
    monkeypatch.setattr(patience, "GIVE_UP_AFTER", 0.05)
    desk.server.list_trouble = [silence] * 1000
    desk.server.look_up_trouble[TASK] = silence
    started = time.monotonic()
    desk.watch(TASK)
    await asyncio.wait_for(desk.looking, PATIENCE)
    assert time.monotonic() - started >= 0.05
    assert isinstance(desk.stop.reason, ServiceUnreachable)
    assert "The tasks go on there" in desk.stop.reason.mend


async def test_failures_far_apart_do_not_add_up(desk, monkeypatch):
    monkeypatch.setattr(patience, "GIVE_UP_AFTER", 0.05)
    desk.server.put(TASK, "processing")
    (wait,) = desk.watch(TASK)
    started = time.monotonic()
    while time.monotonic() - started < 0.15:
        desk.server.list_trouble = [silence]
        await desk.looks(3)
    assert desk.stop.reason is None
    desk.server.put(TASK, "succeed")
    await desk.ended(wait)


# -- tasks that do not end --------------------------------------------------------------------------------------------


async def test_a_task_that_does_not_end_is_given_up_after_its_time(desk):
    desk.server.put("1", "processing")
    desk.server.put("2", "processing")
    started = time.monotonic()
    assert await desk.ended(*desk.watch("1", "2", task_timeout=0.05)) == [None, None]
    assert time.monotonic() - started >= 0.05
    assert desk.attempt("1").service_status is ServiceStatus.PROCESSING
    assert desk.ledger.read(queries.job, "job-1").state is JobState.RUNNING


async def test_a_task_that_is_found_ended_late_has_ended(desk):
    """The look comes before the giving up: who was away for an hour does not lose what is ready."""
    desk.server.put(TASK, "succeed")
    pace = Pace(shortest=0.05, longest=0.05)
    task = await desk.ended(*desk.watch(TASK, task_timeout=0.01, pace=pace))
    assert task.status is ServiceStatus.SUCCEED


async def test_a_task_can_be_given_up_while_the_service_is_away(desk):
    desk.server.list_trouble = [silence] * 1000
    assert await desk.ended(*desk.watch(TASK, task_timeout=0.05)) is None


async def test_a_task_that_does_not_end_keeps_its_slot(desk, tmp_path):
    """The whole run: the only slot stays taken, so the next job is never sent, and a person is told of both."""
    running(desk.ledger, "endless", TASK)
    desk.server.put(TASK, "processing")
    waiting = Job(external_task_id="next", image="https://a.example/a.png", audio_id="a-1", output="next.mp4")
    record = desk.ledger.read(queries.job, "endless")
    media = JobMedia(image=None, audio=None, fingerprint_parts={})
    outcome = await carry_out(
        Manifest(path=tmp_path / "m.yaml", campaign="c", jobs=(waiting,), concurrency=1),
        ListedPlan(
            Step(
                external_task_id="endless", action=Action.WATCH, why="", output="endless.mp4", record=record
            ),
            Step(
                external_task_id="next",
                action=Action.SEND,
                why="new",
                output="next.mp4",
                job=waiting,
                media=media,
            ),
        ),
        ledger=desk.ledger,
        service=Service(base_url=desk.server.url, credentials=ApiKey(CANARY)),
        folder=tmp_path / "out",
        options=RunOptions(pace=QUICK, task_timeout=0.1),
    )
    (problem,) = outcome.problems
    assert problem.startswith(f"endless: stuck: task {TASK} has not ended for too long")
    assert "run the same command again" in problem
    assert isinstance(outcome.stopped, NeedsPerson)
    assert "slots is held by a task that does not end" in outcome.stopped.what
    assert outcome.create_calls == 0
    assert {asked.method for asked in desk.server.asked} == {"GET"}
    assert desk.ledger.read(queries.job, "endless").state is JobState.RUNNING


async def test_an_attempt_without_a_task_can_not_be_watched(desk):
    attempt = running(desk.ledger, "job", "1")
    watcher = Watcher(ledger=desk.ledger, client=desk.client, stop=desk.stop, pace=QUICK, task_timeout=1)
    with pytest.raises(ValueError, match="attempt job has no task"):
        await watcher.ended(attempt._replace(task_id=None))


@pytest.mark.parametrize(
    "trouble",
    [plain(500, b"<html>Oops</html>"), silence, envelope(None, code=5001, status=503)],
    ids=["gateway", "no answer", "maintenance"],
)
async def test_a_look_up_that_fails_does_not_hide_other_tasks(desk, trouble):
    server = desk.server
    server.unlisted = {"1", "2"}
    server.look_up_trouble["1"] = trouble
    server.put("2", "succeed")
    first, second = desk.watch("1", "2")
    assert (await desk.ended(second)).status is ServiceStatus.SUCCEED
    assert not first.done()
    del server.look_up_trouble["1"]
    server.put("1", "failed")
    assert (await desk.ended(first)).status is ServiceStatus.FAILED


async def test_look_ups_that_fail_take_no_turns_of_others(desk, monkeypatch):
    monkeypatch.setattr(watch_module, "MOST_SINGLE_LOOKUPS", 2)
    broken = [f"broken-{number}" for number in range(4)]
    desk.server.look_up_trouble = dict.fromkeys(broken, silence)
    desk.server.put("there", "succeed")
    desk.server.unlisted = {"there"}
    *others, wait = desk.watch(*broken, "there")
    assert (await desk.ended(wait)).task_id == "there"
    assert not any(other.done() for other in others)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (envelope(None, code=1000, status=401), CredentialsError),
        (envelope(None, code=1102, status=429), AccountPaused),
    ],
)
async def test_a_look_up_that_is_refused_as_every_call_would_be_stops_the_run(desk, trouble, reason):
    desk.server.unlisted = {TASK}
    desk.server.look_up_trouble[TASK] = trouble
    (wait,) = desk.watch(TASK)
    await asyncio.wait_for(desk.looking, PATIENCE)
    assert type(desk.stop.reason) is reason
    assert not wait.done()


@pytest.mark.parametrize("listed", [True, False])
async def test_two_attempts_that_were_given_the_same_task_both_learn_its_end(desk, listed):
    """A confused service; that the one ends must not leave the other waiting for ever."""
    desk.server.unlisted = set() if listed else {TASK}
    watcher = Watcher(ledger=desk.ledger, client=desk.client, stop=desk.stop, pace=QUICK, task_timeout=60)
    attempts = [running(desk.ledger, key, TASK) for key in ("a", "b")]
    waits = desk.also(*(watcher.ended(attempt) for attempt in attempts), watcher.run())[:2]
    await desk.looks(2)
    desk.server.put(TASK, "succeed")
    assert [task.task_id for task in await desk.ended(*waits)] == [TASK, TASK]


async def test_nor_does_it_stop_the_run(desk, monkeypatch):
    monkeypatch.setattr(patience, "GIVE_UP_AFTER", 0.05)
    desk.server.unlisted = {"1"}
    desk.server.look_up_trouble["1"] = plain(500, b"<html>Oops</html>")
    desk.watch("1")
    await asyncio.sleep(0.3)
    assert desk.stop.reason is None, "every list call was answered"


async def test_a_second_unknown_word_is_recorded_too(desk):
    desk.server.put(TASK, "queued_for_review")
    desk.watch(TASK)
    await desk.until(lambda: desk.attempt().service_status is ServiceStatus.UNKNOWN)
    desk.server.put(TASK, "on_hold")
    await desk.until(lambda: desk.attempt().service_message == "an unknown status: on_hold")


async def test_look_ups_that_are_too_fast_end_the_round(desk):
    ids = [f"87{number:04}" for number in range(8)]
    desk.server.unlisted = set(ids)
    desk.server.look_up_trouble = dict.fromkeys(ids, envelope(None, code=1302, status=429))
    desk.watch(*ids)
    await desk.looks(3)
    rounds = "".join("L" if asked.path == API else "." for asked in desk.server.asked)
    assert "..." not in rounds


# -- hints ------------------------------------------------------------------------------------------------------------

SLOW = Pace(shortest=30, longest=30)  # the list is not asked within a test


async def test_a_hint_is_confirmed_by_one_look_up(desk):
    desk.server.put(TASK, "processing")
    (wait,) = desk.watch(TASK, pace=SLOW)
    await asyncio.sleep(0.02)
    desk.server.put(TASK, "succeed")
    desk.watcher.hint(TASK)
    assert (await desk.ended(wait)).status is ServiceStatus.SUCCEED
    assert (desk.server.lists, desk.server.look_ups) == ([], [TASK])


async def test_a_hint_may_name_the_attempt_too(desk):
    desk.server.put(TASK, "succeed")
    (wait,) = desk.watch(TASK, pace=SLOW)
    await asyncio.sleep(0.02)
    desk.watcher.hint(f"job-{TASK}")
    assert (await desk.ended(wait)).task_id == TASK


async def test_hints_at_one_time_are_one_look_up(desk):
    desk.server.put(TASK, "processing")
    desk.watch(TASK, pace=SLOW)
    await asyncio.sleep(0.02)
    for _ in range(20):
        desk.watcher.hint(TASK)
    await desk.until(lambda: desk.attempt().service_status is ServiceStatus.PROCESSING)
    await asyncio.sleep(0.05)
    assert desk.server.look_ups == [TASK]


async def test_a_hint_during_a_look_up_has_one_of_its_own(desk):
    """The look-up may have been answered before what the hint is about came to be."""
    real = desk.client.get

    async def get(any_id: str):
        task = await real(any_id)
        if len(desk.server.look_ups) == 1:
            desk.server.put(TASK, "succeed")
            for _ in range(5):
                desk.watcher.hint(TASK)
        return task

    desk.client.get = get
    desk.server.put(TASK, "processing")
    (wait,) = desk.watch(TASK, pace=SLOW)
    await asyncio.sleep(0.02)
    desk.watcher.hint(TASK)
    assert (await desk.ended(wait)).status is ServiceStatus.SUCCEED
    assert desk.server.look_ups == [TASK, TASK]


async def test_a_task_is_looked_up_once_a_while_however_many_hints_come(desk, monkeypatch):
    monkeypatch.setattr(hints, "REST_SECONDS", 0.3)
    desk.server.put(TASK, "processing")
    desk.watch(TASK, pace=SLOW)
    await asyncio.sleep(0.02)
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + 0.7:
        desk.watcher.hint(TASK)
        await asyncio.sleep(0.005)
    looked_up = len(desk.server.look_ups)
    assert looked_up in (2, 3)
    await asyncio.sleep(0.7)
    assert len(desk.server.look_ups) == looked_up + 1  # the last hint has its look-up, and then there is rest


async def test_a_hint_of_what_is_not_watched_does_nothing(desk):
    desk.server.put("1", "processing")
    desk.watch("1", pace=SLOW)
    await asyncio.sleep(0.02)
    for number in range(1000):
        desk.watcher.hint(f"stranger-{number}")
    await asyncio.sleep(0.05)
    assert desk.server.asked == []
    assert len(desk.watcher._early) <= hints.EARLY_HINTS


async def test_a_callback_that_overtakes_the_create_calls_answer_is_not_lost(desk):
    desk.server.put(TASK, "succeed")
    watcher = desk.new_watcher(pace=SLOW)
    watcher.hint(f"job-{TASK}")
    attempt = running(desk.ledger, f"job-{TASK}", TASK)
    wait, _ = desk.also(watcher.ended(attempt), watcher.run())
    assert (await desk.ended(wait)).status is ServiceStatus.SUCCEED
    assert desk.server.lists == []


async def test_no_more_hints_are_confirmed_at_once_than_a_few(desk, monkeypatch):
    under_way, most, real = 0, 0, desk.client.get

    async def get(any_id: str):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await real(any_id)
        finally:
            under_way -= 1

    monkeypatch.setattr(desk.client, "get", get)
    ids = [f"87{number:04}" for number in range(40)]
    for task_id in ids:
        desk.server.put(task_id, "succeed")
    waits = desk.watch(*ids, pace=SLOW)
    await asyncio.sleep(0.02)
    for task_id in ids:
        desk.watcher.hint(task_id)
    assert len(await desk.ended(*waits)) == 40
    assert most <= hints.CONFIRMED_AT_ONCE


@pytest.mark.parametrize("trouble", [silence, plain(502), envelope(None, code=1203, status=404)])
async def test_a_hint_that_cannot_be_confirmed_is_left_to_the_list(desk, trouble):
    desk.server.put(TASK, "processing")
    desk.server.look_up_trouble[TASK] = trouble
    (wait,) = desk.watch(TASK)
    await desk.looks(1)
    desk.watcher.hint(TASK)
    await desk.until(lambda: TASK in desk.server.look_ups)
    desk.server.put(TASK, "succeed")
    assert (await desk.ended(wait)).status is ServiceStatus.SUCCEED
    assert desk.stop.reason is None


async def test_a_hint_that_is_refused_as_every_call_would_be_stops_the_run(desk):
    desk.server.put(TASK, "processing")
    desk.server.look_up_trouble[TASK] = envelope(None, code=1000, status=401)
    desk.watch(TASK, pace=SLOW)
    await asyncio.sleep(0.02)
    desk.watcher.hint(TASK)
    await desk.until(lambda: desk.stop.reason is not None)
    assert isinstance(desk.stop.reason, CredentialsError)


async def test_ends_that_hints_tell_of_put_the_looks_farther_apart(desk):
    desk.server.put("endless", "processing")
    pace = Pace(shortest=0.1, longest=0.1)
    *waits, _ = desk.watch("1", "2", "3", "endless", pace=pace)
    await desk.looks(1)
    for number, wait in enumerate(waits, start=1):
        desk.server.put(str(number), "succeed")
        desk.watcher.hint(str(number))
        await desk.ended(wait)
    await desk.looks(2)
    assert desk.watcher._interval() >= 0.2


# -- what the create call's answer says already ---------------------------------------------------------------------


def created(status: str, **about) -> Task:
    return Task(task_id=TASK, status=ServiceStatus(status), status_text=status, **about)


async def test_a_task_that_ended_in_the_create_calls_answer_is_not_asked_after(desk):
    watcher = desk.new_watcher(pace=SLOW)
    attempt = running(desk.ledger, f"job-{TASK}", TASK)
    video = Video(id="v", url="https://a.example/v.mp4", watermark_url=None, seconds=None)
    for told in (
        created("failed", units=Decimal(0)),
        created("succeed", units=Decimal(1), videos=(video,)),
    ):
        assert await watcher.ended(attempt, told=told) is told
    assert desk.server.asked == []


@pytest.mark.parametrize(
    "told", [created("succeed"), created("succeed", units=Decimal(1)), created("failed")]
)
async def test_one_that_says_less_is_looked_up_at_once(desk, told):
    desk.server.put(TASK, "succeed")
    watcher = desk.new_watcher(pace=SLOW)
    attempt = running(desk.ledger, f"job-{TASK}", TASK)
    wait, _ = desk.also(watcher.ended(attempt, told=told), watcher.run())
    assert (await desk.ended(wait)).status is ServiceStatus.SUCCEED
    assert desk.server.look_ups == [TASK]


# -- large pages, and further ones ----------------------------------------------------------------------------------


def aged(server: ResultServer, *ids: str, seconds: float) -> None:
    """These tasks were made so many seconds ago, by the service's clock."""
    for task_id in ids:
        server.tasks[task_id]["created_at"] = int((time.time() - seconds) * 1000)


def page_sizes(desk) -> list[tuple[list[str], list[str]]]:
    return [tuple(parse_qs(urlsplit(asked.target).query).values()) for asked in desk.server.lists]


async def test_the_page_grows_with_what_came_since_the_oldest(desk):
    ids = [f"87{number:04}" for number in range(100)]
    for task_id in ids:
        desk.server.put(task_id, "processing")
    desk.watch(*ids)
    await desk.looks(1)
    assert page_sizes(desk)[0] == (["1"], ["135"])


async def test_many_tasks_behind_the_page_are_worth_a_further_one(desk):
    """Strangers' tasks lie between."""
    strangers = [f"9{number:05}" for number in range(40)]
    ids = [f"87{number:04}" for number in range(8)]
    for task_id in (*strangers, *ids):
        desk.server.put(task_id, "processing")
    waits = desk.watch(*ids)
    aged(desk.server, *strangers, seconds=-60)
    aged(desk.server, *ids, seconds=60)
    for task_id in ids:
        desk.server.put(task_id, "succeed")
        aged(desk.server, task_id, seconds=60)
    assert len(await desk.ended(*waits)) == len(ids)
    assert page_sizes(desk)[:2] == [(["1"], ["30"]), (["2"], ["30"])]
    assert desk.server.look_ups == []


async def test_few_of_them_are_looked_up_one_by_one(desk):
    strangers = [f"9{number:05}" for number in range(40)]
    ids = ["870001", "870002"]
    for task_id in (*strangers, *ids):
        desk.server.put(task_id, "succeed")
    aged(desk.server, *strangers, seconds=-60)
    aged(desk.server, *ids, seconds=60)
    await desk.ended(*desk.watch(*ids))
    assert all(number == ["1"] for number, _ in page_sizes(desk))
    assert sorted(desk.server.look_ups) == ids


async def test_for_the_censuss_sake_the_list_is_looked_at_though_nothing_is_watched(desk, monkeypatch):
    monkeypatch.setattr(watch_module, "LONGEST_STRETCHED", 0.02)
    seen = []
    wanted = True
    watcher = desk.new_watcher(seen=lambda page, size, at: seen.append(size), keep_up=lambda: wanted)
    desk.also(watcher.run())
    await desk.looks(3)
    wanted = False
    await asyncio.sleep(0.05)
    asked = len(seen)
    await asyncio.sleep(0.1)
    assert len(seen) == asked


async def test_or_after_so_many_tasks_that_a_page_would_not_reach_back(desk, monkeypatch):
    monkeypatch.setattr(watch_module, "MOST_UNLISTED", 3)
    seen = []
    watcher = desk.new_watcher(pace=SLOW, seen=lambda page, size, at: seen.append(size), keep_up=lambda: True)
    desk.also(watcher.run())
    await desk.looks(1)
    attempt = running(desk.ledger, f"job-{TASK}", TASK)
    for _ in range(3):
        await watcher.ended(attempt, told=created("failed", units=Decimal(0)))
    await desk.looks(1)
    assert len(seen) >= 1


async def test_a_list_that_lacks_what_we_have_made_is_no_newer_than_that(desk):
    """A copy that lags behind tells the census nothing of the time since."""
    told = []
    watcher = desk.new_watcher(seen=lambda page, size, as_of: told.append(as_of))
    for task_id in ("870001", "870002"):
        desk.server.put(task_id, "processing")
    first = running(desk.ledger, "job-870001", "870001")
    desk.also(watcher.ended(first), watcher.run())
    await desk.looks(2)
    assert told == sorted(told), "all that is watched is shown"
    hidden, also_hidden = (running(desk.ledger, f"job-{task}", task) for task in ("870003", "870004"))
    desk.also(watcher.ended(hidden), watcher.ended(also_hidden))
    await desk.looks(3)
    assert told[-1] == told[-2], "time goes on, and the list knows nothing of it"
    desk.server.put("870004", "processing")
    await desk.looks(2)
    assert told[-1] > told[-3], "newer ones are shown: the list goes on telling"
