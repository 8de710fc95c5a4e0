"""Which network addresses are anybody's to reach, and which lead into a machine, its network or a cloud's metadata."""

from __future__ import annotations

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")  # where the IPv4 address stands is its owner's choice
# They count as global, and lead nobody to a public host: a cloud's own metadata, what routers and hosts use among
# themselves (NAT64 discovery, DS-Lite), and the relays of 6to4, which are gone.
_NOBODYS = (
    ipaddress.IPv4Network("168.63.129.16/32"),
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
)


def is_public(address: Address) -> bool:
    """Whether an address is a public one. IPv6 forms that stand for an IPv4 address (mapped, NAT64, 6to4) are judged
    by that address."""
    inner = embedded(address)
    if inner is not None:
        return is_public(inner)
    # Site-local addresses are of no network any more, and still count as global.
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    unwanted = address.is_multicast or address.is_reserved or address in _NAT64_LOCAL or site_local
    unwanted = unwanted or any(address in network for network in _NOBODYS)
    return address.is_global and not address.is_loopback and not unwanted


def is_this_machine(host: str) -> bool:
    """Whether this host is surely this machine: 127.0.0.0/8, ::1, `localhost` or a name below it."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    literal = literal_address(name)
    return literal is not None and (embedded(literal) or literal).is_loopback


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


def embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
