"""The service as a fetcher and a watcher see it, on a real socket: a list of tasks, look-ups, and result files."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import av
import numpy as np

from manifest_runner.ledger import AttemptRecord, Ledger, enrolment, queries, writes
from manifest_runner.models import Job, ServiceStatus

API = "/v1/videos/avatar/image2video"
ETAG = '"v1"'


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


Answer = Callable[[Asked], bytes]
"""All the bytes of an answer, its head among them. The connection is closed behind each."""


def plain(status: int, body: bytes = b"", **headers: str) -> Answer:
    return lambda asked: _head(status, {"content-length": str(len(body)), **headers}) + body


def envelope(data: object, *, code: int = 0, status: int = 200) -> Answer:
    body = {"code": code, "message": "m", "request_id": "r-1", "data": data}
    return plain(status, json.dumps(body).encode())


def silence(asked: Asked) -> bytes:
    """The connection is closed without a word."""
    return b""


def result(body: bytes, *, etag: str | None = ETAG, until: int | None = None) -> Answer:
    """A result file with Range, as RFC 9110 has it. `until`: the connection breaks before this byte of the file."""

    def answer(asked: Asked) -> bytes:
        start, status, headers = 0, 200, {} if etag is None else {"etag": etag}
        if "range" in asked.headers and asked.headers.get("if-range") == etag:
            start = int(asked.headers["range"].removeprefix("bytes=").removesuffix("-"))
            status = 206
            headers["content-range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        headers["content-length"] = str(len(body) - start)
        return _head(status, headers) + body[start:until]

    return answer


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "connection: close"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


class ResultServer:
    """`async with ResultServer() as server`. Tasks are listed in the order they were put in, newest first.

    `files` and `trouble` are scripts: an answer each time, and the last one of a file for ever after.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, object]] = {}
        self.unlisted: set[str] = set()  # tasks that the list does not show
        self.look_up_trouble: dict[str, Answer] = {}  # task id -> what every look-up of it is answered with
        self.list_trouble: list[Answer] = []  # what the next list calls are answered with
        self.files: dict[str, list[Answer]] = {}
        self.asked: list[Asked] = []

    async def __aenter__(self) -> ResultServer:
        self._talks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for _ in range(5):
            await asyncio.sleep(0)  # a connection that was just taken becomes a talk a few turns later
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def put(
        self, task_id: str, status: str, *, videos: list[dict[str, str]] | None = None, key: str = ""
    ) -> None:
        """Make a task known, or change it."""
        self.tasks[task_id] = {
            "task_id": task_id,
            "task_status": status,
            "task_info": {"external_task_id": key} if key else {},
            "task_result": {"videos": videos or []},
            "created_at": 1_790_000_000_000,
            "updated_at": 1_790_000_060_000,
        }

    @property
    def lists(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == API]

    @property
    def look_ups(self) -> list[str]:
        """The ids that were looked up one by one."""
        return [asked.path.rsplit("/", 1)[1] for asked in self.asked if asked.path.startswith(f"{API}/")]

    def downloads(self, path: str | None = None) -> list[Asked]:
        known = self.files if path is None else [path]
        return [asked for asked in self.asked if asked.path in known]

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: one that only the stream knows of could outlive the test, and its socket with it.
        self._talks.add(asyncio.create_task(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                method, target, _ = head.split(" ", 2)
                pairs = (line.split(": ", 1) for line in lines if line)
                asked = Asked(method, target, {name.lower(): value for name, value in pairs})
                self.asked.append(asked)
                writer.write(self._answer(asked)(asked))
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, asked: Asked) -> Answer:
        if asked.path in self.files:
            script = self.files[asked.path]
            return script.pop(0) if len(script) > 1 else script[0]
        if asked.path == API:
            return self.list_trouble.pop(0) if self.list_trouble else self._page(asked)
        task_id = asked.path.rsplit("/", 1)[1]
        if task_id in self.look_up_trouble:
            return self.look_up_trouble[task_id]
        if task_id not in self.tasks:
            return envelope(None, code=1203, status=404)
        return envelope(self.tasks[task_id])

    def _page(self, asked: Asked) -> Answer:
        query = {name: int(values[0]) for name, values in parse_qs(urlsplit(asked.target).query).items()}
        shown = [task for task_id, task in self.tasks.items() if task_id not in self.unlisted]
        first = (query["pageNum"] - 1) * query["pageSize"]
        return envelope(shown[first : first + query["pageSize"]])


@cache
def small_video(shade: int = 90) -> bytes:
    """A real MP4 of one second; each shade of grey gives another file."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        noise = np.random.default_rng(shade)
        for number in range(10):
            pixels = noise.integers(0, shade, (64, 64, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def running(
    ledger: Ledger, key: str, task_id: str, *, output: str | None = None, watermark: bool = False
) -> AttemptRecord:
    """A job whose task the service has, as a run leaves it in the ledger."""
    job = Job(
        external_task_id=key,
        image="a.png",
        sound_file="a.mp3",
        output=output or f"{key}.mp4",
        watermark=watermark,
    )
    entry = enrolment.Enrolment(job=job, position=0, units_estimated=None)
    ledger.write_now(enrolment.enrol, "c", [entry])
    intent = writes.Intent(
        job=job,
        fingerprint="1:f",
        fingerprint_parts={},
        settle_seconds=1,
        units_estimated=None,
        units_reserved=Decimal(1),
        why="test",
    )
    attempt = ledger.write_now(writes.intend, intent)
    return ledger.write_now(
        writes.accepted,
        writes.Acceptance(
            attempt_id=attempt.attempt_id,
            task_id=task_id,
            status=ServiceStatus.SUBMITTED,
            request_id=None,
            why="test",
        ),
    )


def rendered(
    ledger: Ledger, key: str, task_id: str, *, output: str | None = None, watermark: bool = False
) -> AttemptRecord:
    """A job that the service has rendered and that has been paid."""
    attempt = running(ledger, key, task_id, output=output, watermark=watermark)
    ending = writes.Ending(
        attempt_id=attempt.attempt_id,
        status=ServiceStatus.SUCCEED,
        message=None,
        video_seconds=None,
        units_deducted=Decimal("0.4"),
        request_id=None,
        ended_at=attempt.intent_at,
    )
    ledger.write_now(writes.ended, ending)
    record = ledger.read(queries.job, key)
    assert record is not None
    assert record.attempt is not None
    return record.attempt


def names_in(folder: Path) -> list[str]:
    """Everything below a folder, hidden files too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
