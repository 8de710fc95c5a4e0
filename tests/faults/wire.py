"""HTTP as the front sees it: requests and answers as bytes with a head, read, passed on and written as they are."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

AVATAR = "/v1/videos/avatar/image2video"
STATS = "/__front__"
CALLBACK = "/__callback__/"  # what callback addresses are rewritten to, followed by a number
OF_THE_CONNECTION = ("content-length", "connection", "keep-alive")


class Dropped(Exception):
    """The client gets no answer: the connection is closed."""


class Reset(Exception):
    """The client gets no answer: the connection is reset (RST)."""


@dataclass
class Request:
    """`reused`: it came on a connection that had served another one before."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    reused: bool = False

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def route(self) -> str:
        if self.path == AVATAR:
            return "create" if self.method == "POST" else "list"
        if self.path.startswith(AVATAR + "/"):
            return "look"
        if self.path.startswith(CALLBACK):
            return "callback"
        return {"/v1/audio/tts": "speech", STATS: "stats"}.get(self.path, "result")

    @property
    def order(self) -> dict[str, Any]:
        """The body of a create call or a callback."""
        value: dict[str, Any] = json.loads(self.body)
        return value

    def with_order(self, order: dict[str, Any]) -> Request:
        return Request(self.method, self.target, self.headers, json.dumps(order).encode(), self.reused)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    claims: int | None = -1  # its Content-Length: -1 the truth, None no header at all

    def wire(self, *, keep: bool = False) -> bytes:
        kept = {name: text for name, text in self.headers.items() if name not in OF_THE_CONNECTION}
        if self.claims is not None:
            kept["content-length"] = str(len(self.body) if self.claims == -1 else self.claims)
        kept["connection"] = "keep-alive" if keep else "close"
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {text}" for name, text in kept.items())]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body

    @property
    def envelope(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value

    def with_envelope(self, value: dict[str, Any]) -> Answer:
        return Answer(self.status, self.headers, json.dumps(value).encode())


def tasks_in(envelope: dict[str, Any]) -> list[dict[str, Any]]:
    """The tasks that an envelope tells of, one or a page of them."""
    data = envelope["data"]
    return data if isinstance(data, list) else [data]


def refusal(status: int, code: int, message: str, **headers: str) -> Answer:
    body = json.dumps({"code": code, "message": message, "request_id": "front", "data": None}).encode()
    return Answer(status, {"content-type": "application/json", **headers}, body)


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = _headers(head[1:])
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


async def forward(upstream: str, request: Request) -> Answer:
    """The same request to another server, under the Host that the client used: the sandbox then names results by an
    address that leads through here too."""
    place = urlsplit(upstream)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        headers = request.headers | {"connection": "close"}
        if request.body:
            headers["content-length"] = str(len(request.body))
        lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body)
        await writer.drain()
        raw = await reader.read()
    finally:
        writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    return Answer(int(first.split(" ")[1]), _headers(rest), body)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close without the farewell: whoever is at the other end gets ECONNRESET."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _headers(lines: list[str]) -> dict[str, str]:
    found = dict(line.split(": ", 1) for line in lines if ": " in line)
    return {name.lower(): text for name, text in found.items()}
