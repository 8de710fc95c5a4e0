"""What a URL leads to is looked at over real sockets, with bounds, and never inside a private network."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module

import pytest
from media_kit import encoded, picture

from manifest_runner.media import UrlSource, preflight
from manifest_runner.media.probe.url import Refused, Unknown, UrlReader
from manifest_runner.models import Job

MODULE = import_module("manifest_runner.media.probe.url")
LOOK = import_module("manifest_runner.media.preflight")
GIVEN_UP = 8  # seconds; what is not given up goes on for ten and more


class Shop:
    """A server with a page for each path, and the paths that were asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        self.told: list[dict[str, str]] = []  # the headers of each request, their names in small letters
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.asked.append(self.path)
                shop.told.append({name.lower(): value for name, value in self.headers.items()})
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


@pytest.mark.parametrize("status", [401, 403, 416, 429, 500, 503, 206])
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


def again_and_again(handler: BaseHTTPRequestHandler, first: bytes, part: bytes) -> None:
    """For 10 s, or until the other side has gone."""
    try:
        handler.wfile.write(first)
        for _ in range(200):
            handler.wfile.write(part)
            time.sleep(0.05)
    except OSError:
        pass


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DRIPS = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "a chunk's extension": (CHUNKED + b"5;x=", b"x"),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\nX-Slow: ", b"x"),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_a_server_that_never_gets_to_the_point_is_left(shop, reader, monkeypatch, drip):
    shop.pages["/a.mp3"] = lambda handler: again_and_again(handler, *DRIPS[drip])
    monkeypatch.setattr(MODULE, "SECONDS", 0.4)
    started = time.monotonic()
    with pytest.raises(Unknown, match="took more than"):
        reader.read(shop.source("/a.mp3"), 10**6)
    assert time.monotonic() - started < GIVEN_UP


def test_hints_without_a_pause_are_left_as_well(shop, reader, monkeypatch):
    def hurried(handler: BaseHTTPRequestHandler) -> None:
        ends = time.monotonic() + 10
        try:
            while time.monotonic() < ends:
                handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)
        except OSError:
            pass

    shop.pages["/a.mp3"] = hurried
    monkeypatch.setattr(MODULE, "SECONDS", 0.4)
    started = time.monotonic()
    with pytest.raises(Unknown):
        reader.read(shop.source("/a.mp3"), 10**6)
    assert time.monotonic() - started < GIVEN_UP


def test_a_name_server_that_does_not_answer_is_left(monkeypatch):
    asleep = threading.Event()
    monkeypatch.setattr(MODULE.socket, "getaddrinfo", lambda *_, **__: asleep.wait(10))
    monkeypatch.setattr(MODULE, "SECONDS", 0.3)
    started = time.monotonic()
    with UrlReader() as reader, pytest.raises(Unknown, match="took more than"):
        reader.read(UrlSource("https://media.example.com/a.png"), 10)
    assert time.monotonic() - started < GIVEN_UP
    asleep.set()


def test_leaving_ends_what_is_being_read_at_once(shop):
    """As Ctrl-C does: the thread that waits is told, and nothing new is begun."""
    shop.pages["/a.png"] = lambda handler: again_and_again(handler, *DRIPS["headers"])
    said: list[str] = []

    def read() -> None:
        try:
            reader.read(shop.source("/a.png"), 10)
        except Unknown as unknown:
            said.append(str(unknown))

    with UrlReader(allowed=lambda _: True) as reader:
        waiting = [threading.Thread(target=read) for _ in range(4)]
        for thread in waiting:
            thread.start()
        while len(shop.asked) < 2:
            time.sleep(0.01)
        started = time.monotonic()
    for thread in waiting:
        thread.join()
    read()
    assert time.monotonic() - started < GIVEN_UP
    assert said == ["looking was given up"] * 5
    assert len(shop.asked) == 2
    assert "look-at-urls" not in {thread.name for thread in threading.enumerate()}


def test_a_host_that_does_not_answer_is_tried_twice(shop, reader, monkeypatch):
    shop.pages["/a.mp3"] = lambda handler: again_and_again(handler, *DRIPS["headers"])
    monkeypatch.setattr(MODULE, "SECONDS", 0.2)
    for _ in range(2):
        with pytest.raises(Unknown, match="took more than"):
            reader.read(shop.source("/a.mp3"), 10)
    with pytest.raises(Unknown, match="did not answer before"):
        reader.read(shop.source("/a.mp3"), 10)
    assert len(shop.asked) == 2


def test_a_host_is_asked_so_many_times(shop, reader, monkeypatch):
    shop.serves("/a.png", b"here")
    monkeypatch.setattr(UrlReader, "MOST_OF_A_HOST", 3)
    for _ in range(3):
        assert reader.read(shop.source("/a.png"), 10) == b"here"
    with pytest.raises(Unknown, match="3 requests were sent"):
        reader.read(shop.source("/a.png"), 10)
    assert len(shop.asked) == 3


