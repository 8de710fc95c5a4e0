"""Where a result may be fetched from. A result's address is the service's word, so it is checked like a stranger's:
it must not lead into this machine, this network or a cloud's metadata."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

import httpx

from manifest_runner.errors import FetchError
from manifest_runner.service.base_url import is_loopback

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")  # where the IPv4 address stands is its owner's choice


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One hop of a download, checked as far as its text goes."""

    url: httpx.URL
    host: str
    port: int


def check_target(text: str, *, local_service: bool) -> Target:
    """The target a URL names, when its text allows fetching: https, no user part, no forbidden address.

    `local_service`: the service itself is on this machine (the sandbox), so its results may be too, over http.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise FetchError("The address of a result is not a URL.") from None
    host = url.raw_host.decode("ascii").lower()  # `url.host` would turn an encoded name back into Unicode
    port = url.port if url.port is not None else (443 if url.scheme == "https" else 80)
    if not host or url.userinfo or not 1 <= port <= 65535:
        raise FetchError("The address of a result names no host and port, or carries a user name.")
    if url.scheme != "https" and not (url.scheme == "http" and local_service and is_loopback(host)):
        raise FetchError(f"The address of a result on {host!a} is not https.")
    literal = literal_address(host)
    if literal is not None:
        refuse_forbidden([literal], host, local_service=local_service)
    elif is_loopback(host) and not local_service:
        raise _forbidden(host)
    return Target(url=url, host=host, port=port)


def refuse_forbidden(addresses: list[Address], host: str, *, local_service: bool) -> None:
    """FetchError when any address a host stands for is one that results must not come from."""
    if not addresses or not all(is_allowed(address, local_service=local_service) for address in addresses):
        raise _forbidden(host)


def is_allowed(address: Address, *, local_service: bool) -> bool:
    """Whether a result may come from this address: a public one, or this machine for a local service.

    IPv6 forms that stand for an IPv4 address (mapped, NAT64, 6to4) are judged by that address.
    """
    inner = _embedded(address)
    if inner is not None:
        return is_allowed(inner, local_service=local_service)
    if address.is_loopback:
        return local_service
    # Site-local addresses are of no network any more, and still count as global.
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    unwanted = address.is_multicast or address.is_reserved or address in _NAT64_LOCAL or site_local
    return address.is_global and not unwanted


def literal_address(host: str) -> Address | None:
    """The address a host *is*, also in the old forms that resolvers still take (`127.1`, `0x7f000001`)."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    except (OSError, UnicodeEncodeError):
        return None


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _forbidden(host: str) -> FetchError:
    return FetchError(
        f"A result is said to lie on {host!a}, which is no public address; it is not fetched from there.",
        mend="If a VPN or proxy gives out such addresses for public names, exempt the service's result host.",
    )
