"""Where the sandbox may connect to, as a table; and that it is never laxer there than the client."""

from __future__ import annotations

import ipaddress

import pytest

from manifest_runner.sandbox.addresses import ForbiddenAddress, NoTarget, is_loopback, is_public, pin
from manifest_runner.service.addresses import is_allowed

PUBLIC = [
    "8.8.8.8",
    "2606:4700::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "168.63.129.16",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "100::1",
    "200::1",
    "4000::1",
    "2001:db8::1",
    "2001::7f00:1",
    "fc00::1",
    "fd00::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:240.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "64:ff9b:1:ffff::1",
    "2002:7f00:1::",
    "::ffff:168.63.129.16",
    "64:ff9b::a83f:8110",
    "2002:a00:1::1",
    "2002:f000:1::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_out_on_the_internet_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_every_special_address_is_not_public_in_whatever_it_is_wrapped(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", [*PUBLIC, *NOT_PUBLIC])
def test_the_sandbox_connects_nowhere_that_the_client_would_not(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert is_allowed(parsed, local_service=False) or not is_public(parsed)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("8.8.8.8", False),
    ],
)
def test_this_machine_is_told_from_its_neighbours(address: str, local: bool) -> None:
    assert is_loopback(ipaddress.ip_address(address)) is local


async def test_a_url_is_pinned_to_the_address_that_was_checked() -> None:
    target = await pin(
        "http://user:word@localhost:81/a?b=c", lambda address, port: is_loopback(address) and port == 81
    )
    assert target.url.host in ("127.0.0.1", "::1")
    assert (target.url.port, target.url.raw_path) == (81, b"/a?b=c")
    assert (target.headers, target.extensions) == ({"Host": "localhost:81"}, {"sni_hostname": "localhost"})
    assert (
        await pin("https://127.0.0.1/", lambda address, port: is_loopback(address) and port == 443)
    ).url.port in (None, 443)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "[::1]"])
async def test_a_name_of_this_machine_in_any_spelling_is_forbidden(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        await pin(f"http://{host}/", lambda address, _: is_public(address))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "http:///nothing",
        "http://127.0.0.1:99999/",
        "http://[::1",
        "http://" + "a" * 70 + ".example/",
    ],
)
async def test_what_is_no_usable_url_is_no_target(url: str) -> None:
    with pytest.raises(NoTarget):
        await pin(url, lambda *_: True)
