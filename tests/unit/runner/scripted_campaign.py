"""Whole campaigns against a service that does what a test's script says: a real socket, real files, a real ledger."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import json
import time
import wave
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import av
import numpy as np
from canaries import CANARY
from PIL import Image

from manifest_runner.ledger import JobRecord, Ledger, SpeechRecord, open_for_reading, open_ledger, queries
from manifest_runner.ledger.speeches import speeches_of
from manifest_runner.media import preflight
from manifest_runner.models import Job, JobState, Manifest, Speech
from manifest_runner.runner.conduct import Outcome
from manifest_runner.runner.decide import Retry
from manifest_runner.runner.options import RunOptions, Service
from manifest_runner.runner.pace import Pace
from manifest_runner.runner.run import carry_out, exit_code
from manifest_runner.runner.survey import enrol, survey
from manifest_runner.service import ApiKey, Timeouts

NAME = "campaign"
AVATAR, SPEECH = "/v1/videos/avatar/image2video", "/v1/audio/tts"
QUICK = Pace(shortest=0.02, longest=0.05)
HELLO = Speech(text="Hello!", voice_id="oversea_male1", voice_language="en")


@functools.cache
def video() -> bytes:
    """Half a second of a whole MP4."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@functools.cache
def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (320, 400), "teal").save(file, "PNG")
    return file.getvalue()


