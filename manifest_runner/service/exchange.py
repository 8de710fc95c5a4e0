"""One request, one raw answer, within a bound that holds whatever the other side does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from manifest_runner.errors import GarbledReply
from manifest_runner.service.connections import answer_to
from manifest_runner.service.faults import TRANSPORT_ERRORS, transport_fault
from manifest_runner.service.headers import measured_skew, retry_after_seconds
from manifest_runner.service.requests import PIECE, CreateRequest, SpeechRequest

SHORT_REPLY = 1024 * 1024
"""Most bytes of an answer about one thing."""

_LIST_FRAME, _LIST_ENTRY = 64 * 1024, 8 * 1024


def list_reply(page_size: int) -> int:
    """Most bytes of a page. A task with two signed addresses has some two thousand; a page of nothing but tiny
    entries would cost a hundred times its bytes in memory, and the event loop seconds."""
    return _LIST_FRAME + page_size * _LIST_ENTRY


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A request as it is to be sent. `where` names it to people; `seconds` bounds the whole of it."""

    where: str
    method: str
    url: str
    seconds: float
    timeout: httpx.Timeout
    most_bytes: int = SHORT_REPLY
    body: CreateRequest | SpeechRequest | None = None
    alone: bool = False  # on a connection of its own, and its last


@dataclass(frozen=True, kw_only=True, slots=True)
class RawReply:
    http_status: int
    raw: bytes
    retry_after: float | None
    clock_skew: timedelta | None


async def carry_out(client: httpx.AsyncClient, exchange: Exchange, token: str) -> RawReply:
    """Sends the request and reads the answer. TransportFault or GarbledReply otherwise.

    httpx bounds single operations, so a server that drips header or body bytes could hold a call for ever;
    `asyncio.timeout` bounds the whole. Its cancelling is safe with pools that have no limit (connections.py says why):
    on either transport the connection that was cut off is closed, and no request waits for another's place.
    """
    try:
        async with asyncio.timeout(exchange.seconds):
            return await _talk(client, exchange, token)
    except TRANSPORT_ERRORS as error:
        fault = transport_fault(error, exchange.where)
    raise fault


async def _talk(client: httpx.AsyncClient, exchange: Exchange, token: str) -> RawReply:
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    if exchange.alone:
        headers["Connection"] = "close"
    content: bytes | AsyncIterator[bytes] | None = None
    if exchange.body is not None:
        headers |= {"Content-Type": "application/json", "Content-Length": str(exchange.body.body_bytes)}
        content = _content(exchange.body)
    sent_at, started = datetime.now(UTC), time.monotonic()
    request = httpx.Request(
        exchange.method,
        exchange.url,
        headers=headers,
        content=content,
        extensions={"timeout": exchange.timeout.as_dict()},
    )
    async with answer_to(client, request) as response:
        round_trip = timedelta(seconds=time.monotonic() - started)
        # With an Age, the answer comes out of some cache, and its date is an old one.
        date = None if "age" in response.headers else response.headers.get("date")
        retry_after = retry_after_seconds(response.headers.get("retry-after"), datetime.now(UTC))
        return RawReply(
            http_status=response.status_code,
            raw=await _body_of(response, exchange, retry_after),
            retry_after=retry_after,
            clock_skew=measured_skew(date, sent_at=sent_at, round_trip=round_trip),
        )


def _content(body: CreateRequest | SpeechRequest) -> bytes | AsyncIterator[bytes]:
    """A small body whole, so that it leaves with its headers; a large one as it is taken, and only once."""
    return b"".join(body.chunks()) if body.body_bytes <= PIECE else _pieces(body)


async def _pieces(body: CreateRequest | SpeechRequest) -> AsyncIterator[bytes]:
    for piece in body.chunks():
        yield piece


async def _body_of(response: httpx.Response, exchange: Exchange, retry_after: float | None) -> bytes:
    """The body as sent. A redirect, a packed body or an endless one is none of the service's answers."""
    status = response.status_code
    problem = None
    if 300 <= status < 400:
        problem = "it points to another address, which is not followed"
    elif response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        problem = "it is packed, which was not asked for"
    body = bytearray()
    if problem is None:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > exchange.most_bytes:
                problem = f"it is longer than {exchange.most_bytes} bytes"
                break
    if problem is not None:
        raise GarbledReply(
            f"{exchange.where}: the answer (HTTP {status}) is not the service's: {problem}.",
            http_status=status,
            retry_after=retry_after,
        )
    return bytes(body)
