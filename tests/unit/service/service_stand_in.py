"""A real server on a real socket that answers by script, well or badly, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

CREATED_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self):
        return json.loads(self.body)


Step = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def raw(status: int, body: bytes = b"", **headers: str) -> Step:
    """An answer with this body. Header names are written with underscores."""

    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        length = {} if "Content-Length" in named else {"Content-Length": str(len(body))}
        writer.write(head(status, named | length) + (b"" if seen.method == "HEAD" else body))
        await writer.drain()

    return step


def envelope(
    data: object = None, *, code: int = 0, status: int = 200, message: str = "", **headers: str
) -> Step:
    body = {"code": code, "message": message, "request_id": "req-1"}
    return raw(status, json.dumps(body if data is None else body | {"data": data}).encode(), **headers)


def refusal(code: int, status: int, message: str = "no", **headers: str) -> Step:
    return envelope(code=code, status=status, message=message, **headers)


def task(
    task_id: object = "850000000000000001", external: str | None = "job-1", **fields: object
) -> dict[str, object]:
    info = {} if external is None else {"task_info": {"external_task_id": external}}
    return {"task_id": task_id, "task_status": "submitted", "created_at": CREATED_MS, **info, **fields}


async def drop(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Closes without a word."""
    writer.close()


async def reset(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Tears the connection down."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def stay_silent(seconds: float) -> Step:
    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)

    return step


def drip(first: bytes, every: float, piece: bytes = b"x") -> Step:
    """Sends something small for ever: each single read is quick, the whole never ends."""

    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every)

    return step


def date_header(moment: datetime | None = None) -> str:
    return format_datetime((moment or datetime.now(UTC)).astimezone(UTC), usegmt=True)


class StandIn:
    """`async with StandIn(step, step, ...)`: answers in that order, the last one for ever after."""

    def __init__(self, *steps: Step, tls: ssl.SSLContext | None = None) -> None:
        self.steps = list(steps)
        self.seen: list[Seen] = []
        self.connections = 0
        self._tls = tls

    async def __aenter__(self) -> StandIn:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for running in self._tasks:
            running.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        number = self.connections
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                seen = await self._read(reader, number)
                self.seen.append(seen)
                step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                await step(seen, writer)
        writer.close()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Seen:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Seen(method, target, headers, body, number)
