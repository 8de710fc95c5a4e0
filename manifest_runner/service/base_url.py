"""Which address the service is spoken to at, and whose account's side of it a ledger belongs to.

A base URL decides where the credentials go, so it is taken only in a plain form that every parser reads alike:
`SCHEME://HOST[:PORT][/PATH]`. Anything cleverer is refused.
"""

from __future__ import annotations

import ipaddress
import re

from manifest_runner.errors import UsageError
from manifest_runner.models import ServiceName

DEFAULT_BASE_URL = "https://api-singapore.klingai.com"

_DEFAULT_PORTS = {"https": "443", "http": "80"}
_SHAPE = re.compile(
    r"""
    (?P<scheme>https?)://
    (?P<host>\[[0-9A-Fa-f:.]+\] | [A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)
    (?: :(?P<port>[0-9]{1,5}) )?
    (?P<path>(?: /[A-Za-z0-9._~-]+ )*)
    /?
    """,
    re.VERBOSE | re.IGNORECASE,
)


def check_base_url(text: str) -> str:
    """The base URL in its normal form: lower-case host, no default port, no slash at its end.

    Https is taken anywhere, plain http on this machine's own addresses only. Raises UsageError.
    """
    if "@" in text:  # the one refusal that must not repeat what was written: it may hold a password
        raise _refusal("The service's address must not carry a user name or a password.")
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise _refusal(f"{_shown(text)} is no address of a service.")
    scheme, host, port, path = (shape[name] or "" for name in ("scheme", "host", "port", "path"))
    scheme, host = scheme.lower(), host.lower()
    if not _host_is_sound(host) or (port and not 1 <= int(port) <= 65535):
        raise _refusal(f"{_shown(text)} names no host and port that exist.")
    if {".", ".."} & set(path.split("/")):
        raise _refusal(f"{_shown(text)} has a path that climbs.")
    if scheme == "http" and not is_loopback(host):
        raise _refusal(f"{_shown(text)} would send your key unencrypted over the network.")
    if port and str(int(port)) != _DEFAULT_PORTS[scheme]:
        host = f"{host}:{int(port)}"
    return f"{scheme}://{host}{path}"


def host_of(base_url: str) -> str:
    """The lower-case host of a checked base URL, an IPv6 address without its brackets."""
    shape = _SHAPE.fullmatch(base_url)
    if shape is None:
        raise _refusal(f"{_shown(base_url)} is no address of a service.")
    return shape["host"].lower().strip("[]")


def is_loopback(host: str) -> bool:
    """Whether this host is surely this machine: 127.0.0.0/8, ::1 or `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def account_identity(name: ServiceName, base_url: str | None) -> str:
    """Whose side a ledger belongs to: `sandbox`, or `kling:HOST`. Ports change between runs, accounts don't."""
    if name is ServiceName.SANDBOX:
        return ServiceName.SANDBOX.value
    return f"{ServiceName.KLING}:{host_of(check_base_url(base_url or DEFAULT_BASE_URL))}"


def _host_is_sound(host: str) -> bool:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return ".." not in host and len(host) <= 253


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 120 else text[:120] + "...")


def _refusal(what: str) -> UsageError:
    return UsageError(
        what,
        mend=f"Write it as https://HOST, for example {DEFAULT_BASE_URL}"
        " (plain http only for 127.0.0.1, [::1] or localhost).",
    )
