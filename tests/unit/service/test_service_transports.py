"""What must hold on either transport, whatever the network does: above all that "not sent" is only said when it is so,
and that a paid call leaves once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import struct
import time
from collections.abc import Iterator

import aiohttp
import httpx
import pytest
from service_stand_in import Seen, StandIn, drip, drop, envelope, head, raw, refusal, reset, task

from manifest_runner.errors import (
    FetchError,
    GarbledReply,
    RequestPhase,
    ServiceRefused,
    TransportFault,
    UsageError,
)
from manifest_runner.service import (
    AvatarClient,
    CreateRequest,
    Downloads,
    KeyPair,
    SpeechRequest,
    Timeouts,
    host_pools,
)
from manifest_runner.service.aiohttp_transport import CarefulTransport
from manifest_runner.service.connections import TRANSPORT, Engine, engine_from, http_client, pool
from manifest_runner.service.exchange import Exchange, carry_out

pytestmark = pytest.mark.usefixtures("engine")

PAIR = KeyPair("hush-access-0123456789", "hush-secret-0123456789-0123456789-01")
LARGE = CreateRequest(
    external_task_id="job-1", image=bytes(range(256)) * 24_000, sound_file=b"RIFF" * 500_001
)
GIVEN_UP = 8  # seconds; who is not given up sleeps for much longer
NOT_SENT, MAYBE_SENT = RequestPhase.NOT_SENT, RequestPhase.MAYBE_SENT


async def outcome(base_url: str, request: CreateRequest = LARGE, seconds: float = 4.0):
    async with AvatarClient(base_url, PAIR, timeouts=Timeouts(create_seconds=seconds)) as client:
        try:
            return await client.create(request)
        except (ServiceRefused, GarbledReply, TransportFault) as error:
            return error


class Rude:
    """`async with Rude(behave)`: a socket whose behaviour is written out, from the first byte on."""

    def __init__(self, behave, *, tls: ssl.SSLContext | None = None) -> None:
        self.behave, self.met = behave, 0
        self._tls = tls

    async def __aenter__(self) -> Rude:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, limit=1 << 20)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for running in self._tasks:
            running.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.met += 1
        try:
            await self.behave(reader, writer)
        finally:
            writer.close()


def tear(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_a_large_body_arrives_whole_with_its_length() -> None:
    async with StandIn(envelope(task())) as server:
        made = await outcome(server.base_url)
    assert made.task_id == "850000000000000001"
    (seen,) = server.seen
    assert seen.body == b"".join(LARGE.chunks())
    assert seen.headers["content-length"] == str(len(seen.body))
    assert "transfer-encoding" not in seen.headers
    assert seen.headers["connection"] == "close"


async def test_a_name_that_does_not_exist_proves_that_nothing_was_sent(proxyless: None) -> None:
    error = await outcome("https://no-such-host.invalid")
    assert error.phase is NOT_SENT


async def test_a_host_that_takes_no_connection_proves_that_nothing_was_sent() -> None:
    with contextlib.ExitStack() as sockets:
        full = sockets.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # its queue is full after one or two: further greetings are left unanswered
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        started = time.monotonic()
        error = await outcome(f"http://127.0.0.1:{full.getsockname()[1]}", seconds=2.0)
    assert error.phase is NOT_SENT
    assert "no connection came about in time" in str(error)
    assert time.monotonic() - started < GIVEN_UP


async def test_a_handshake_that_never_ends_proves_that_nothing_was_sent() -> None:
    async def say_nothing(reader, writer) -> None:
        await asyncio.sleep(30)

    async with Rude(say_nothing) as server:
        error = await outcome(f"https://127.0.0.1:{server.port}", seconds=2.0)
    assert error.phase is NOT_SENT
    assert "no connection came about in time" in str(error)


async def test_a_handshake_that_breaks_off_proves_that_nothing_was_sent() -> None:
    async def greet_and_tear(reader, writer) -> None:
        await reader.read(100)
        tear(writer)

    async with Rude(greet_and_tear) as server:
        error = await outcome(f"https://127.0.0.1:{server.port}")
    assert error.phase is NOT_SENT


@pytest.mark.parametrize("part", [0, 1, 200_000, 5_000_000])
@pytest.mark.parametrize("end", ["closed", "torn"])
async def test_a_connection_that_ends_within_the_request_may_have_sent_it(part: int, end: str) -> None:
    async def take_a_part(reader, writer) -> None:
        if part:
            await reader.readexactly(part)
        if end == "torn":
            tear(writer)

    async with Rude(take_a_part) as server:
        error = await outcome(server.base_url)
    assert isinstance(error, TransportFault)
    assert error.phase is MAYBE_SENT
    assert server.met == 1


async def test_a_service_that_stops_reading_is_given_up_within_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("manifest_runner.service.timeouts._SLOWEST_UPLOAD", 1 << 40)

    async def stop_reading(reader, writer) -> None:
        await reader.readexactly(1000)
        writer.transport.pause_reading()
        await asyncio.sleep(30)

    async with Rude(stop_reading) as server:
        started = time.monotonic()
        error = await outcome(server.base_url, seconds=0.5)
    assert error.phase is MAYBE_SENT
    assert time.monotonic() - started < GIVEN_UP


async def test_a_refusal_that_comes_before_the_body_is_heard(engine: Engine) -> None:
    """As a gateway does it: it says no by the headers alone. Httpx's own transport hears it once the body is out, so
    only of a gateway that takes the rest and throws it away; aiohttp hears it at once."""

    async def refuse_early(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"code": 1000, "message": "no", "request_id": "r"}).encode()
        writer.write(head(401, {"Content-Length": str(len(body))}) + body)
        await writer.drain()
        while engine is Engine.HTTPX and await reader.read(1 << 20):
            pass
        await asyncio.sleep(30)

    async with Rude(refuse_early) as server:
        started = time.monotonic()
        error = await outcome(server.base_url)
    assert isinstance(error, ServiceRefused)
    assert error.code == 1000
    assert time.monotonic() - started < GIVEN_UP
    assert server.met == 1


@pytest.mark.parametrize("end", [drop, reset])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_what_a_kept_connection_loses_is_not_sent_again(method: str, end, engine: Engine) -> None:
    """Paid calls have connections of their own; were it not so, still nothing would leave twice."""
    body = SpeechRequest(text="Hi", voice_id="v", voice_language="en") if method == "POST" else None
    async with StandIn(raw(200, b"{}"), end) as server:
        async with http_client(timeout=httpx.Timeout(5), limits=pool(4)) as client:
            frame = {"where": "x", "url": server.base_url + "/a", "seconds": 5.0, "timeout": httpx.Timeout(5)}
            await carry_out(client, Exchange(method="GET", **frame), "t")
            with pytest.raises(TransportFault) as caught:
                await carry_out(client, Exchange(method=method, body=body, **frame), "t")
        await asyncio.sleep(0.05)
    assert caught.value.phase is MAYBE_SENT
    assert [seen.method for seen in server.seen] == ["GET", method]
    assert server.connections == (1 if engine is Engine.AIOHTTP else 2)  # httpx's own transport keeps none


async def test_calls_that_are_cut_off_within_their_upload_leave_nothing_behind() -> None:
    async def by_turn(reader, writer) -> None:
        if server.met <= 10:
            await reader.readexactly(1000)
            await asyncio.sleep(30)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(LARGE.body_bytes)
        body = json.dumps({"code": 0, "data": task()}).encode()
        writer.write(head(200, {"Content-Length": str(len(body))}) + body)
        await writer.drain()

    async with Rude(by_turn) as server, AvatarClient(server.base_url, PAIR) as client:
        calls = [asyncio.create_task(client.create(LARGE)) for _ in range(10)]
        await asyncio.sleep(0.2)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert all(call.cancelled() for call in calls)
        made = await asyncio.gather(*(client.create(LARGE) for _ in range(10)))
    assert len(made) == 10
    assert client.calls == 20


async def test_look_ups_and_paid_calls_are_counted() -> None:
    async with StandIn(envelope(task())) as server, AvatarClient(server.base_url, PAIR) as client:
        assert client.calls == 0
        await client.get("job-1")
        await client.create(LARGE)
        server.steps[:] = [refusal(1203, 404)]
        await client.get("job-1")
    assert client.calls == len(server.seen) == 3


async def test_no_more_look_ups_than_connections_at_a_time(engine: Engine) -> None:
    most = under_way = 0

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        await envelope(task())(seen, writer)

    async with StandIn(slow) as server, AvatarClient(server.base_url, PAIR, connections=3) as client:
        await asyncio.gather(*(client.get("job-1") for _ in range(12)))
    assert most == 3
    assert server.connections == (3 if engine is Engine.AIOHTTP else 12)


async def test_cookies_are_not_kept() -> None:
    async with (
        StandIn(raw(200, b"v", Set_Cookie="crumb=1; Path=/")) as server,
        Downloads(server.base_url) as downloads,
    ):
        for _ in range(2):
            async with downloads.open(f"{server.base_url}/v") as result:
                assert [chunk async for chunk in result.chunks] == [b"v"]
    async with (
        StandIn(envelope(task(), Set_Cookie="crumb=1; Path=/")) as service,
        AvatarClient(service.base_url, PAIR) as client,
    ):
        await client.get("job-1")
        await client.get("job-1")
    assert not any("cookie" in seen.headers for seen in [*server.seen, *service.seen])


async def test_a_signed_address_is_asked_for_as_it_was_signed() -> None:
    signed = "/a%7Eb/%41?sig=x%2By%20z+%7e%2F&t=1%3A2~*'()"
    async with (
        StandIn(raw(200, b"v")) as server,
        Downloads(server.base_url) as downloads,
        downloads.open(server.base_url + signed),
    ):
        pass
    assert server.seen[0].target == signed


async def test_downloads_share_the_connections_to_a_host(engine: Engine) -> None:
    async with StandIn(raw(200, b"video")) as server, Downloads(server.base_url) as downloads:
        for number in range(3):
            async with downloads.open(f"{server.base_url}/{number}") as result:
                assert b"".join([chunk async for chunk in result.chunks]) == b"video"
        assert server.connections == (1 if engine is Engine.AIOHTTP else 3)
        async with downloads.open(f"http://localhost:{server.port}/3") as result:
            assert b"".join([chunk async for chunk in result.chunks]) == b"video"
    # Another name at the same address: what was made for the one is not used for the other.
    assert [seen.connection for seen in server.seen] == (
        [1, 1, 1, 2] if engine is Engine.AIOHTTP else [1, 2, 3, 4]
    )


async def test_a_download_left_half_read_does_not_spoil_the_next() -> None:
    endless = drip(head(200, {"Content-Length": "9999999"}), 0.001, b"x" * 1000)
    async with StandIn(endless, raw(200, b"video")) as server, Downloads(server.base_url) as downloads:
        async with downloads.open(f"{server.base_url}/a") as result:
            await anext(aiter(result.chunks))
        async with downloads.open(f"{server.base_url}/b") as result:
            assert [chunk async for chunk in result.chunks] == [b"video"]
    assert server.connections == 2


async def test_what_arrived_before_a_download_broke_counts() -> None:
    """Also when it is read late, as by somebody who writes to a slow disk."""

    async def cut(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"Content-Length": "90000"}) + b"x" * 80_000)
        writer.close()

    async with StandIn(cut) as server, Downloads(server.base_url) as downloads:
        had = 0
        with pytest.raises(FetchError, match="broke off after 80000 bytes"):
            async with downloads.open(f"{server.base_url}/v") as result:
                await asyncio.sleep(0.1)
                async for chunk in result.chunks:
                    had += len(chunk)
                    await asyncio.sleep(0.05)
    assert had == 80_000


async def test_the_hosts_whose_connections_are_kept_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_pools, "MOST_HOSTS", 2)
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(StandIn(raw(200, b"v"))) for _ in range(4)]
        downloads = await stack.enter_async_context(Downloads(servers[0].base_url))
        async with downloads.open(f"{servers[0].base_url}/long") as long:
            for server in servers[1:]:
                async with downloads.open(f"{server.base_url}/v") as result:
                    assert [chunk async for chunk in result.chunks] == [b"v"]
            assert len(downloads._pools) == 2
            assert [chunk async for chunk in long.chunks] == [b"v"]  # the one in use was not closed


async def test_nonsense_within_a_body_is_told_within_the_time_of_a_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Timeouts, "downloads", lambda _: httpx.Timeout(0.5))

    async def later(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"Transfer-Encoding": "chunked"}) + b"4\r\nsome\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"nonsense\r\n")
        await asyncio.sleep(30)

    async with StandIn(later) as server, Downloads(server.base_url) as downloads:
        started = time.monotonic()
        with pytest.raises(FetchError, match="broke off after 4 bytes"):
            async with downloads.open(f"{server.base_url}/v") as result:
                async for _ in result.chunks:
                    pass
    assert time.monotonic() - started < GIVEN_UP


async def test_a_head_of_absurd_size_is_an_answer_that_proves_nothing() -> None:
    async with StandIn(raw(200, b"{}", X_Long="x" * 200_000)) as server:
        error = await outcome(server.base_url)
    assert isinstance(error, TransportFault)
    assert error.phase is MAYBE_SENT


async def test_messages_of_the_connection_are_for_people() -> None:
    async with StandIn(drop) as server:
        gone = server.base_url
    error = await outcome(gone)
    assert "SSLContext" not in str(error) and "object at" not in str(error)


async def test_aiohttp_warns_of_nothing_it_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with StandIn(envelope(task(), Set_Cookie="b@d[]=hush; Path=/")) as server:
        await outcome(server.base_url)
    assert "hush" not in caplog.text


def test_the_environment_chooses(engine: Engine) -> None:
    chosen = http_client(timeout=httpx.Timeout(1), limits=pool(1))
    assert isinstance(chosen._transport, CarefulTransport) is (engine is Engine.AIOHTTP)


@pytest.mark.parametrize(
    ("value", "chosen"),
    [(None, Engine.AIOHTTP), ("", Engine.AIOHTTP), ("httpx", Engine.HTTPX), (" AioHTTP ", Engine.AIOHTTP)],
)
def test_the_switch(value: str | None, chosen: Engine) -> None:
    assert engine_from({} if value is None else {TRANSPORT: value}) is chosen


async def test_a_wrong_switch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRANSPORT, "carrier-pigeon")
    with pytest.raises(UsageError, match=r"'carrier-pigeon'.*aiohttp or httpx"):
        async with AvatarClient("http://127.0.0.1:1", PAIR):
            pass


async def test_through_a_proxy_it_is_always_httpxs_own_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    client = http_client(timeout=httpx.Timeout(1), limits=pool(1), proxies_from_environment=True)
    assert not isinstance(client._transport, CarefulTransport)
    assert not any(isinstance(mounted, CarefulTransport) for mounted in client._mounts.values())


def kinds(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def test_of_aiohttps_errors_only_the_connectors_prove_that_nothing_was_sent() -> None:
    """Whatever aiohttp's tree of errors grows: what is not known to come before a connection, proves nothing."""
    from manifest_runner.service import aiohttp_transport

    proofs = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
    assert aiohttp.ServerDisconnectedError in kinds(aiohttp.ClientError)
    for kind in kinds(aiohttp.ClientError):
        error = kind.__new__(kind)
        error._os_error, error._certificate_error = OSError("x"), ValueError("x")
        said = aiohttp_transport._as_httpx(error)
        assert isinstance(said, httpx.ConnectError | httpx.ConnectTimeout) is issubclass(kind, proofs), kind


