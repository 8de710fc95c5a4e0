"""Results as streams, from real sockets: whole, resumed, redirected, broken, and from where they must not come."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from service_stand_in import StandIn, drip, drop, head, raw, reset, stay_silent

from manifest_runner.errors import FetchError, UsageError
from manifest_runner.service import DEFAULT_BASE_URL, LARGEST_RESULT, Timeouts, open_result
from manifest_runner.service import download as download_module
from manifest_runner.service.addresses import check_target
from manifest_runner.service.connections import proxy_for, tls_context

pytestmark = pytest.mark.usefixtures("engine")

VIDEO = bytes(range(256)) * 400
ETAG = '"v1"'


async def fetch(server: StandIn, path: str = "/v.mp4?sig=hush", **options):
    """The stream's facts and all of its bytes."""
    base_url = options.pop("base_url", server.base_url)
    async with open_result(server.base_url + path, base_url=base_url, **options) as result:
        return result, b"".join([chunk async for chunk in result.chunks])


async def test_a_whole_result_comes_without_credentials() -> None:
    async with StandIn(raw(200, VIDEO, ETag=ETAG, Content_Type="video/mp4")) as server:
        result, body = await fetch(server)
    assert body == VIDEO
    assert (result.status, result.total_bytes, result.etag) == (200, len(VIDEO), ETAG)
    assert (result.resumed, result.content_type) == (False, "video/mp4")
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("GET", "/v.mp4?sig=hush")
    assert seen.headers["host"] == f"127.0.0.1:{server.port}"
    assert seen.headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie", "range"} & set(seen.headers)


async def test_a_result_of_unknown_size() -> None:
    async def until_closed(seen, writer) -> None:
        writer.write(head(200, {"Connection": "close"}) + VIDEO)
        await writer.drain()
        writer.close()

    async with StandIn(until_closed) as server:
        result, body = await fetch(server)
    assert (result.total_bytes, result.etag, result.content_type) == (None, None, None)
    assert body == VIDEO


def rest_from(offset: int, **headers: str):
    span = f"bytes {offset}-{len(VIDEO) - 1}/{len(VIDEO)}"
    return raw(206, VIDEO[offset:], **({"Content_Range": span, "ETag": ETAG} | headers))


async def test_the_rest_of_a_result_is_asked_for_by_its_tag() -> None:
    async with StandIn(rest_from(1000)) as server:
        result, body = await fetch(server, offset=1000, etag=ETAG)
    assert (result.resumed, result.total_bytes, result.status) == (True, len(VIDEO), 206)
    assert body == VIDEO[1000:]
    assert (server.seen[0].headers["range"], server.seen[0].headers["if-range"]) == ("bytes=1000-", ETAG)


async def test_a_rest_of_unknown_total() -> None:
    async with StandIn(rest_from(1000, Content_Range=f"bytes 1000-{len(VIDEO) - 1}/*")) as server:
        result, body = await fetch(server, offset=1000, etag=ETAG)
    assert (result.resumed, result.total_bytes, body) == (True, None, VIDEO[1000:])


async def test_a_changed_file_comes_whole() -> None:
    async with StandIn(raw(200, VIDEO, ETag='"v2"')) as server:
        result, body = await fetch(server, offset=1000, etag=ETAG)
    assert (result.resumed, result.etag, body) == (False, '"v2"', VIDEO)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(raw(416), id="the offset lies beyond the file"),
        pytest.param(rest_from(999), id="another rest than was asked for"),
        pytest.param(rest_from(1000, ETag='"v2"'), id="the rest of another file"),
        pytest.param(rest_from(1000, Content_Range="bytes 1000-/x"), id="a rest that does not say of what"),
        pytest.param(raw(206, VIDEO), id="a rest without a range"),
    ],
)
async def test_a_rest_that_can_not_be_used_is_fetched_from_the_beginning(first) -> None:
    async with StandIn(first, raw(200, VIDEO)) as server:
        result, body = await fetch(server, offset=1000, etag=ETAG)
    assert (result.resumed, body) == (False, VIDEO)
    assert "range" not in server.seen[1].headers


@pytest.mark.parametrize("etag", [None, 'W/"v1"', "v1", "", '"v1', '"v"1"', '"v1"\r\nX: y'])
async def test_without_a_strong_tag_two_halves_are_not_put_together(etag: str | None) -> None:
    async with StandIn(raw(200, VIDEO)) as server:
        result, body = await fetch(server, offset=1000, etag=etag)
    assert not {"range", "if-range"} & set(server.seen[0].headers)
    assert (result.resumed, body) == (False, VIDEO)


