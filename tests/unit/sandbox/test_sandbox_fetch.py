from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from sandbox_kit import Client, picture, recording, refusal

from manifest_runner.sandbox import media_fetch
from manifest_runner.sandbox.media_fetch import MediaFetcher
from manifest_runner.sandbox.refusals import Refusal

PICTURE, SOUND = picture(), recording(2.2, "m4a")


class Site(BaseHTTPRequestHandler):
    """A web site with everything that can go right or wrong."""

    def do_GET(self) -> None:
        moved = {"/moved": "/portrait.png", "/round": "/round", "/out": "file:///etc/passwd"}
        moved |= {"/port": "http://localhost:99999/", "/bracket": "http://[::1"}
        if self.path in moved:
            self.send_response(302)
            self.send_header("Location", moved[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        pages = {"/portrait.png": PICTURE, "/voice.m4a": SOUND, "/large": b"x" * 5000}
        if self.path == "/hangs":
            hung.wait(5)
        body = pages.get(self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body) + (self.path == "/cut") * 10))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


hung = threading.Event()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    hung.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_media_by_url_become_a_video(client: Client, site: str) -> None:
    task = client.ended(client.created(image=f"{site}/moved", sound_file=f"{site}/voice.m4a"))
    assert task["task_status"] == "succeed"
    assert abs(float(task["task_result"]["videos"][0]["duration"]) - 2.2) < 0.1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/nothing", "answered 404"),
        *((path, "no usable http") for path in ("/out", "/port")),
        ("/bracket", "could not be fetched"),
        ("/round", "more than 3 redirections"),
        ("/voice.m4a", "no jpeg or png"),
    ],
)
def test_an_image_that_can_t_be_fetched_is_refused_by_name(
    client: Client, site: str, path: str, said: str
) -> None:
    reply = client.create(image=site + path)
    assert refusal(reply) == (400, 1201)
    message = reply.json()["message"]
    assert "image" in message
    assert said in message
    assert site not in message


async def fetched(url: str, *, allow_private: bool = True, max_bytes: int = 100_000) -> bytes:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await MediaFetcher(http, allow_private=allow_private).fetch("image", url, max_bytes=max_bytes)


async def test_a_file_is_read_no_further_than_its_limit(site: str) -> None:
    assert await fetched(f"{site}/portrait.png") == PICTURE
    with pytest.raises(Refusal, match="larger"):
        await fetched(f"{site}/large", max_bytes=4999)
    assert len(await fetched(f"{site}/large", max_bytes=5000)) == 5000


async def test_a_server_that_never_answers_is_given_up(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_fetch, "DEADLINE", 0.2)
    with pytest.raises(Refusal, match="could not be fetched within"):
        await fetched(f"{site}/hangs")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/a",
        "http://no-such-host.invalid/a",
    ],
)
async def test_a_server_that_is_not_there_is_a_refusal(url: str) -> None:
    with pytest.raises(Refusal, match="image could not be fetched"):
        await fetched(url)


@pytest.mark.parametrize("url", ["http://" + "a" * 70 + ".example/", "http://é\udcff/", "http://[::1"])
async def test_a_name_that_no_server_can_have_is_a_refusal(url: str) -> None:
    with pytest.raises(Refusal, match="image leads to something that is no usable"):
        await fetched(url)


async def test_a_private_address_is_never_asked(site: str) -> None:
    with pytest.raises(Refusal, match="private address"):
        await fetched(f"{site}/portrait.png", allow_private=False)