@pytest.fixture
def proxyless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("late", [True, False])
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_ones(late: bool) -> None:
    """Neither one that comes late nor one in the same packet."""
    answered = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        while asked := await reader.readuntil(b"\r\n\r\n"):
            name = asked.split(b" ")[1].decode().rsplit("/", 1)[1]
            there = name.startswith("there")
            said = {"code": 0, "data": task(name[-2:], name)} if there else {"code": 1203}
            body = json.dumps(said).encode()
            answer = head(200 if there else 404, {"Content-Length": str(len(body))}) + body
            answered += 1
            if answered == 1:
                if late:
                    writer.write(answer)
                    await asyncio.sleep(0.05)
                    answer = b""
                answer += b"HTTP/1.1 504 Gateway Time-out\r\nContent-Length: 2\r\n\r\n{}"  # a gateway's own
            writer.write(answer)
            await writer.drain()

    found = []
    async with Rude(behave) as server, AvatarClient(server.base_url, PAIR) as client:
        for name in ("there-10", "absent-1", "there-20", "there-30"):
            got = await client.get(name)
            found.append(got and got.external_task_id)
            await asyncio.sleep(0.15)
    assert found == ["there-10", None, "there-20", "there-30"]


@pytest.mark.parametrize("reason", ["\u7f51\u5173\u9519\u8bef".encode("gbk"), b"\xff\xfe"])
async def test_a_gateways_words_in_any_encoding_are_none_of_ours(reason: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 " + reason + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with Rude(behave) as server, AvatarClient(server.base_url, PAIR) as client:
        with pytest.raises((GarbledReply, TransportFault)):
            await client.get("a")


@pytest.mark.parametrize("location", ["https://xn--0/", "//xn--a-ecp.ru../", ":https://["])
async def test_a_redirect_to_nonsense_proves_nothing(location: str) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    async with Rude(behave) as server:
        error = await outcome(server.base_url, request=SMALL)
    assert isinstance(error, GarbledReply) or error.phase is MAYBE_SENT


SMALL = CreateRequest(external_task_id="job-1", image=b"x", sound_file=b"y")
