"""What a URL leads to is looked at over real sockets, with bounds, and never inside a private network."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module

import pytest
from media_kit import encoded, picture

from manifest_runner.media import UrlSource, preflight
from manifest_runner.media.probe.url import Refused, Unknown, UrlReader
from manifest_runner.models import Job

MODULE = import_module("manifest_runner.media.probe.url")
LOOK = import_module("manifest_runner.media.preflight")


class Shop:
    """A server with a page for each path, and the paths that were asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.asked.append(self.path)
                shop.pages[self.path](self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def source(self, path: str) -> UrlSource:
        return UrlSource(f"{self.url}{path}")

    def serves(self, path: str, data: bytes, status: int = 200, **headers: str) -> None:
        def page(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)

        self.pages[path] = page


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def reader() -> Iterator[UrlReader]:
    with UrlReader(allowed=lambda _: True) as made:
        yield made


def test_what_is_there_is_read(shop, reader):
    shop.serves("/a.png", picture())
    assert reader.read(shop.source("/a.png"), 10**6) == picture()


def test_redirections_are_followed_and_few(shop, reader):
    shop.serves("/end", b"here")
    for number in range(4):
        shop.serves(f"/{number}", b"", 302, Location=f"/{number + 1}" if number < 3 else "/end")
    assert reader.read(shop.source("/1"), 10) == b"here"
    with pytest.raises(Unknown, match="more than 3 redirections"):
        reader.read(shop.source("/0"), 10)


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_a_problem(shop, reader, status):
    shop.serves("/a.png", b"gone", status)
    with pytest.raises(Refused) as refused:
        reader.read(shop.source("/a.png?signature=secret"[:6]), 10)
    assert f"its server answers {status}" in refused.value.objection.what


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 206])
def test_what_may_be_there_for_others_is_unknown(shop, reader, status):
    shop.serves("/a.png", b"no", status)
    with pytest.raises(Unknown, match=str(status)):
        reader.read(shop.source("/a.png"), 10)


def test_more_than_the_service_takes_is_not_read_to_its_end(shop, reader):
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while len(sent) < 10_000:
                handler.wfile.write(bytes(65536))
                sent.append(1)
        except OSError:
            pass

    shop.pages["/a.mp3"] = endless
    with pytest.raises(Refused) as refused:
        reader.read(shop.source("/a.mp3"), 500_000)
    assert "more than 0.5 MB" in refused.value.objection.what
    assert "made to fit" in refused.value.objection.mend
    assert len(sent) < 1000


def test_a_server_that_dawdles_is_left(shop, reader, monkeypatch):
    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    shop.pages["/a.mp3"] = slow
    monkeypatch.setattr(MODULE, "SECONDS", 0.3)
    with pytest.raises(Unknown, match="took more than"):
        reader.read(shop.source("/a.mp3"), 10**6)


def test_a_host_that_is_not_there_is_tried_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/a.png"
    with UrlReader(allowed=lambda _: True) as reader:
        with pytest.raises(Unknown, match="could not be reached"):
            reader.read(UrlSource(address), 10)
        with pytest.raises(Unknown, match="could not be reached before"):
            reader.read(UrlSource(address), 10)


def test_a_private_address_gets_no_connection(shop):
    shop.serves("/a.png", picture())
    with UrlReader() as reader, pytest.raises(Refused) as refused:
        reader.read(shop.source("/a.png"), 10**6)
    assert "can't reach" in refused.value.objection.what
    assert shop.asked == []


def test_a_redirection_into_a_private_network_gets_no_connection(shop):
    """The first hop is let through, as if it were a public server; where it leads is judged like any other."""
    shop.serves("/a.png", b"", 302, Location=f"http://localhost:{shop.server.server_address[1]}/metadata")
    shop.serves("/metadata", b"keys")
    judged: list[str] = []

    def first_only(address) -> bool:
        judged.append(str(address))
        return len(judged) == 1

    with UrlReader(allowed=first_only) as reader, pytest.raises(Refused):
        reader.read(shop.source("/a.png"), 10**6)
    assert shop.asked == ["/a.png"]


@pytest.mark.parametrize("where", ["file:///etc/passwd", "gopher://x/", "http://[::1", "//"])
def test_a_redirection_to_something_else_is_not_followed(shop, reader, where):
    shop.serves("/a.png", b"", 302, Location=where)
    with pytest.raises(Unknown):
        reader.read(shop.source("/a.png"), 10)


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> str:
    """The shop under a name that seems to be a public host's."""
    real = socket.getaddrinfo

    def looked_up(host, *rest, **named):
        return real("127.0.0.1" if host == "media.example.com" else host, *rest, **named)

    monkeypatch.setattr(MODULE.socket, "getaddrinfo", looked_up)
    monkeypatch.setattr(LOOK, "UrlReader", lambda: UrlReader(allowed=lambda _: True))
    return f"http://media.example.com:{shop.server.server_address[1]}"


def job(image: str, sound: str) -> Job:
    return Job(external_task_id="a", image=image, sound_file=sound, output="a.mp4")


def test_preflight_knows_what_a_url_leads_to_and_passes_it_on(shop, public, tmp_path):
    shop.serves("/a.png", picture())
    shop.serves("/a.mp3", encoded("mp3", 2.5))
    wanted = job(f"{public}/a.png", f"{public}/a.mp3")
    found = preflight([wanted], tmp_path, look_at_urls=True, remote_service=True)
    assert (found.problems, found.warnings) == ((), ())
    media = found.media["a"]
    assert media.seconds is not None and abs(media.seconds - 3) < 1
    assert (media.image_recipe, media.audio_recipe) == (None, None)
    unseen = preflight([wanted], tmp_path)
    assert media.fingerprint == unseen.media["a"].fingerprint, "what it leads to today changes no job"


def test_what_the_service_would_refuse_is_refused_and_not_made_to_fit(shop, public, tmp_path):
    shop.serves("/a.png", picture(kind="WEBP"))
    shop.serves("/a.mp3", b"<html>not found</html>")
    wanted = job(f"{public}/a.png", f"{public}/a.mp3")
    whats = [problem.what for problem in preflight([wanted], tmp_path, look_at_urls=True).problems]
    assert "WEBP" in whats[0]
    assert "no recording" in whats[1] and "web page" in whats[1]


def test_a_url_that_cannot_be_looked_at_is_no_problem(tmp_path):
    wanted = job("https://nowhere.invalid/a.png", "https://nowhere.invalid/a.mp3")
    found = preflight([wanted], tmp_path, look_at_urls=True)
    assert found.problems == ()
    assert [warning.kind for warning in found.warnings] == ["URL that could not be looked at"] * 2
