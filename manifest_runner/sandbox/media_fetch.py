"""Media that a create call names by URL, fetched with bounds on size, time, hops and where it may lead.

A service that fetches what strangers name must not become their way into a private network: each host is resolved
here, every address it has must be public, and the connection goes to the address that was checked, so that a name
can't change its mind in between.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

import httpx

from manifest_runner.sandbox.media_rules import too_large
from manifest_runner.sandbox.refusals import bad_parameter

MAX_HOPS = 3
DEADLINE = 20.0  # seconds for the whole file
REDIRECTS = (301, 302, 303, 307, 308)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class MediaFetcher:
    """Fetches with the client it is given. `allow_private` lifts the rule on addresses, for tests and intranets."""

    def __init__(self, client: httpx.AsyncClient, *, allow_private: bool) -> None:
        self._client = client
        self._allow_private = allow_private

    async def fetch(self, name: str, url: str, *, max_bytes: int) -> bytes:
        """The file at `url`. Raises Refusal naming the parameter; the address is not repeated."""
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._follow(name, url, max_bytes)
        except TimeoutError:
            raise bad_parameter(name, f"could not be fetched within {DEADLINE:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise bad_parameter(name, f"could not be fetched ({type(error).__name__})") from None

    async def _follow(self, name: str, url: str, max_bytes: int) -> bytes:
        for _ in range(MAX_HOPS + 1):
            async with self._client.stream("GET", **await self._pinned(name, url)) as response:  # type: ignore[arg-type]
                if response.status_code in REDIRECTS and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    continue
                if response.status_code != 200:
                    raise bad_parameter(
                        name, f"could not be fetched: its server answered {response.status_code}"
                    )
                return await _read(name, response, max_bytes)
        raise bad_parameter(name, f"leads through more than {MAX_HOPS} redirections")

    async def _pinned(self, name: str, url: str) -> dict[str, object]:
        """The request's arguments: to the checked address, under the host's own name."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise bad_parameter(name, "leads to something that is no http(s) URL")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise bad_parameter(name, "leads to a private address")
        target = httpx.URL(url).copy_with(host=str(addresses[0]), port=port)
        return {
            "url": target,
            "headers": {"Host": parts.netloc.rpartition("@")[2], "Accept-Encoding": "identity"},
            "extensions": {"sni_hostname": parts.hostname},
        }


async def _read(name: str, response: httpx.Response, max_bytes: int) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > max_bytes:
            raise too_large(name, max_bytes)
    return bytes(data)


def is_public(address: Address) -> bool:
    """Whether an address is out on the internet, also when it is an IPv4 one wrapped into IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    prefix = ipaddress.IPv6Network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in prefix else None
