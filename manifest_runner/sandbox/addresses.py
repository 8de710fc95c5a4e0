"""Where the sandbox may connect to when a request names the address.

A service that connects to what strangers name must not become their way into a private network: each host is
resolved here, every address it has must be allowed, and the connection goes to the address that was checked, so
that a name can't change its mind in between.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")  # each network wraps IPv4 into it in a way of its own
_SERVICES_OF_A_NETWORK = (  # global by their registration, and still of the network that one is in
    ipaddress.IPv4Network("168.63.129.16/32"),  # a cloud's metadata
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
)


class NoTarget(Exception):
    """A URL that can't be connected to as it is written."""


class ForbiddenAddress(Exception):
    """A host of which an address is not allowed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A URL whose host is the checked address, and the host's own name for the Host header and for TLS."""

    url: httpx.URL
    authority: str
    host: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Host": self.authority}

    @property
    def extensions(self) -> dict[str, str]:
        return {"sni_hostname": self.host}


async def pin(url: str, allowed: Callable[[Address, int], bool]) -> Target:
    """Resolve an http(s) URL's host and pin the first of its addresses, when all of them are allowed at its port.

    Raises NoTarget, ForbiddenAddress, and OSError when the host has no address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise NoTarget from None
    if parts.scheme not in ("http", "https") or not host:
        raise NoTarget
    port = port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = await addresses_of(host, port)
        pinned = httpx.URL(url).copy_with(host=str(addresses[0]), port=port)
    except (UnicodeError, httpx.InvalidURL):  # a name that no resolver can be asked for
        raise NoTarget from None
    if not all(allowed(address, port) for address in addresses):
        raise ForbiddenAddress
    return Target(url=pinned, authority=parts.netloc.rpartition("@")[2], host=host)


async def addresses_of(host: str, port: int) -> list[Address]:
    """All that a name stands for. Raises OSError when it is none, UnicodeError when no resolver can be asked for it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(entry[4][0]) for entry in found]


def is_public(address: Address) -> bool:
    """Whether an address is out on the internet. One that wraps an IPv4 address is judged by that."""
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    special = (
        site_local
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address in _NAT64_LOCAL
        or any(address in network for network in _SERVICES_OF_A_NETWORK)
    )
    return address.is_global and not special


def is_loopback(address: Address) -> bool:
    """Whether an address is this machine itself."""
    return plain(address).is_loopback


def plain(address: Address) -> Address:
    """The address itself, or the IPv4 one that an IPv6 one stands for."""
    return _embedded(address) or address


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv6 one: mapped, 6to4, or translated (NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
