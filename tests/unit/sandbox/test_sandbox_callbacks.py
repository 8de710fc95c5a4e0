from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sandbox_kit import WEBHOOK_SECRET, Client

from manifest_runner.sandbox import start_sandbox
from manifest_runner.sandbox.callbacks import Callbacks, signature
from manifest_runner.sandbox.settings import webhook_key


@dataclass
class Receiver:
    """A real receiver: what it got, and the statuses that it answers with (200 once they are used up)."""

    url: str = ""
    got: queue.Queue[tuple[dict[str, str], bytes]] = field(default_factory=queue.Queue)
    answers: list[int] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_signature_is_that_of_the_published_vector() -> None:
    body = (
        b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,'
        b'"update_time":1781080794151}'
    )
    key = webhook_key("whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI=")
    assert signature(key, "9876543210", 1781080794, body) == "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="


@pytest.mark.parametrize(
    ("prompt", "last", "statuses"),
    [("hello", "succeed", 3), ("[sandbox:fail]", "failed", 3)],
)
def test_every_change_of_status_is_posted_and_signed(
    client: Client, receiver: Receiver, prompt: str, last: str, statuses: int
) -> None:
    task = client.ended(client.created(callback_url=receiver.url, prompt=prompt))
    posts = [receiver.got.get(timeout=10) for _ in range(statuses)]
    by_status = {json.loads(body)["task_status"]: json.loads(body) for _, body in posts}
    assert set(by_status) == {"submitted", "processing", last}
    assert by_status[last] == task  # no envelope, and what a query answers
    for headers, body in posts:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        secret = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"


async def test_a_delivery_is_tried_again_under_its_own_id_and_given_up_in_the_end(receiver: Receiver) -> None:
    receiver.answers = [500, 302, 503]
    async with httpx.AsyncClient(trust_env=False) as http:
        async with Callbacks(http, key=None, allow_local=True, waits=(0, 0.01, 0.01)) as callbacks:
            callbacks.post(receiver.url, {"task_id": "1"})
            posts = [await asyncio.to_thread(receiver.got.get, timeout=5) for _ in range(3)]
            await asyncio.sleep(0.1)
        assert receiver.got.empty()
        assert "webhook-signature" not in posts[0][0]
        receiver.answers = [500]
        async with Callbacks(http, key=b"k", allow_local=True, waits=(0, 0.01, 0.01)) as callbacks:
            callbacks.post(receiver.url, {"task_id": "1"})
            tries = [await asyncio.to_thread(receiver.got.get, timeout=5) for _ in range(2)]
        assert len({headers["webhook-id"] for headers, _ in tries}) == 1


async def test_a_receiver_that_is_not_there_holds_nothing_up() -> None:
    async with (
        asyncio.timeout(2),
        httpx.AsyncClient(trust_env=False) as http,
        Callbacks(http, key=None, allow_local=True, waits=(0, 60)) as callbacks,
    ):
        callbacks.post("http://127.0.0.1:9/hook", {"task_id": "1"})
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]"])
async def test_this_machine_is_never_posted_to_unless_that_was_allowed(
    receiver: Receiver, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    async with httpx.AsyncClient(trust_env=False) as http:
        async with Callbacks(http, key=None, allow_local=False, waits=(0, 0.01)) as callbacks:
            callbacks.post(url, {"task_id": "1"})
            await asyncio.sleep(0.2)
        assert receiver.got.empty()
        assert caplog.text.count("was not sent: its address is private") == 1
        async with Callbacks(http, key=None, allow_local=True, waits=(0,)) as callbacks:
            callbacks.post(url, {"task_id": "1"})
            headers, _ = await asyncio.to_thread(receiver.got.get, timeout=5)
    assert headers["host"] == url.split("/")[2]


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://169.254.169.254/", "http://0.0.0.0/", "http://[fd00::1]/"]
)
async def test_what_is_allowed_is_this_machine_and_no_other_private_one(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        Callbacks(http, key=None, allow_local=True, waits=(0,)) as callbacks,
    ):
        callbacks.post(url, {"task_id": "1"})
        await asyncio.sleep(0.1)
    assert "was not sent" in caplog.text


@pytest.mark.parametrize("named", ["127.0.0.1", "127.1", "::ffff:127.0.0.1"])
async def test_one_receiver_may_be_allowed_and_nothing_beside_it(
    receiver: Receiver, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A row's own address is a stranger's word: it must not reach the other programs of this machine."""
    port = urlsplit(receiver.url).port or 0
    strangers: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        strangers.append(await reader.read(100))
        writer.close()

    other = await asyncio.start_server(note, "127.0.0.1", 0)
    async with (
        other,
        httpx.AsyncClient(trust_env=False) as http,
        Callbacks(http, key=None, receiver=(named, port), waits=(0,)) as callbacks,
    ):
        callbacks.post(f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}/_settings", {"task_id": "1"})
        callbacks.post(f"http://127.0.0.2:{port}/hook", {"task_id": "1"})
        callbacks.post(f"http://127.0.0.1:{port}/of-a-row", {"task_id": "1"})
        await asyncio.to_thread(receiver.got.get, timeout=5)
        await asyncio.sleep(0.1)
    assert receiver.got.empty()
    assert strangers == []
    assert caplog.text.count("was not sent: its address is private") == 2


async def test_a_receiver_that_is_no_host_holds_nothing_up() -> None:
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        Callbacks(http, key=None, receiver=("no-such-host.invalid", 80), waits=(0,)) as callbacks,
    ):
        callbacks.post("http://127.0.0.1:9/", {"task_id": "1"})


def test_a_sandbox_does_not_post_to_this_machine_by_itself(receiver: Receiver, tmp_path: Path) -> None:
    with start_sandbox(tmp_path) as sandbox:
        own = Client(sandbox.base_url, sandbox.environment)
        with own.http:
            own.ended(own.created(callback_url=receiver.url, prompt="[sandbox:fail]"))
            time.sleep(0.3)
    assert receiver.got.empty()
