"""The rule that protects money, over a real socket: what each answer to a create call leads to, and how many POSTs."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from canaries import CANARY

from manifest_runner.errors import AccountPaused, CredentialsError
from manifest_runner.ledger import enrolment, open_ledger, queries, writes
from manifest_runner.media import JobMedia
from manifest_runner.models import Job, JobState
from manifest_runner.runner.again import Cause
from manifest_runner.runner.decide import Action
from manifest_runner.runner.identities import Free
from manifest_runner.runner.prepare import Prepared
from manifest_runner.runner.shelter import Shelter
from manifest_runner.runner.step import Step
from manifest_runner.runner.stop import Stop
from manifest_runner.runner.submit import Accepted, Over, SendAgain, Submitter
from manifest_runner.service import ApiKey, AvatarClient, CreateRequest, KeyPair, Timeouts

JOB = Job(external_task_id="welcome", image="a.png", sound_file="a.mp3", output="welcome.mp4")
SETTLE = 0.4


class ScriptedService:
    """Answers create calls as its script says, look-ups from its tasks. Counts both."""

    def __init__(self) -> None:
        self.script: list[str] = []
        self.tasks: dict[str, int] = {}  # id -> created_at in ms
        self.posts = 0
        self.lookups = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                method, path, _ = head.split(" ", 2)
                sizes = [
                    line.split(":")[1]
                    for line in head.splitlines()
                    if line.lower().startswith("content-length")
                ]
                body = await reader.readexactly(int(sizes[0])) if sizes else b""
                answer = (
                    self.create(json.loads(body))
                    if method == "POST"
                    else self.look_up(path.rsplit("/", 1)[1])
                )
                if answer is None:
                    break
                status, content = answer
                writer.write(
                    b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(content), content)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def create(self, body: dict[str, str]) -> tuple[int, bytes] | None:
        self.posts += 1
        key, act = body["external_task_id"], self.script.pop(0)
        now = time.time_ns() // 1_000_000
        if act in ("ok", "502 though created", "lost though created", "cut"):
            self.tasks[key] = now
        if act == "lands later":
            asyncio.get_running_loop().call_later(SETTLE / 2, self.tasks.__setitem__, key, now)
        if act.startswith("lost") or act == "lands later":
            return None
        if act == "502 though created":
            return 502, b"<html>Bad gateway</html>"
        if act == "ok":
            return self.envelope(200, 0, self.task(key))
        if act == "cut":
            return 200, self.envelope(200, 0, self.task(key))[1][:40]
        http, code = act.split("/")
        return self.envelope(int(http), int(code), None)

    def look_up(self, key: str) -> tuple[int, bytes]:
        self.lookups += 1
        if key not in self.tasks:
            return self.envelope(404, 1203, None)
        return self.envelope(200, 0, self.task(key))

    def task(self, key: str) -> dict[str, object]:
        return {
            "task_id": "870123456789012345",
            "task_status": "submitted",
            "task_info": {"external_task_id": key},
            "created_at": self.tasks[key],
            "updated_at": self.tasks[key],
        }

    @staticmethod
    def envelope(http: int, code: int, data: object) -> tuple[int, bytes]:
        return http, json.dumps({"code": code, "message": "m", "request_id": "r-1", "data": data}).encode()


class Desk:
    """A submitter with everything it needs, and what its service and ledger know afterwards."""

    def __init__(self, submitter: Submitter, service: ScriptedService, ledger, stop: Stop) -> None:
        self.submitter, self.service, self.ledger, self.stop = submitter, service, ledger, stop

    async def send(self, *script: str):
        self.service.script += script
        request = CreateRequest(external_task_id="welcome", image=b"hi", sound_file=b"hi")
        media = JobMedia(image=None, audio=None, fingerprint_parts={"image": "i"})
        prepared = Prepared(
            step=Step(external_task_id="welcome", action=Action.SEND, why="new", output=JOB.output, job=JOB),
            job=JOB,
            media=media,
            request=request,
            units_estimated=Decimal("1.2"),
            units_reserved=Decimal("1.2"),
            settle_seconds=SETTLE,
            fitted={},
            free=Free("welcome", never_sent=True, asked_at=None),
            key_id="key-1",
        )
        return await self.submitter.send(prepared, "test")

    def job(self):
        return self.ledger.read(queries.job, "welcome")

    def went(self) -> list[JobState]:
        return [event.to_state for event in self.ledger.read(queries.events_of, "welcome")]


@pytest.fixture
async def desk(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    credentials = getattr(request, "param", ApiKey(CANARY))
    service, stop = ScriptedService(), Stop()
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        entry = enrolment.Enrolment(job=JOB, position=0, units_estimated=None)
        ledger.write_now(enrolment.enrol, "c", [entry])
        async with AvatarClient(url, credentials, timeouts=Timeouts(create_seconds=2)) as client:
            yield Desk(
                Submitter(ledger=ledger, client=client, stop=stop, shelter=Shelter()), service, ledger, stop
            )
    server.close()


async def test_a_plain_answer(desk):
    assert isinstance(await desk.send("ok"), Accepted)
    assert desk.went() == [JobState.PENDING, JobState.SUBMITTING, JobState.RUNNING]
    assert (desk.service.posts, desk.service.lookups) == (1, 0)
    assert (desk.job().attempt.task_id, desk.job().attempt.key_id) == ("870123456789012345", "key-1")
    assert (desk.submitter.calls, desk.submitter.accepted) == (1, 1)


@pytest.mark.parametrize("answer", ["502 though created", "lost though created", "cut", "lands later"])
async def test_a_lost_answer_is_looked_up_and_the_task_adopted(desk, answer):
    assert isinstance(await desk.send(answer), Accepted)
    assert desk.service.posts == 1
    assert desk.job().state is JobState.RUNNING


async def test_only_a_second_not_there_lets_the_same_id_be_sent_again(desk):
    started = time.monotonic()
    sent = await desk.send("lost")
    assert time.monotonic() - started >= SETTLE, "the lost request could still have been carried out"
    assert isinstance(sent, SendAgain)
    assert sent.cause is Cause.NOT_FOUND
    assert (desk.service.posts, desk.service.lookups, desk.job().state) == (1, 2, JobState.PENDING)

    assert isinstance(await desk.send("ok"), Accepted)
    attempts = desk.job().attempts
    assert [(attempt.attempt_id, attempt.posts) for attempt in attempts] == [("welcome", 2)]
    assert (desk.submitter.calls, desk.submitter.accepted) == (2, 1), "one of the two POSTs made a task"


async def test_a_task_older_than_our_intent_is_somebody_elses(desk):
    desk.service.tasks["welcome"] = time.time_ns() // 1_000_000 - 3_600_000
    assert isinstance(await desk.send("400/1201"), Over)
    assert desk.job().state is JobState.CONFLICT
    assert "not ours" in desk.job().why


async def test_exists_already_and_ours_is_adopted(desk):
    await desk.send("lost")
    desk.service.tasks["welcome"] = time.time_ns() // 1_000_000  # the first one landed after all
    assert isinstance(await desk.send("400/1201"), Accepted)
    assert len(desk.service.tasks) == 1


@pytest.mark.parametrize(
    ("answer", "lookups"), [("400/1200", 0), ("400/1201", 1), ("400/1301", 0), ("404/1203", 0)]
)
async def test_refused_for_good(desk, answer, lookups):
    assert isinstance(await desk.send(answer), Over)
    assert (desk.job().state, desk.service.lookups) == (JobState.REJECTED, lookups)
    assert desk.job().attempt.code == int(answer[4:])
    assert desk.job().why.endswith(": m"), "the service's own words are kept"
    assert (desk.submitter.calls, desk.submitter.accepted) == (1, 0)


@pytest.mark.parametrize("answer", ["500/1201", "200/1201", "500/1200", "503/5001", "400/4711"])
async def test_a_refusal_that_http_or_the_code_does_not_bear_out_is_in_doubt(desk, answer):
    """It is waited out and looked up twice, like a lost answer; only then may the same id be sent again."""
    started = time.monotonic()
    sent = await desk.send(answer)
    assert time.monotonic() - started >= SETTLE
    assert isinstance(sent, SendAgain)
    assert sent.cause is Cause.NOT_FOUND
    assert (desk.service.posts, desk.service.lookups, desk.job().state) == (1, 2, JobState.PENDING)


@pytest.mark.parametrize("desk", [KeyPair("a" * 20, "s" * 20)], indirect=True)
async def test_a_token_that_was_refused_and_made_anew_costs_no_attempt(desk):
    sent = await desk.send("401/1004")
    assert isinstance(sent, SendAgain)
    assert sent.cause is Cause.TOKEN_RENEWED
    assert (desk.job().state, desk.stop.reason) == (JobState.PENDING, None)
    assert isinstance(await desk.send("ok"), Accepted)
    assert [(attempt.number, attempt.posts) for attempt in desk.job().attempts] == [(1, 2)]


@pytest.mark.parametrize("desk", [KeyPair("a" * 20, "s" * 20)], indirect=True)
async def test_a_new_token_that_is_refused_too_stops_the_run(desk):
    await desk.send("401/1004")
    assert isinstance(await desk.send("401/1004"), Over)
    assert isinstance(desk.stop.reason, CredentialsError)
    assert (desk.service.posts, desk.job().state) == (2, JobState.PENDING)


@pytest.mark.parametrize(("answer", "cause"), [("429/1303", Cause.NO_SLOT), ("429/1302", Cause.TOO_FAST)])
async def test_refused_for_now_costs_no_attempt(desk, answer, cause):
    sent = await desk.send(answer)
    assert sent.cause is cause
    assert desk.job().state is JobState.PENDING
    await desk.send("ok")
    assert [attempt.number for attempt in desk.job().attempts] == [1]


@pytest.mark.parametrize(("answer", "reason"), [("429/1102", AccountPaused), ("401/1000", CredentialsError)])
async def test_what_every_job_would_meet_stops_the_run(desk, answer, reason):
    assert isinstance(await desk.send(answer), Over)
    assert isinstance(desk.stop.reason, reason)
    assert desk.stop.reason.exit_code == 4
    assert desk.job().state is JobState.PENDING


async def test_after_a_crash_the_service_is_asked_before_anything_else(desk):
    intent = writes.Intent(
        job=JOB,
        fingerprint="1:f",
        fingerprint_parts={},
        settle_seconds=SETTLE,
        units_estimated=None,
        units_reserved=Decimal(1),
        why="a run that was killed",
    )
    attempt = desk.ledger.write_now(writes.intend, intent)
    asyncio.get_running_loop().call_later(
        SETTLE / 2, desk.service.tasks.__setitem__, "welcome", time.time_ns() // 1_000_000
    )
    assert isinstance(await desk.submitter.resolve(attempt), Accepted)
    assert desk.service.posts == 0


async def test_where_nobody_listens_nothing_was_sent(desk):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    async with AvatarClient(f"http://127.0.0.1:{port}", ApiKey(CANARY)) as client:
        desk.submitter = Submitter(ledger=desk.ledger, client=client, stop=desk.stop, shelter=Shelter())
        sent = await desk.send()
    assert isinstance(sent, SendAgain)
    assert sent.cause is Cause.NO_CONNECTION
    assert (desk.job().state, desk.submitter.accepted) == (JobState.PENDING, 0)


async def test_a_run_that_is_stopping_sends_nothing_more(desk):
    desk.stop.now(AccountPaused("enough"))
    assert isinstance(await desk.send("ok"), Over)
    assert (desk.service.posts, desk.job().state) == (0, JobState.PENDING)


async def test_a_task_of_an_earlier_run_is_not_one_that_this_run_created(desk):
    intent = writes.Intent(
        job=JOB,
        fingerprint="1:f",
        fingerprint_parts={},
        settle_seconds=SETTLE,
        units_estimated=None,
        units_reserved=Decimal(1),
        why="a run that was killed",
    )
    attempt = desk.ledger.write_now(writes.intend, intent)
    desk.service.tasks["welcome"] = time.time_ns() // 1_000_000
    assert isinstance(await desk.submitter.resolve(attempt), Accepted)
    assert (desk.submitter.calls, desk.submitter.accepted) == (0, 0)