@pytest.mark.parametrize(
    ("step", "expired"),
    [
        (raw(403), False),
        (raw(404, b"<html>"), True),
        (raw(410), True),
        (raw(400), False),
        (raw(401), False),
        (raw(429), False),
        (raw(500), False),
        (raw(503), False),
        (raw(204), False),
        (rest_from(0), False),
        (raw(200, b"\x1f\x8b", Content_Encoding="gzip"), False),
        (raw(200, b"", Content_Length=str(LARGEST_RESULT + 1)), False),
        (drop, False),
        (reset, False),
        (raw(302, Location="/" + "x" * 10), False),
        (raw(302, Location="http://[::bad"), False),
        (raw(302, Location="http://192.168.0.1/v.mp4"), False),
        (raw(302, Location="https://169.254.169.254/v.mp4"), False),
        (raw(302, Location="https://user:hush@cdn.example/v.mp4"), False),
        (raw(302, Location="file:///etc/passwd"), False),
        (raw(302, Location="http://cdn.example.com/v.mp4"), False),
    ],
)
async def test_what_is_no_result(step, expired: bool) -> None:
    async with StandIn(step) as server:
        with pytest.raises(FetchError) as caught:
            await fetch(server)
    assert caught.value.expired is expired
    assert "hush" not in str(caught.value)
    assert len(server.seen) <= 4


async def test_three_redirects_are_followed() -> None:
    hop = raw(302, Location="/next.mp4?sig=2")
    async with StandIn(
        hop, raw(307, Location="/v.mp4"), raw(308, Location="v.mp4"), raw(200, VIDEO)
    ) as server:
        _, body = await fetch(server)
    assert body == VIDEO
    assert [seen.target for seen in server.seen] == ["/v.mp4?sig=hush", "/next.mp4?sig=2", "/v.mp4", "/v.mp4"]


@pytest.mark.parametrize("location", ["http://[::bad", "https://cdn.example.com:x/", "https://a\x00b/"])
def test_a_redirect_to_what_is_no_url_is_told(location: str) -> None:
    target = check_target("https://cdn.example.com/v.mp4", local_service=False)
    with pytest.raises(FetchError, match="no URL"):
        download_module._next_hop(target, httpx.Response(302, headers={"Location": location}))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (raw(200, VIDEO, Content_Length=str(len(VIDEO) + 1)), "broke off after"),
        (drip(head(200, {"Content-Length": "99999"}), 9, b"some"), "broke off after 4 bytes"),
        (drip(head(200, {"Transfer-Encoding": "chunked"}) + b"nonsense\r\n", 9), "no HTTP"),
    ],
)
async def test_a_stream_that_breaks_is_told(step, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def step_and_close(seen, writer) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(step(seen, writer), 0.2)
        writer.close()

    async with StandIn(step_and_close) as server:
        with pytest.raises(FetchError, match=words) as caught:
            await fetch(server)
    assert not caught.value.expired


async def test_a_stream_that_falls_short_of_its_total_is_told() -> None:
    span = f"bytes 1000-1999/{len(VIDEO)}"
    async with StandIn(raw(206, VIDEO[1000:2000], Content_Range=span)) as server:
        with pytest.raises(FetchError, match=f"ended after 2000 of {len(VIDEO)} bytes"):
            await fetch(server, offset=1000, etag=ETAG)


async def test_a_stream_longer_than_its_total_is_cut() -> None:
    async with StandIn(raw(206, VIDEO[1000:], Content_Range="bytes 1000-1999/2000")) as server:
        with pytest.raises(FetchError, match="longer than it was said"):
            await fetch(server, offset=1000, etag=ETAG)


async def test_an_endless_stream_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "LARGEST_RESULT", 100_000)
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    async with StandIn(drip(head(200, {"Transfer-Encoding": "chunked"}), 0, chunk)) as server:
        with pytest.raises(FetchError, match="longer than any video"):
            await fetch(server)


async def test_a_stream_that_crawls_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifest_runner.service.timeouts._STRETCH_SECONDS", 0.1)
    async with StandIn(drip(head(200, {"Content-Length": "99999"}), 0.03)) as server:
        with pytest.raises(FetchError, match="too slowly"):
            await fetch(server)


async def test_a_stream_that_takes_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifest_runner.service.timeouts._LONGEST_DOWNLOAD_SECONDS", 0.1)
    async with StandIn(drip(head(200, {"Content-Length": "9999999"}), 0.01, b"x" * 9999)) as server:
        with pytest.raises(FetchError, match="takes longer than"):
            await fetch(server)


