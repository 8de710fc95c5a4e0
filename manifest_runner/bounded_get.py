"""What a URL leads to, fetched with bounds: so many bytes, few hops, public addresses only.

A URL may come from anybody and must not become a way into a private network: each hop's host is resolved here, every
address it has must be a public one, and the connection goes to the address that was checked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from manifest_runner.addresses import Address, is_public
from manifest_runner.http_logs import quiet_http_logs

if TYPE_CHECKING:
    import httpx  # slow to import, and most manifests name no URL

PHASE_SECONDS = 5.0  # to connect, and between two packets
MOST_HOPS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_WHOLE_RANGE = re.compile(r"bytes 0-[0-9]{1,18}/([0-9]{1,18})", re.ASCII)
_LOWEST_PORT = 1024  # below it, other services than the web's


class Gone(Exception):
    """Nothing is there."""

    def __init__(self, status: int) -> None:
        super().__init__(f"its server answers {status}")
        self.status = status


class TooMuch(Exception):
    """It is more than was asked for."""


class Unreadable(Exception):
    """It could not be read from here. The text says why: `its server answered 500`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    url: str
    host: str
    port: int
    authority: str  # for the Host header: never a user name


def fetch(url: str, most: int, *, seconds: float, allowed: Callable[[Address], bool] = is_public) -> bytes:
    """The bytes there, at most `most`, within `seconds`. Raises Gone, TooMuch, Unreadable."""
    import httpx  # noqa: PLC0415

    quiet_http_logs()  # a URL may carry a signature

    async def follow() -> bytes:
        tls = httpx.create_ssl_context(trust_env=False)
        step = url
        for _ in range(MOST_HOPS + 1):
            found = await ask(hop_of(step), most, tls=tls, allowed=allowed)
            if isinstance(found, bytes):
                return found
            step = urljoin(step, found)
        raise Unreadable(f"it leads through more than {MOST_HOPS} redirections")

    async def in_time() -> bytes:
        async with asyncio.timeout(seconds):
            return await follow()

    try:
        return asyncio.run(in_time())
    except TimeoutError:
        raise Unreadable(f"it took more than {seconds:g} s") from None
    except socket.gaierror:
        raise Unreadable("no host of that name was found") from None
    except (httpx.ConnectError, httpx.ConnectTimeout):
        raise Unreadable("its host could not be reached") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise Unreadable(f"it could not be read ({type(error).__name__})") from None


def hop_of(url: str) -> Hop:
    """Raises Unreadable for what is not to be asked, ValueError for what is no URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unreadable("it leads to something that is no http(s) URL")
    port = parts.port if parts.port is not None else (443 if parts.scheme == "https" else 80)
    if port not in (80, 443) and port < _LOWEST_PORT:
        raise Unreadable(f"it leads to port {port}, which is not the web's")
    return Hop(url=url, host=parts.hostname, port=port, authority=parts.netloc.rpartition("@")[2])


async def ask(
    hop: Hop, most: int, *, tls: ssl.SSLContext, allowed: Callable[[Address], bool] = is_public
) -> bytes | str:
    """What this hop answers: the bytes, or where it redirects to. Raises Gone, TooMuch, Unreadable, and what the
    network raises (httpx.HTTPError, OSError, ValueError)."""
    import httpx  # noqa: PLC0415

    addresses = await _addresses(hop)
    if not addresses or not all(allowed(address) for address in addresses):
        # A VPN may give out addresses of its own for public names: this is no word on what others find.
        raise Unreadable("its host has no public address here")
    pinned = httpx.URL(hop.url).copy_with(host=str(addresses[0]), port=hop.port, userinfo=b"")
    headers = {"Host": hop.authority, "Accept-Encoding": "identity", "Range": f"bytes=0-{most}"}
    async with (
        httpx.AsyncClient(
            verify=tls, timeout=PHASE_SECONDS, follow_redirects=False, trust_env=False
        ) as client,
        client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": hop.host}) as response,
    ):
        if response.status_code in _REDIRECTS and "location" in response.headers:
            return response.headers["location"]
        if response.status_code in _GONE:
            raise Gone(response.status_code)
        if response.status_code not in (200, 206):
            raise Unreadable(f"its server answered {response.status_code}")
        return await _read(response, most)


async def _addresses(hop: Hop) -> list[Address]:
    """Raises OSError, ValueError. The thread is left to itself at a deadline: a resolver can't be interrupted, and
    the threads of a pool would be waited for at the program's end."""
    found: Future[list[Address]] = Future()

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)
            addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries]
        except Exception as error:  # noqa: BLE001 it is raised where it is awaited
            found.set_exception(error)
        else:
            found.set_result(addresses)

    found.set_running_or_notify_cancel()  # from here on nobody cancels it
    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    return await asyncio.wrap_future(found)


async def _read(response: httpx.Response, most: int) -> bytes:
    total = _total(response) if response.status_code == 206 else None
    if total is not None and total > most:
        raise TooMuch
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > most:
            raise TooMuch
    if total is not None and len(data) != total:
        raise Unreadable("its server sent only a part of it")
    return bytes(data)


def _total(response: httpx.Response) -> int:
    """The bytes of the whole, of which a part from the first byte on is sent."""
    stated = _WHOLE_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if stated is None:
        raise Unreadable("its server answered 206 with another part than was asked for")
    return int(stated[1])
