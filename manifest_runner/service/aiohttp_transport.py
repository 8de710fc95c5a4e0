"""Httpx's requests on aiohttp's connections, which stay quick at a hundred at a time, with errors that tell the truth.

Httpx-aiohttp gives the frame. Its own translation of errors will not do where money hangs on it (read in 0.2.0,
November 2026): every `ClientConnectionError` becomes a `ConnectTimeout` there, and a connection that broke *after* a
request was sent is one (`ServerDisconnectedError`, `ClientOSError`). It would prove "not sent", and a job could be paid
twice. It also gives aiohttp an address as text, which is then written anew (`%7E` as `~`, `%20` as `+`), whatever was
signed.

Read in aiohttp 3.14: `ClientConnectorError` and `ConnectionTimeoutError` are raised by the connector alone, before it
has handed out a connection, so before the first byte of a request. Everything else may come later. Of itself it sends a
request that a connection has lost once more, unless it is a POST; here nothing is. A request that is cancelled from
outside closes its connection and gives its place in the pool back, wherever it stands.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import httpx
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from httpx_aiohttp import AiohttpTransport
from yarl import URL

_READ_AT_ONCE = 64 * 1024
_KEPT_SECONDS = 5.0  # httpx's own default


class CarefulTransport(AiohttpTransport):
    """HTTP/1.1 straight to the host: no proxy, no redirect, no cookie, no decoding, nothing sent twice.

    Of `limits`, `max_keepalive_connections=0` closes each connection after its answer; otherwise they are kept for
    `keepalive_expiry` seconds. Errors are those that httpx's own transport would raise.
    """

    def __init__(self, tls: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=tls, limits=limits, client=self._open_session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()  # here, where its event loop runs
        limits = request.extensions.get("timeout", {})
        with _errors_as_httpx():
            response = await self.client.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=[
                    (name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw
                ],
                data=_body_of(request),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=limits.get("connect"), sock_read=limits.get("read")),
                server_hostname=request.extensions.get("sni_hostname"),
            )
        return httpx.Response(
            status_code=response.status,
            headers=response.raw_headers,
            stream=_Body(response, limits.get("read")),
            request=request,
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": _phrase_of(response)},
        )

    def _open_session(self) -> aiohttp.ClientSession:
        tls, most = (
            self.ssl_context,
            self.limits.max_connections or 0,
        )  # 0: no limit, where the frame would take 100
        if self.limits.max_keepalive_connections == 0:
            connector = aiohttp.TCPConnector(ssl=tls, limit=most, force_close=True)
        else:
            kept = self.limits.keepalive_expiry or _KEPT_SECONDS
            connector = _Connector(ssl=tls, limit=most, keepalive_timeout=kept)
        return aiohttp.ClientSession(
            connector=connector,
            middlewares=[_once],
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )


class _Connector(aiohttp.TCPConnector):
    """Gives out a kept connection only when nothing has come on it meanwhile.

    A gateway's late or doubled answer would be taken for that to the next request, and each one after it for the next
    but one: another video under a job's name, or a "not there" of a task that is there. Aiohttp asks a kept connection
    only whether it is still open (read in 3.14.5: `_get` is private, hence the bound on its version).
    """

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (found := await super()._get(key, traces)) is not None:
            if found.protocol is None or not found.protocol.should_close:
                return found
            found.close()
        return None


def _phrase_of(response: aiohttp.ClientResponse) -> bytes:
    """As it was sent: a gateway's own words may be in any encoding."""
    return (response.reason or "").encode("utf-8", "surrogateescape")


class _Body(httpx.AsyncByteStream):
    """The body of an answer as it was sent. Each read may take so many seconds."""

    def __init__(self, response: aiohttp.ClientResponse, seconds: float | None) -> None:
        self._response = response
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._read():
            yield chunk

    async def _read(self) -> bytes:
        """What is there next; nothing at the end."""
        if arrived := self._arrived_before_it_broke():
            return arrived
        try:
            # Aiohttp's own bound on reading ends when it can't parse what comes, and then nothing wakes the reader
            # (seen in 3.14.5: a chunk whose size is no number).
            async with asyncio.timeout(self._seconds):
                with _errors_as_httpx():
                    return await self._response.content.read(_READ_AT_ONCE)
        except TimeoutError:
            raise httpx.ReadTimeout("nothing was read in time") from None

    def _arrived_before_it_broke(self) -> bytes:
        """Aiohttp would throw it away with the error; but a download goes on behind what it has."""
        content = self._response.content
        broken = content.exception()
        if broken is None:
            return b""
        content.set_exception(None)  # type: ignore[arg-type] # the only way to it by public names
        arrived = content.read_nowait()
        content.set_exception(broken)
        return arrived

    async def aclose(self) -> None:
        # At the body's end aiohttp has the connection back already. Anywhere else it is no good any more: the rest of
        # the body, or of our own request to which the answer came early, is still on its way.
        self._response.close()


def _body_of(request: httpx.Request) -> bytes | httpx.AsyncByteStream | None:
    """The request's content: whole where it was given whole, else a stream that can be read once."""
    if isinstance(request.stream, httpx.ByteStream):
        return request.content or None
    if not isinstance(request.stream, httpx.AsyncByteStream):
        raise TypeError("a request's body is bytes or an asynchronous stream")
    return request.stream


class _Lost(aiohttp.ClientError):
    """The connection was lost with a request on it."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Sends a request once and no more: aiohttp sends again what ended by the errors that are turned here."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise _Lost("the connection was lost") from None


@contextmanager
def _errors_as_httpx() -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientError as error:
        # Without the cause: it can hold the request with its headers.
        raise _as_httpx(error) from None


def _as_httpx(error: aiohttp.ClientError) -> httpx.TransportError:
    """What httpx's own transport would say. `Connect...` only where no connection was handed out."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout("no connection in time")
        case aiohttp.ClientConnectorCertificateError():
            return httpx.ConnectError(str(error.certificate_error))
        case aiohttp.ClientConnectorError(os_error=why):
            nameless = isinstance(why, socket.gaierror)
            return httpx.ConnectError("no host of that name was found" if nameless else str(why))
        case aiohttp.ServerTimeoutError():
            return httpx.ReadTimeout("nothing was read in time")
        case _Lost() | aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError("the answer ended early, or is no HTTP")
        case _:
            return httpx.ReadError("the connection broke")