@functools.cache
def sound(seconds: int = 2) -> bytes:
    """Silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(bytes(2 * 8000 * seconds))
    return file.getvalue()


@dataclass
class _Task:
    key: str
    task_id: str
    created_at: int  # ms
    ended: str = ""


Answer = tuple[int, bytes] | None
"""HTTP status and body; None cuts the connection."""


class ScriptedService:
    """Creates and speaks as scripted (`ok` where the script is over), renders at the next look, serves results.

    What a call may be told to do, beside `HTTP/CODE` for a refusal: `ok`; `lost` (cut off, nothing made);
    `lost though made`; `slow` (answered a while later); `502` (a gateway's page, nothing made).
    """

    def __init__(self) -> None:
        self.url = ""
        self.tasks: dict[str, _Task] = {}
        self.creates: defaultdict[str, deque[str]] = defaultdict(deque)  # script by id
        self.speaks: deque[str] = deque()
        self.lists: deque[str] = deque()
        self.look_ups: deque[str] = deque()
        self.blind: set[str] = set()  # ids that can't be looked up once they were posted
        self.results: deque[str] = deque()  # only what goes wrong
        self.every_create = "ok"
        self.held: set[str] = set()  # ids whose tasks don't end
        self.fails: set[str] = set()  # ids whose tasks end as failed
        self.unlisted: set[str] = set()  # ids that the list call leaves out
        self.units: str | None = "0.8"  # what each task deducts
        self.status = "submitted"  # the word for tasks that have not ended
        self.duplicates_refused = True
        self.log: list[str] = []  # "post a", "made a", "end a", "speak", "list", "look a"
        self.bodies: list[dict[str, object]] = []
        self.listening: asyncio.Server | None = None
        self._news = asyncio.Event()

    @property
    def posts(self) -> list[str]:
        return [line.removeprefix("post ") for line in self.log if line.startswith("post ")]

    def holds(self, key: str, *, created_at: int | None = None) -> None:
        """The account has a task with this id, made now or at `created_at` (ms)."""
        number = 870_000_000_000_000_000 + len(self.tasks)
        self.tasks[key] = _Task(key, str(number), created_at or time.time_ns() // 1_000_000)
        self.note(f"made {key}")

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until the log, or what goes with it, makes this true."""
        async with asyncio.timeout(10):
            while not happened():
                self._news.clear()
                await self._news.wait()

    def note(self, line: str) -> None:
        self.log.append(line)
        self._news.set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                    method, path, _ = head.split(" ", 2)
                    sizes = [line for line in head.splitlines() if line.lower().startswith("content-length:")]
                    body = await reader.readexactly(int(sizes[0].split(":")[1])) if sizes else b""
                    answer = await self.answer(method, path, body)
                    if answer is None:
                        break
                    status, content = answer
                    writer.write(
                        b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(content)) + content
                    )
                    await writer.drain()
        finally:
            writer.close()

    async def answer(self, method: str, path: str, body: bytes) -> Answer:
        if path.startswith("/results/"):
            return scripted(self.results.popleft()) if self.results else (200, video())
        if method == "POST":
            return await (self.speak if path == SPEECH else self.create)(json.loads(body))
        if path.startswith(f"{AVATAR}?"):
            return self.list_tasks()
        return self.look_up(path.rsplit("/", 1)[1])

    async def create(self, body: dict[str, object]) -> Answer:
        key = str(body["external_task_id"])
        self.note(f"post {key}")
        self.bodies.append(body)
        act = self.creates[key].popleft() if self.creates[key] else self.every_create
        if act in ("lost", "502") or "/" in act:
            return scripted(act)
        if self.duplicates_refused and key in self.tasks:
            return scripted("400/1201")
        self.holds(key)
        if act == "slow":
            await asyncio.sleep(0.2)
        return None if act == "lost though made" else envelope(data=self.told(self.tasks[key]))

    async def speak(self, body: dict[str, object]) -> Answer:
        self.note("speak")
        self.bodies.append(body)
        act = self.speaks.popleft() if self.speaks else "ok"
        if act != "ok":
            return scripted(act)
        audio = {"id": f"audio-{self.log.count('speak')}", "url": f"{self.url}/a.mp3", "duration": "2.0"}
        return envelope(
            data={"task_id": "1", "task_result": {"audios": [audio]}, "final_unit_deduction": "0.05"}
        )

    def list_tasks(self) -> Answer:
        self.note("list")
        if self.lists and (act := self.lists.popleft()) != "ok":
            return scripted(act)
        shown = [task for task in self.tasks.values() if task.key not in self.unlisted]
        return envelope(data=[self.looked_at(task) for task in shown])

    def look_up(self, any_id: str) -> Answer:
        self.note(f"look {any_id}")
        if any_id in self.blind and any_id in self.posts:
            return scripted("502")
        if self.look_ups and (act := self.look_ups.popleft()) != "ok":
            return scripted(act)
        for task in self.tasks.values():
            if any_id in (task.key, task.task_id):
                return envelope(data=self.looked_at(task))
        return scripted("404/1203")

    def looked_at(self, task: _Task) -> dict[str, object]:
        if not task.ended and task.key not in self.held:
            task.ended = "failed" if task.key in self.fails else "succeed"
            self.note(f"end {task.key}")
        return self.told(task)

    def told(self, task: _Task) -> dict[str, object]:
        told: dict[str, object] = {
            "task_id": task.task_id,
            "task_status": task.ended or self.status,
            "task_info": {"external_task_id": task.key},
            "created_at": task.created_at,
            "updated_at": task.created_at,
        }
        if task.ended:
            told["final_unit_deduction"] = self.units if task.ended == "succeed" else "0"
        if task.ended == "succeed":
            address = f"{self.url}/results/{task.task_id}.mp4"
            told["task_result"] = {"videos": [{"id": "v", "url": address, "duration": "0.5"}]}
        return told


def scripted(act: str) -> Answer:
    if act == "lost":
        return None
    if act == "502":
        return 502, b"<html>Bad gateway</html>"
    http, code = act.split("/")
    return envelope(int(http), int(code))


def envelope(http: int = 200, code: int = 0, data: object = None) -> tuple[int, bytes]:
    return http, json.dumps({"code": code, "message": "m", "request_id": "r-1", "data": data}).encode()


def with_audio_id(key: str) -> Job:
    """A job that needs no file at all."""
    return Job(
        external_task_id=key, image="https://example.com/a.png", audio_id="audio-0", output=f"{key}.mp4"
    )


