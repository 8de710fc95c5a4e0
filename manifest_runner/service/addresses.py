"""Where a result may be fetched from. A result's address is the service's word, so it is checked like a stranger's:
it must not lead into this machine, this network or a cloud's metadata."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from manifest_runner.addresses import Address, embedded, is_public, literal_address
from manifest_runner.errors import FetchError
from manifest_runner.service.base_url import is_loopback


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
    """Whether a result may come from this address: a public one, or this machine for a local service."""
    if (embedded(address) or address).is_loopback:
        return local_service
    return is_public(address)


def _forbidden(host: str) -> FetchError:
    return FetchError(
        f"A result is said to lie on {host!a}, which is no public address; it is not fetched from there.",
        mend="If a VPN or proxy gives out such addresses for public names, exempt the service's result host.",
    )