@pytest.mark.parametrize("step", [stay_silent(9), drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", 0.02)])
async def test_a_server_that_never_comes_to_the_point_is_left(step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timeouts, "read_bound", 0.2)
    async with StandIn(step) as server:
        with pytest.raises(FetchError, match="took too long"):
            await fetch(server)


async def test_a_closed_port_is_told_and_another_address_is_tried_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with StandIn(raw(200, VIDEO)) as server:
        by_name = f"http://localhost:{server.port}/v.mp4"
        gone = server.base_url

        async def two_addresses(host, port, **_):
            return [(0, 0, 0, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two_addresses)
        async with open_result(by_name, base_url=server.base_url) as result:
            assert b"".join([chunk async for chunk in result.chunks]) == VIDEO
        assert server.seen[0].headers["host"] == f"localhost:{server.port}"
    with pytest.raises(FetchError, match="no connection could be made"):
        async with open_result(by_name, base_url=gone):
            pass


async def test_leaving_a_stream_half_read_closes_it() -> None:
    async with StandIn(drip(head(200, {"Content-Length": "9999999"}), 0.001, b"x" * 1000)) as server:
        async with open_result(server.base_url + "/v", base_url=server.base_url) as result:
            async for _ in result.chunks:
                break
        with pytest.raises(StopAsyncIteration):
            await anext(result.chunks)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/v.mp4", "https://localhost/v.mp4", "https://[::1]/v.mp4"]
)
async def test_a_service_elsewhere_can_not_lead_to_this_machine(url: str) -> None:
    with pytest.raises(FetchError):
        async with open_result(url, base_url=DEFAULT_BASE_URL):
            pass


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["8.8.8.8", "::ffff:169.254.169.254"], []]
)
async def test_a_name_is_judged_by_every_address_behind_it(addresses, monkeypatch, proxied) -> None:
    async def resolve(host, port, **_):
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(FetchError, match="no public address"):
        async with open_result("https://cdn.example/v.mp4?sig=hush", base_url=DEFAULT_BASE_URL):
            pass


async def test_a_name_that_does_not_exist_is_told(proxied) -> None:
    with pytest.raises(FetchError, match="can't be found"):
        async with open_result("https://no-such-host.invalid/v.mp4", base_url=DEFAULT_BASE_URL):
            pass


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return lambda **variables: [monkeypatch.setenv(name, value) for name, value in variables.items()]


async def test_behind_a_proxy_the_proxy_finds_the_name(proxied) -> None:
    async with StandIn(raw(403)) as proxy:
        proxied(HTTPS_PROXY=f"127.0.0.1:{proxy.port}")
        with pytest.raises(FetchError, match="the proxy refused"):
            async with open_result("https://cdn.invalid/v.mp4", base_url=DEFAULT_BASE_URL):
                pass
        with pytest.raises(FetchError, match="no public address"):
            async with open_result("https://10.0.0.1/v.mp4", base_url=DEFAULT_BASE_URL):
                pass
    assert [seen.target for seen in proxy.seen] == ["cdn.invalid:443"]


async def test_a_proxy_that_can_not_be_used_is_named(proxied) -> None:
    proxied(ALL_PROXY="gopher://hush:1")
    with pytest.raises(UsageError, match="HTTPS_PROXY"):
        async with open_result("https://cdn.invalid/v.mp4", base_url=DEFAULT_BASE_URL):
            pass


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, "http://p:1"),
        ({"ALL_PROXY": "http://p:2"}, "http://p:2"),
        ({"HTTP_PROXY": "http://p:3"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other.com"}, "http://p:1"),
    ],
)
def test_the_environments_proxy(variables, proxy, proxied) -> None:
    proxied(**variables)
    assert proxy_for("https", "cdn.example.com") == proxy


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's context for `localhost`, whose maker this process trusts while the test runs."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("2026-11-24: needs openssl to make a certificate")
    key, made = tmp_path / "key.pem", tmp_path / "made.pem"
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", *options, *names, "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    tls_context.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    yield context
    tls_context.cache_clear()


async def test_the_certificate_is_checked_against_the_name(certificate: ssl.SSLContext) -> None:
    """The connection goes to the address that was checked; the certificate still has to be the name's."""
    async with StandIn(raw(200, VIDEO), tls=certificate) as server:
        async with open_result(f"https://localhost:{server.port}/v", base_url=server.base_url) as result:
            assert b"".join([chunk async for chunk in result.chunks]) == VIDEO
        with pytest.raises(FetchError, match=r"(?i)certificate"):
            await fetch(server)  # by its address, for which the certificate does not speak
    assert len(server.seen) == 1