def with_files(key: str) -> Job:
    """A job of two seconds: 0.8 units."""
    return Job(external_task_id=key, image="face.png", sound_file="voice.wav", output=f"{key}.mp4")


def with_speech(key: str, speech: Speech = HELLO) -> Job:
    return Job(external_task_id=key, image="https://example.com/a.png", speech=speech, output=f"{key}.mp4")


@dataclass(frozen=True)
class Ran:
    """What one run came to."""

    outcome: Outcome
    exit_code: int


@dataclass
class Campaign:
    """A folder with media, a ledger and a service; `run` is what the command does between reading and reporting."""

    folder: Path
    service: ScriptedService
    concurrency: int = 2
    budget: str | None = None
    create_seconds: float = 1.0
    task_timeout: float = 60.0
    key_id: str | None = None
    after_planning: Callable[[], object] = field(default=lambda: None)

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.sqlite3"

    def file(self, name: str) -> Path:
        return self.folder / "out" / name

    def manifest(self, *jobs: Job) -> Manifest:
        return Manifest(
            path=self.folder / "manifest.yaml",
            campaign=NAME,
            jobs=jobs,
            concurrency=self.concurrency,
            budget_units=Decimal(self.budget) if self.budget else None,
        )

    async def run(self, *jobs: Job, retry: tuple[Retry, ...] = (), retry_ids: tuple[str, ...] = ()) -> Ran:
        with open_ledger(self.ledger, account="test") as ledger:
            outcome = await self.go(ledger, *jobs, retry=retry, retry_ids=retry_ids)
            return Ran(outcome, exit_code(outcome, ledger.read(queries.unfinished, NAME)))

    async def go(
        self,
        ledger: Ledger,
        *jobs: Job,
        retry: tuple[Retry, ...] = (),
        retry_ids: tuple[str, ...] = (),
    ) -> Outcome:
        manifest, out = self.manifest(*jobs), self.folder / "out"
        found = preflight(jobs, self.folder)
        steps = ledger.read(
            lambda connection: survey(manifest, found, connection, out, retry=retry, retry_ids=retry_ids)
        )
        enrol(ledger, NAME, jobs, steps)
        self.after_planning()
        return await carry_out(
            manifest,
            steps,
            ledger=ledger,
            service=Service(base_url=self.service.url, credentials=ApiKey(CANARY), key_id=self.key_id),
            folder=out,
            options=RunOptions(
                timeouts=Timeouts(create_seconds=self.create_seconds),
                pace=QUICK,
                task_timeout=self.task_timeout,
            ),
        )

    def job(self, key: str) -> JobRecord:
        with open_for_reading(self.ledger) as connection:
            record = queries.job(connection, key)
        assert record is not None
        return record

    def states(self) -> dict[str, JobState]:
        with open_for_reading(self.ledger) as connection:
            return {record.external_task_id: record.state for record in queries.jobs(connection, NAME)}

    def went(self, key: str) -> list[JobState]:
        with open_for_reading(self.ledger) as connection:
            return [event.to_state for event in queries.events_of(connection, key)]

    def speeches(self) -> list[SpeechRecord]:
        with open_for_reading(self.ledger) as connection:
            return speeches_of(connection, NAME)

    def spend(self) -> queries.Spend:
        with open_for_reading(self.ledger) as connection:
            return queries.spend(connection, NAME)


@contextlib.asynccontextmanager
async def open_campaign(folder: Path, service: ScriptedService | None = None) -> AsyncIterator[Campaign]:
    """A campaign whose service listens for as long as the block lasts."""
    (folder / "face.png").write_bytes(picture())
    (folder / "voice.wav").write_bytes(sound())
    service = service or ScriptedService()
    service.listening = await asyncio.start_server(service.handle, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{service.listening.sockets[0].getsockname()[1]}"
    try:
        yield Campaign(folder, service)
    finally:
        service.listening.close()
