"""Result files as streams. No credentials go along, and each hop is checked before it is taken."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from manifest_runner.addresses import Address, literal_address
from manifest_runner.errors import FetchError
from manifest_runner.service.addresses import Target, check_target, refuse_forbidden
from manifest_runner.service.base_url import host_of, is_loopback
from manifest_runner.service.connections import Engine, answer_to, proxy_for
from manifest_runner.service.faults import TRANSPORT_ERRORS, fault_words
from manifest_runner.service.host_pools import HostPools
from manifest_runner.service.timeouts import DownloadClock, Timeouts

LARGEST_RESULT = 1024**3
"""Bytes. The longest video, 300 s at 1080p, would need 28 Mbit/s to be as large."""

_MOST_REDIRECTS = 3
_MOST_ADDRESSES = 4
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)  # a 403 may be a gateway on the way: it says nothing of the file
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")
_AGAIN = "Run again to go on."


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultStream:
    """A result on its way. `total_bytes` is the whole file's size, also when only the rest of it comes.

    `resumed`: the chunks go on at the offset asked for; otherwise they start at the file's beginning. `chunks`
    raises FetchError when the stream breaks, falls short of its size, grows absurd (past LARGEST_RESULT), comes to
    a crawl (16 KiB a second over a minute) or takes longer than an hour.
    """

    status: int
    total_bytes: int | None
    etag: str | None
    resumed: bool
    content_type: str | None
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class _Rest:
    """What of a file is wanted: from this byte on, if it is still the file of this tag."""

    offset: int
    etag: str


class Downloads:
    """The results of one service, over connections that are kept: `async with Downloads(base_url) as downloads`.

    `base_url` is the service's own: only a service on this machine may have results on this machine. Nothing is
    opened before the first download.
    """

    def __init__(
        self, base_url: str, *, timeouts: Timeouts | None = None, engine: Engine | None = None
    ) -> None:
        self._local_service = is_loopback(host_of(base_url))
        self._timeouts = timeouts or Timeouts()
        self._pools = HostPools(self._timeouts.downloads(), engine)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pools.aclose()

    @contextlib.asynccontextmanager
    async def open(
        self, url: str, *, offset: int = 0, etag: str | None = None
    ) -> AsyncIterator[ResultStream]:
        """Opens a result for reading: `async with downloads.open(url) as result`.

        `offset` (bytes already here) is used only with the strong `etag` they came under; without one nobody can tell
        whether the file is still the same, and the result is sent from its beginning. FetchError in every case that
        is not a result; `expired` when the address no longer works and the task has to be asked for a fresh one.
        """
        rest = _Rest(offset, etag) if offset > 0 and etag is not None and _is_strong(etag) else None
        async with contextlib.AsyncExitStack() as stack:
            response = await self._follow(stack, url, rest)
            if rest is not None and not _answers_rest(response, rest):
                await stack.aclose()  # the file has changed, or the server can't do ranges right
                rest = None
                response = await self._follow(stack, url, None)
            _refuse_no_result(response, asked_for_rest=rest is not None)
            resumed_at = rest.offset if rest is not None and response.status_code == 206 else 0
            total = _total_bytes(response)
            chunks = _chunks(response, resumed_at, total)
            stack.push_async_callback(chunks.aclose)
            yield ResultStream(
                status=response.status_code,
                total_bytes=total,
                etag=response.headers.get("etag"),
                resumed=resumed_at > 0,
                content_type=response.headers.get("content-type"),
                chunks=chunks,
            )

    async def _follow(self, stack: contextlib.AsyncExitStack, url: str, rest: _Rest | None) -> httpx.Response:
        """The answer at the end of at most three redirects, each hop checked like the first."""
        for _ in range(_MOST_REDIRECTS + 1):
            target = check_target(url, local_service=self._local_service)
            hop = await stack.enter_async_context(contextlib.AsyncExitStack())
            response = await self._open_hop(hop, target, rest)
            if response.status_code not in _REDIRECTS:
                return response
            url = _next_hop(target, response)
            await hop.aclose()
        raise FetchError(f"The result on {target.host!a} is redirected too often.")

    async def _open_hop(
        self, hop: contextlib.AsyncExitStack, target: Target, rest: _Rest | None
    ) -> httpx.Response:
        """Connects to one of the addresses that were checked, not to what the name means a moment later."""
        proxy = None if is_loopback(target.host) else proxy_for(target.url.scheme, target.host)
        # Behind a proxy only the proxy can resolve names, and it is the one that decides where they may lead.
        hosts = [target.host] if proxy else await self._checked_hosts(target)
        client = await hop.enter_async_context(self._pools.client_for(target, proxy))
        fault = FetchError(f"No address of {target.host!a} could be reached.")
        for host in hosts:
            try:
                async with asyncio.timeout(self._timeouts.read_bound):
                    return await hop.enter_async_context(_request(client, target, host, rest))
            except TRANSPORT_ERRORS as error:
                fault = _fetch_fault(target, error)
                try_next = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            if not try_next:
                break
        raise fault

    async def _checked_hosts(self, target: Target) -> list[str]:
        """The addresses behind a name, every one of them allowed. What is an address was checked as such."""
        if (literal := literal_address(target.host)) is not None:
            return [str(literal)]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.read_bound):
                found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise FetchError(
                f"The host of a result, {target.host!a}, can't be found.",
                mend="Check the network, then run again.",
            ) from None
        addresses: list[Address] = [
            ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found
        ]
        refuse_forbidden(addresses, target.host, local_service=self._local_service)
        return list(dict.fromkeys(str(address) for address in addresses))[:_MOST_ADDRESSES]


@contextlib.asynccontextmanager
async def open_result(
    url: str,
    *,
    base_url: str,
    offset: int = 0,
    etag: str | None = None,
    timeouts: Timeouts | None = None,
) -> AsyncIterator[ResultStream]:
    """One download by itself: `async with open_result(url, base_url=...) as result`. See `Downloads.open`."""
    async with (
        Downloads(base_url, timeouts=timeouts) as downloads,
        downloads.open(url, offset=offset, etag=etag) as result,
    ):
        yield result


def _next_hop(target: Target, response: httpx.Response) -> str:
    try:
        return str(target.url.join(response.headers.get("location", "")))
    except (httpx.InvalidURL, ValueError):
        raise FetchError(f"The result on {target.host!a} is redirected to what is no URL.") from None


def _request(
    client: httpx.AsyncClient, target: Target, host: str, rest: _Rest | None
) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
    headers = {"Host": target.url.netloc.decode("ascii"), "Accept-Encoding": "identity", "Accept": "*/*"}
    if rest is not None:
        headers |= {"Range": f"bytes={rest.offset}-", "If-Range": rest.etag}
    pinned = target.url.copy_with(host=host)
    # The certificate is still checked against the name, not the address.
    extensions = {"sni_hostname": target.host}
    return answer_to(client, httpx.Request("GET", pinned, headers=headers, extensions=extensions))


def _answers_rest(response: httpx.Response, rest: _Rest) -> bool:
    """Whether the answer can be used: the rest of the same file, all of it again, or a plain error."""
    if response.status_code == 416:
        return False
    if response.status_code != 206:
        return True
    span = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    same_file = response.headers.get("etag", rest.etag) == rest.etag
    return span is not None and int(span[1]) == rest.offset and same_file


def _refuse_no_result(response: httpx.Response, *, asked_for_rest: bool) -> None:
    status = response.status_code
    if status in _GONE:
        raise FetchError(
            f"The address of the result no longer works (HTTP {status}).",
            expired=True,
            mend="Results are kept for 30 days; the task may still give a fresh address.",
        )
    if status != 200 and not (status == 206 and asked_for_rest):
        raise FetchError(f"The result could not be fetched (HTTP {status}).", mend=_AGAIN)
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise FetchError("The result came packed, which was not asked for.", mend=_AGAIN)


def _total_bytes(response: httpx.Response) -> int | None:
    """The whole file's size as the answer tells it."""
    if response.status_code == 206:
        span = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        size = span[3] if span else ""
    else:
        size = response.headers.get("content-length", "")
    total = int(size) if re.fullmatch(r"[0-9]{1,15}", size) else None
    if total is not None and total > LARGEST_RESULT:
        raise FetchError(
            f"The result is said to have {total} bytes, which no video of this service has.", final=True
        )
    return total