def nothing_there(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def test_many_urls_are_read_two_at_a_time(shop):
    both_are_there = threading.Barrier(2, timeout=30)
    now: set[int] = set()
    most: list[int] = []

    def slow(handler: BaseHTTPRequestHandler) -> None:
        now.add(threading.get_ident())
        both_are_there.wait()
        most.append(len(now))
        both_are_there.wait()
        now.discard(threading.get_ident())
        nothing_there(handler)

    shop.pages["/a.png"] = slow
    with UrlReader(allowed=lambda _: True) as reader, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: reader.read(shop.source("/a.png"), 10), range(20))) == [b""] * 20
    assert most == [2] * 20


def test_many_urls_are_read_for_so_long(shop, monkeypatch):
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.2)
        nothing_there(handler)

    shop.pages["/a.png"] = slow
    monkeypatch.setattr(UrlReader, "LOOK_SECONDS", 1.5)
    said: list[str] = []

    def read(_: int) -> None:
        try:
            said.append(repr(reader.read(shop.source("/a.png"), 10)))
        except Unknown as unknown:
            said.append(str(unknown))

    with UrlReader(allowed=lambda _: True) as reader, ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(1000)))
    assert len(shop.asked) <= 2 * (1.5 / 0.2 + 1)
    assert said.count("b''") >= 2
    assert set(said) == {"b''", "there were too many URLs to look at all of them"}


def test_nothing_of_one_request_is_told_to_another(shop, reader):
    port = shop.server.server_address[1]
    shop.serves(
        "/a", b"", 302, Location=f"http://user:word@127.0.0.1:{port}/b", **{"Set-Cookie": "a=1; Path=/"}
    )
    shop.serves("/b", b"here", **{"Set-Cookie": "b=1; Path=/"})
    for _ in range(2):
        assert reader.read(shop.source("/a"), 10) == b"here"
    assert shop.asked == ["/a", "/b"] * 2
    for told in shop.told:
        assert not {"cookie", "authorization"} & set(told)
        assert told["host"] == f"127.0.0.1:{port}"


@pytest.mark.parametrize("port", [0, 22, 25, 1023])
def test_ports_that_are_not_the_webs_are_not_asked(reader, port, monkeypatch):
    monkeypatch.setattr(MODULE.socket, "getaddrinfo", lambda *_, **__: pytest.fail("it was looked up"))
    with pytest.raises(Unknown, match=f"port {port}"):
        reader.read(UrlSource(f"http://127.0.0.1:{port}/a.png"), 10)


def test_no_more_is_asked_for_than_what_can_be_used(shop, reader):
    shop.serves("/a.png", b"0123456789", 206, **{"Content-Range": "bytes 0-9/10"})
    assert reader.read(shop.source("/a.png"), 10) == b"0123456789"
    assert shop.told[0]["range"] == "bytes=0-10"


def test_a_part_of_what_is_too_large_is_refused(shop, reader):
    shop.serves("/a.png", b"0123456789x", 206, **{"Content-Range": "bytes 0-10/2000"})
    with pytest.raises(Refused) as refused:
        reader.read(shop.source("/a.png"), 10)
    assert "more than 10 bytes" in refused.value.objection.what


@pytest.mark.parametrize("stated", ["bytes 3-12/20", "bytes 0-9/*", "bytes 0-4/20", "nonsense"])
def test_a_part_that_is_not_the_whole_is_unknown(shop, reader, stated):
    shop.serves("/a.png", b"01234", 206, **{"Content-Range": stated})
    with pytest.raises(Unknown, match="part"):
        reader.read(shop.source("/a.png"), 30)


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
    with UrlReader() as reader, pytest.raises(Unknown, match="no public address here"):
        reader.read(shop.source("/a.png"), 10**6)
    assert shop.asked == []


def test_a_name_that_a_vpn_answers_itself_stops_nobody(monkeypatch, tmp_path):
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("198.18.0.7", 443))
    monkeypatch.setattr(MODULE.socket, "getaddrinfo", lambda *_, **__: [entry])
    wanted = job("https://media.example.com/a.png", "https://media.example.com/a.mp3")
    found = preflight([wanted], tmp_path, look_at_urls=True, remote_service=True)
    assert found.problems == ()
    assert all("no public address here" in warning.what for warning in found.warnings)
    assert len(found.warnings) == 2


def test_a_redirection_into_a_private_network_gets_no_connection(shop):
    """The first hop is let through, as if it were a public server; where it leads is judged like any other."""
    shop.serves("/a.png", b"", 302, Location=f"http://localhost:{shop.server.server_address[1]}/metadata")
    shop.serves("/metadata", b"keys")
    judged: list[str] = []

    def first_only(address) -> bool:
        judged.append(str(address))
        return len(judged) == 1

    with UrlReader(allowed=first_only) as reader, pytest.raises(Unknown, match="no public address here"):
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
    media = found.of(wanted)
    assert media.seconds is not None and abs(media.seconds - 3) < 1
    assert (media.image_recipe, media.audio_recipe) == (None, None)
    unseen = preflight([wanted], tmp_path)
    assert media.fingerprint == unseen.of(wanted).fingerprint, "what it leads to today changes no job"


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
