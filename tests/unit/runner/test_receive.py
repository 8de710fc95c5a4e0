"""Receiving callbacks over real sockets: what is taken, what is refused, and clients that mean no good."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import signal
import socket
import time
import tracemalloc
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from PIL import Image
from standardwebhooks import Webhook

from manifest_runner.errors import UsageError
from manifest_runner.models import utc_now
from manifest_runner.runner import doorway, receive
from manifest_runner.runner.doorway import Address
from manifest_runner.runner.receive import deliveries, receiving
from manifest_runner.sandbox import start_sandbox
from manifest_runner.service import AvatarClient, CreateRequest, credentials_from
from manifest_runner.service.callbacks import Delivery, Signatures, read_delivery

SECRET = "whsec_" + base64.b64encode(b"the secret that the tests sign with").decode()
URL = "https://me.example/hooks/avatar"
HERE = Address(host="127.0.0.1", port=0)
PATIENCE = 10.0  # seconds after which a test that waits has failed; never what a test takes


@dataclass
class Desk:
    """A receiver that listens, what came of it, and a client of it."""

    at: Address
    client: httpx.AsyncClient
    came: list[Delivery] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    async def post(self, path: str = "/hooks/avatar", **request: object) -> int:
        return (await self.client.post(path, **request)).status_code  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def desk(*, url: str | None = URL, secrets: tuple[str, ...] = (SECRET,)) -> AsyncIterator[Desk]:
    came: list[Delivery] = []
    refused: list[str] = []
    async with (
        asyncio.timeout(60),
        deliveries(
            came.append,
            address=HERE,
            callback_url=url,
            signatures=Signatures(secrets) if secrets else None,
            refused=refused.append,
        ) as at,
        httpx.AsyncClient(base_url=f"http://{at}", trust_env=False, timeout=PATIENCE) as client,
    ):
        yield Desk(at, client, came, refused)


def told(number: int = 1, status: str = "succeed") -> bytes:
    ids = {"task_id": f"87012345678901{number:04}", "task_info": {"external_task_id": f"job-{number}"}}
    return json.dumps({**ids, "task_status": status}).encode()


def signed(
    body: bytes, webhook_id: str = "msg_1", *, secret: str = SECRET, late: float = 0
) -> dict[str, object]:
    """The body and headers of a delivery, as arguments of `post`."""
    at = int(time.time() - late)
    moment = utc_now().fromtimestamp(at, utc_now().tzinfo)
    return {
        "content": body,
        "headers": {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(at),
            "webhook-signature": Webhook(secret).sign(webhook_id, moment, body.decode()),
        },
    }


def as_bytes(delivery: dict[str, object], path: str = "/hooks/avatar") -> bytes:
    """The whole request, for a socket."""
    body, headers = delivery["content"], delivery["headers"]
    assert isinstance(body, bytes)
    assert isinstance(headers, dict)
    lines = [
        f"{name}: {value}" for name, value in {**headers, "host": "x", "content-length": len(body)}.items()
    ]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode() + body


async def exchange(at: Address, request: bytes, *, within: float = 2) -> bytes:
    """What the receiver answers to raw bytes, until it closes or is silent; nothing when it cuts the connection."""
    reader, writer = await asyncio.open_connection(at.host, at.port)
    try:
        writer.write(request)
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(within):
                return await reader.readuntil(b"\r\n\r\n")
        return b""
    except asyncio.IncompleteReadError as error:
        return error.partial
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def peer_of(desk: Desk) -> socket.socket:
    return socket.create_connection((desk.at.host, desk.at.port), timeout=PATIENCE)


async def closed(client: socket.socket) -> bool:
    """Whether the receiver has cut the connection, once it is heard of."""
    client.settimeout(PATIENCE)
    try:
        return await asyncio.to_thread(client.recv, 4096) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


# -- what is taken ------------------------------------------------------------------------------------------------


async def test_a_genuine_delivery_is_answered_with_an_empty_object_and_passed_on() -> None:
    async with desk() as it:
        reply = await it.client.post("/hooks/avatar", **signed(told()))
        assert (reply.status_code, reply.json()) == (200, {})
        assert "server" not in reply.headers
        (delivery,) = it.came
        assert delivery.identities == ("870123456789010001", "job-1")
        assert delivery.status == "succeed"
        assert delivery.signed


async def test_the_same_delivery_again_is_answered_alike_and_does_nothing() -> None:
    async with desk() as it:
        again = signed(told())
        assert [await it.post(**again) for _ in range(3)] == [200, 200, 200]
        assert await it.post(**signed(told(), late=60)) == 200  # tried again later, under its own id
        assert len(it.came) == 1
        assert await it.post(**signed(told(), "msg_2")) == 200
        assert len(it.came) == 2
        assert it.refused == []


async def test_ids_of_forged_deliveries_are_not_remembered() -> None:
    async with desk() as it:
        forged = signed(told(), "msg_1", secret="whsec_" + base64.b64encode(b"a stranger's").decode())
        assert await it.post(**forged) == 401
        assert await it.post(**signed(told(), "msg_1")) == 200
        assert len(it.came) == 1


async def test_a_delivery_that_could_not_be_read_may_be_sent_again_rightly() -> None:
    async with desk() as it:
        assert await it.post(**signed(b"{", "msg_1")) == 400
        assert await it.post(**signed(told(), "msg_1")) == 200
        assert len(it.came) == 1


@pytest.mark.parametrize(
    ("url", "path", "status"),
    [
        (URL, "/hooks/avatar", 200),
        (URL, "/hooks/avatar?utm=1", 200),
        (URL, "/hooks/%61vatar", 200),
        (URL, "/hooks/avatar/", 404),
        (URL, "/hooks//avatar", 404),
        (URL, "/", 404),
        ("https://me.example", "/", 200),
        ("https://me.example", "/hooks", 404),
        ("https://me.example/{any}", "/x", 404),
        ("https://me.example/a%20b", "/a%20b", 200),
        ("https://me.example/hook?token=abc", "/hook?token=abc", 200),
        ("https://me.example/hook?token=abc", "/hook", 404),
        ("https://me.example/hook?token=abc", "/hook?token=abd", 404),
        (None, "/anything?at=all", 200),
        (None, "/", 200),
    ],
)
async def test_without_a_secret_deliveries_come_to_the_callback_urls_path(
    url: str | None, path: str, status: int
) -> None:
    async with desk(url=url, secrets=()) as it:
        assert await it.post(path, content=told()) == status
        assert len(it.came) == (status == 200)


@pytest.mark.parametrize("path", ["/hooks/avatar", "/of/a/row?token=its", "/"])
async def test_signed_deliveries_come_to_any_path(path: str) -> None:
    """A row may name another one at the same host; and what is signed by nobody gets no farther there."""
    async with desk() as it:
        assert await it.post(path, content=told()) == 401
        assert await it.post(path, **signed(told())) == 200
        assert len(it.came) == 1


async def test_a_connection_ends_with_its_answer() -> None:
    """One that is kept, and never reads what it is answered, would hold its place for ever."""
    async with desk() as it:
        for number in (1, 2):
            answer = await exchange(it.at, as_bytes(signed(told(number), f"msg_{number}")))
            assert b" 200 " in answer
            assert b"connection: close" in answer.lower()
        assert [delivery.external_task_id for delivery in it.came] == ["job-1", "job-2"]


@pytest.mark.parametrize(
    ("status", "hints"),
    [
        ("submitted", []),
        ("processing", []),
        ("succeed", ["870123456789010001", "job-1"]),
        ("failed", ["870123456789010001", "job-1"]),
        ("paused", ["870123456789010001", "job-1"]),
    ],
)
async def test_hints_are_given_of_tasks_that_may_have_ended(status: str, hints: list[str]) -> None:
    got: list[str] = []
    port = free_port()
    async with (
        receiving(
            got.append,
            address=Address(host="127.0.0.1", port=port),
            callback_url=URL,
            signatures=Signatures((SECRET,)),
            refused=lambda _: None,
        ),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        url = f"http://127.0.0.1:{port}/hooks/avatar"
        assert (await client.post(url, **signed(told(status=status)))).status_code == 200
    assert got == hints


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "status", "why"),
    [
        (lambda: {"content": told()}, 401, "not signed"),
        (lambda: signed(told(), secret="whsec_c3RyYW5nZXI="), 401, "webhook secret"),
        (lambda: signed(told(), late=302), 401, "five minutes"),
        (lambda: signed(told(), late=-330), 401, "five minutes"),
        (lambda: {**signed(told()), "content": told(2)}, 401, "webhook secret"),
        (lambda: signed(b""), 400, "no JSON"),
        (lambda: signed(b"[]"), 400, "no JSON object"),
        (lambda: signed(b"[" * 60_000), 400, "too deeply"),
        (lambda: signed(b"{}"), 400, "names no task"),
        (lambda: signed(b'{"task_id": "' + b"x" * 65_536 + b'"}'), 413, "64 KiB"),
        (lambda: {"content": b"\xff" * 300_000}, 413, "64 KiB"),
    ],
)
async def test_anything_else_is_refused_with_its_reason(
    made: Callable[[], dict[str, object]], status: int, why: str
) -> None:
    async with desk() as it:
        assert await it.post(**made()) == status
        assert len(it.refused) == 1
        assert why in it.refused[0]
        assert it.came == []
        assert await it.post(**signed(told())) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"])
async def test_another_method_is_refused(method: str) -> None:
    async with desk() as it:
        reply = await it.client.request(method, "/hooks/avatar")
        assert reply.status_code == 405
        assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"GET\r\n\r\n",
        b"POST /hooks/avatar HTTP/1.1\r\n\r\n",  # no host
        b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /other HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n",
        b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\nwebhook-id: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\n"
        + b"".join(b"h%d: x\r\n" % n for n in range(9000))
        + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\nwebhook-id: \x00\r\n\r\n",
        b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n",
        b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\nnonsense\r\n\r\n",
        b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\nnonsense\r\n\r\n",
        b"POST /other HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_or_cut_and_says_nothing(
    request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk() as it:
        answer = await exchange(it.at, request_bytes)
        assert not answer or int(answer.split()[1]) in (400, 401, 404)
        assert await it.post(**signed(told())) == 200
    assert quiet(caplog)


async def test_nonsense_after_an_answer_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async with desk(secrets=()) as it:
        reader, writer = await asyncio.open_connection(it.at.host, it.at.port)
        writer.write(b"POST /other HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        assert b" 404 " in await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"zz\r\n")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
    assert quiet(caplog)


async def test_a_body_without_end_is_not_read_for_ever() -> None:
    async with desk() as it:
        _, writer = await asyncio.open_connection(it.at.host, it.at.port)
        writer.write(b"POST /hooks/avatar HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 * 2**20:
                writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                await writer.drain()
                sent += 0x10000
        assert receive.MOST_READ < sent < 100 * 2**20
        writer.close()
        assert it.refused == ["it is larger than 64 KiB"]


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize(
    "value", [b"\xff\xfe\xe9", b"", b" ", b"x" * 10_000, b"v1,\xc3\xa9 v1,%%% ,,,", b"9" * 9_000]
)
async def test_strange_headers_are_refused(name: str, value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with desk() as it:
        line = name.encode() + b": "
        before, _, rest = as_bytes(signed(told())).partition(line)
        answer = await exchange(it.at, before + line + value + b"\r\n" + rest.partition(b"\r\n")[2])
        assert b" 401 " in answer
        assert it.came == []
    assert quiet(caplog)


async def test_a_sender_that_goes_away_in_the_middle_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with desk() as it:
        whole = as_bytes(signed(told()))
        for length in range(1, len(whole), 40):
            with peer_of(it) as client:
                client.sendall(whole[:length])
        assert await it.post(**signed(told())) == 200
        assert len(it.came) == 1
    assert quiet(caplog)


# -- without a secret -----------------------------------------------------------------------------------------------


async def test_without_a_secret_anything_readable_is_a_hint() -> None:
    async with desk(secrets=()) as it:
        assert await it.post(content=told()) == 200
        assert await it.post(**signed(told(2))) == 200
        assert await it.post(content=b"{") == 400
        assert [delivery.signed for delivery in it.came] == [False, False]


async def test_without_a_secret_a_flood_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "UNSIGNED_A_SECOND", 0.001)
    monkeypatch.setattr(receive, "UNSIGNED_AT_ONCE", 20)
    async with desk(secrets=()) as it:
        answers = [await it.post(content=told(number)) for number in range(30)]
        assert answers == [200] * 20 + [429] * 10
        assert len(it.came) == 20


async def test_a_noisy_task_uses_up_its_own_look_ups_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "UNSIGNED_A_SECOND", 0.001)
    monkeypatch.setattr(receive, "UNSIGNED_AT_ONCE", 30)
    monkeypatch.setattr(receive, "OF_ONE_A_SECOND", 0.001)
    monkeypatch.setattr(receive, "OF_ONE_AT_ONCE", 5)
    async with desk(secrets=()) as it:
        going_on = [await it.post(content=told(1, "processing")) for _ in range(6)]
        noisy = [await it.post(content=told(1)) for _ in range(50)]
        assert going_on == [200] * 6  # they cause no look-up, and take none away
        assert noisy == [200] * 5 + [429] * 45
        assert [await it.post(content=told(number)) for number in range(2, 20)] == [200] * 18


async def test_tasks_that_strangers_make_up_are_forgotten_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "MOST_REMEMBERED", 10)
    unsigned = receive._Unsigned()
    for number in range(100):
        body = f'{{"task_id": "{number}", "task_status": "succeed"}}'.encode()
        assert unsigned.spend(read_delivery({}, body, signatures=None, now=0))
    assert len(unsigned._of_one) == 10


async def test_what_was_held_back_is_let_through_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "UNSIGNED_A_SECOND", 20)
    monkeypatch.setattr(receive, "UNSIGNED_AT_ONCE", 1)
    async with desk(secrets=()) as it:
        assert await it.post(content=told(1)) == 200
        async with asyncio.timeout(PATIENCE):
            while await it.post(content=told(2)) != 200:
                assert it.refused


# -- many, and slow ones --------------------------------------------------------------------------------------------


async def test_two_thousand_deliveries_at_once_are_all_answered_in_little_memory() -> None:
    async with desk() as it:
        requests = [as_bytes(signed(told(number), f"msg_{number}")) for number in range(2000)]
        at_once = asyncio.Semaphore(200)

        async def deliver(request: bytes) -> bytes:
            async with at_once:  # each over a connection of its own
                return await exchange(it.at, request, within=50)

        tracemalloc.start()
        answers = await asyncio.gather(*(deliver(request) for request in requests))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200"}
        assert len(it.came) == 2000
        assert most < 50 * 1024 * 1024  # both ends


async def test_a_flood_of_forged_ones_keeps_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk() as it:
        forged = as_bytes({**signed(told(), "x" * 256), "content": b"{" * 60_000})
        for _ in range(200):
            assert b" 401 " in await exchange(it.at, forged)
        assert it.came == []
        assert set(it.refused) == {"its signature is not by the account's webhook secret"}


@pytest.mark.parametrize(
    "begun", [b"", b"POST /hooks/av", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"]
)
async def test_a_request_that_does_not_arrive_in_time_is_cut(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorway, "REQUEST_WITHIN", 0.3)
    async with desk(url=None) as it:
        with peer_of(it) as client:
            client.sendall(begun)
            assert await closed(client)
        assert await it.post(**signed(told())) == 200


async def test_bytes_that_trickle_in_do_not_prolong_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorway, "REQUEST_WITHIN", 0.3)
    async with desk() as it:
        with peer_of(it) as client:
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while time.monotonic() - began < PATIENCE:
                    client.sendall(b"P")
                    await asyncio.sleep(0.02)
            assert 0.2 < time.monotonic() - began < PATIENCE


async def test_hundreds_that_never_finish_keep_nobody_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(doorway, "MOST_CONNECTIONS", 40)
    monkeypatch.setattr(doorway, "REQUEST_WITHIN", 600)
    async with desk() as it:
        with contextlib.ExitStack() as held:
            clients: list[socket.socket] = []
            for _ in range(300):
                client = held.enter_context(peer_of(it))
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"POST /hooks/av")
                await asyncio.sleep(0)
                clients.append(client)
            assert [await it.post(**signed(told(number), f"m{number}")) for number in range(5)] == [200] * 5
            assert all([await closed(client) for client in clients[:200]])
        assert len(it.came) == 5
    assert quiet(caplog)


@pytest.mark.parametrize("turns", range(6))
async def test_the_end_waits_for_nobody(turns: int, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.ExitStack() as held:
        async with desk() as it:
            for begun in (b"", b"POST /ho", as_bytes(signed(told()))[:-5], as_bytes(signed(told()))) * 10:
                held.enter_context(peer_of(it)).sendall(begun)
            await asyncio.sleep(0.05)
            for _ in range(5):
                held.enter_context(peer_of(it))  # still to be taken, as many turns of the loop later
            for _ in range(turns):
                await asyncio.sleep(0)
            began = time.monotonic()
        assert time.monotonic() - began < PATIENCE
        with pytest.raises(ConnectionError):
            peer_of(it)
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert quiet(caplog)


# -- where it listens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_it_listens_where_it_is_told(host: str) -> None:
    async with deliveries(
        lambda _: None,
        address=Address(host=host, port=0),
        callback_url=None,
        signatures=None,
        refused=lambda _: None,
    ) as at:
        assert at.port > 0
        assert b" 200 " in await exchange(at, as_bytes(signed(told())))


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid", "x" * 70 + ".example", "\udcff"])
async def test_an_address_that_is_not_ours_is_told_of(host: str) -> None:
    with pytest.raises(UsageError, match=r"Callbacks can't be received on .*:0: "):
        async with deliveries(
            lambda _: None,
            address=Address(host=host, port=0),
            callback_url=None,
            signatures=None,
            refused=lambda _: None,
        ):
            pass


async def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port}: .*in use"):
            async with deliveries(
                lambda _: None,
                address=Address(host="127.0.0.1", port=port),
                callback_url=None,
                signatures=None,
                refused=lambda _: None,
            ):
                pass


async def test_a_port_that_was_listened_on_can_be_again_at_once() -> None:
    async with desk() as it:
        assert await it.post(**signed(told())) == 200
        port = it.at.port
    async with deliveries(
        lambda _: None,
        address=Address(host="127.0.0.1", port=port),
        callback_url=None,
        signatures=None,
        refused=lambda _: None,
    ) as at:
        assert at.port == port


async def test_signals_and_the_logs_of_others_are_left_alone() -> None:
    before = (
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        logging.root.handlers[:],
    )
    async with desk():
        during = (
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
            logging.root.handlers[:],
        )
    assert during == before


async def test_the_secret_is_in_no_message_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with desk(url=f"{URL}?token=a-secret-of-mine") as it:
        await it.post("/hooks/avatar?token=a-secret-of-mine", **signed(told()))
        await it.post("/hooks/avatar?token=a-secret-of-mine", content=b"{")
        await it.post("/hooks/avatar", **signed(told(), late=1000))
        assert len(it.came) == 1
    said = " ".join(it.refused) + " ".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    assert SECRET.removeprefix("whsec_") not in said
    assert "the secret that the tests sign with" not in said
    assert "a-secret-of-mine" not in said


# -- the whole way ----------------------------------------------------------------------------------------------------


async def test_the_sandboxs_callbacks_are_hints_of_the_task_that_was_created(tmp_path: Path) -> None:
    hints: asyncio.Queue[str] = asyncio.Queue()
    refused: list[str] = []
    port = free_port()
    url = f"http://127.0.0.1:{port}/hooks/avatar"
    with start_sandbox(tmp_path, webhook_secret=SECRET, allow_local_callbacks=True) as sandbox:
        async with (
            asyncio.timeout(60),
            receiving(
                hints.put_nowait,
                address=Address(host="127.0.0.1", port=port),
                callback_url=url,
                signatures=Signatures((SECRET,)),
                refused=refused.append,
            ),
            AvatarClient(sandbox.base_url, credentials_from(sandbox.environment)) as client,
        ):
            request = CreateRequest(
                external_task_id="welcome-en", image=picture(), sound_file=silence(), callback_url=url
            )
            task = await client.create(request)
            assert {await hints.get(), await hints.get()} == {task.task_id, "welcome-en"}
            confirmed = await client.get(task.task_id)
            assert confirmed is not None
            assert confirmed.status.ended
    assert hints.empty()
    assert refused == []


async def test_what_a_sandbox_with_another_secret_posts_is_refused(tmp_path: Path) -> None:
    refused: asyncio.Queue[str] = asyncio.Queue()
    came: list[Delivery] = []
    with start_sandbox(tmp_path, webhook_secret="whsec_c3RyYW5nZXI=", allow_local_callbacks=True) as sandbox:
        async with (
            asyncio.timeout(60),
            deliveries(
                came.append,
                address=HERE,
                callback_url=None,
                signatures=Signatures((SECRET,)),
                refused=refused.put_nowait,
            ) as at,
            AvatarClient(sandbox.base_url, credentials_from(sandbox.environment)) as client,
        ):
            await client.create(
                CreateRequest(
                    external_task_id="a", image=picture(), sound_file=silence(), callback_url=f"http://{at}/"
                )
            )
            assert "webhook secret" in await refused.get()
    assert came == []


def picture() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((320, 400), 40).convert("RGB").save(file, "PNG")
    return file.getvalue()


def silence() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(bytes(2 * 8000 * 3))
    return file.getvalue()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quiet(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether nothing was logged that a person would see."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
