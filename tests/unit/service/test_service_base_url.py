from __future__ import annotations

import pytest

from manifest_runner.errors import UsageError
from manifest_runner.models import ServiceName
from manifest_runner.service import DEFAULT_BASE_URL, account_identity, check_base_url
from manifest_runner.service.base_url import host_of, is_loopback


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (DEFAULT_BASE_URL, DEFAULT_BASE_URL),
        ("https://api-beijing.klingai.com/", "https://api-beijing.klingai.com"),
        ("HTTPS://API.Example.COM", "https://api.example.com"),
        ("https://api.example.com:443", "https://api.example.com"),
        ("https://api.example.com:08443", "https://api.example.com:8443"),
        ("https://gateway.example.com/kling/v2/", "https://gateway.example.com/kling/v2"),
        ("https://gateway.example.com:443/A_b.c~d-e", "https://gateway.example.com/A_b.c~d-e"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.3.2.1:80/", "http://127.3.2.1"),
        ("http://localhost:9", "http://localhost:9"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
    ],
)
def test_an_address_is_brought_into_its_normal_form(text: str, normal: str) -> None:
    assert check_base_url(text) == normal
    assert check_base_url(normal) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example.com",
        "https://",
        "https:///path",
        "https:/api.example.com",
        "ftp://api.example.com",
        "http://api.example.com",
        "http://192.168.0.1",
        "http://127.1",
        "http://0x7f000001",
        "http://localhost.",
        "http://localhost.evil.com",
        "http://127.0.0.1.evil.com",
        "http://[::ffff:8.8.8.8]",
        "https://[::g]",
        "https://[1:2]",
        "https://user:hush@api.example.com",
        "http://127.0.0.1:8080@evil.com",
        "https://api.example.com?x=1",
        "https://api.example.com/#x",
        "https://api.example.com/a?b",
        "https://api.example.com/../x",
        "https://api.example.com/./x",
        "https://api.example.com//x",
        "https://api.example.com/%2e%2e/x",
        "https://api.example.com\\@evil.com",
        "https://api.example.com/a b",
        " https://api.example.com",
        "https://api.example.com\n",
        "https://api.example.com:0",
        "https://api.example.com:65536",
        "https://api.example.com:x",
        "https://a..b",
        "https://-a.b-",
        "https://bücher.example",
        "https://" + "a" * 254,
    ],
)
def test_anything_else_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_base_url(text)
    assert "https://HOST" in caught.value.mend
    assert "hush" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "base_url", "identity"),
    [
        (ServiceName.SANDBOX, None, "sandbox"),
        (ServiceName.SANDBOX, "http://127.0.0.1:5000", "sandbox"),
        (ServiceName.KLING, None, "kling:api-singapore.klingai.com"),
        (ServiceName.KLING, "https://API-Beijing.klingai.com/", "kling:api-beijing.klingai.com"),
        (ServiceName.KLING, "http://127.0.0.1:4711", "kling:127.0.0.1"),
        (ServiceName.KLING, "https://[2001:db8::1]:8443/x", "kling:2001:db8::1"),
    ],
)
def test_a_ledger_belongs_to_a_host(name, base_url, identity) -> None:
    assert account_identity(name, base_url) == identity


def test_host_of_refuses_what_was_never_checked() -> None:
    assert host_of("https://[::1]:5") == "::1"
    with pytest.raises(UsageError):
        host_of("nonsense")


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("a.example", False),
    ],
)
def test_what_is_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) is here