async def _chunks(response: httpx.Response, offset: int, total: int | None) -> AsyncGenerator[bytes]:
    position, clock = offset, DownloadClock(time.monotonic())
    fault: FetchError | None = None
    try:
        async for chunk in response.aiter_raw():
            position += len(chunk)
            if total is None and position > LARGEST_RESULT:
                raise FetchError("The result is longer than any video of this service.", final=True)
            if total is not None and position > total:
                raise FetchError("The result is longer than it was said to be.", mend=_AGAIN)
            objection = clock.objection(len(chunk), time.monotonic())
            if objection is not None:
                raise FetchError(f"The result {objection}.", mend=_AGAIN)
            yield chunk
    except TRANSPORT_ERRORS as error:
        fault = FetchError(f"The result broke off after {position} bytes: {fault_words(error)}.", mend=_AGAIN)
    if fault is None and total is not None and position < total:
        fault = FetchError(f"The result ended after {position} of {total} bytes.", mend=_AGAIN)
    if fault is not None:
        raise fault


def _fetch_fault(target: Target, error: Exception) -> FetchError:
    return FetchError(
        f"The result on {target.host!a} could not be fetched: {fault_words(error)}.",
        mend="Check the network, then run again to go on.",
    )


def _is_strong(etag: str) -> bool:
    """Weak tags say "about the same", which is too little to put two halves together (RFC 9110, 13.1.5)."""
    return re.fullmatch(r'"[\x21\x23-\x7e]*"', etag) is not None
