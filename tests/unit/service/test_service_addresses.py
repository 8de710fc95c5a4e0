from __future__ import annotations

import ipaddress

import pytest

from manifest_runner.errors import FetchError
from manifest_runner.service.addresses import check_target, is_allowed


@pytest.mark.parametrize(
    ("text", "allowed", "allowed_locally"),
    [
        ("8.8.8.8", True, True),
        ("2606:4700:4700::1111", True, True),
        ("127.0.0.1", False, True),
        ("127.9.9.9", False, True),
        ("::1", False, True),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("10.0.0.1", False, False),
        ("172.16.0.1", False, False),
        ("192.168.1.1", False, False),
        ("100.64.0.1", False, False),
        ("169.254.169.254", False, False),
        ("168.63.129.16", False, False),
        ("::ffff:168.63.129.16", False, False),
        ("192.0.0.9", False, False),
        ("192.0.0.192", False, False),
        ("192.88.99.1", False, False),
        ("198.18.0.1", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("240.0.0.1", False, False),
        ("fe80::1", False, False),
        ("fec0::1", False, False),
        ("fc00::1", False, False),
        ("fd00:ec2::254", False, False),
        ("ff02::1", False, False),
        ("ff0e::1", False, False),
        ("::ffff:8.8.8.8", True, True),
        ("::ffff:10.0.0.1", False, False),
        ("::ffff:127.0.0.1", False, True),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::8.8.8.8", True, True),
        ("64:ff9b::10.0.0.1", False, False),
        ("64:ff9b::169.254.169.254", False, False),
        ("64:ff9b:1::8.8.8.8", False, False),
        ("2002:0808:0808::1", True, True),
        ("2002:0a00:0001::1", False, False),
        ("2002:a9fe:a9fe::1", False, False),
        ("2001:0:0808:0808::1", False, False),
        ("::127.0.0.1", False, False),
        ("2001:db8::1", False, False),
    ],
)
def test_where_results_may_come_from(text: str, allowed: bool, allowed_locally: bool) -> None:
    address = ipaddress.ip_address(text)
    assert is_allowed(address, local_service=False) is allowed
    assert is_allowed(address, local_service=True) is allowed_locally


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://cdn.example.com/v.mp4?sig=1", "cdn.example.com", 443),
        ("https://CDN.Example.com:8443/v.mp4", "cdn.example.com", 8443),
        ("https://bücher.example/v.mp4", "xn--bcher-kva.example", 443),
        ("https://8.8.8.8/v.mp4", "8.8.8.8", 443),
        ("https://[2606:4700:4700::1111]/v.mp4", "2606:4700:4700::1111", 443),
    ],
)
def test_targets(url: str, host: str, port: int) -> None:
    target = check_target(url, local_service=False)
    assert (target.host, target.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "v.mp4",
        "/v.mp4",
        "https://",
        "https:///v.mp4",
        "http://cdn.example.com/v.mp4",
        "ftp://cdn.example.com/v.mp4",
        "file:///etc/passwd",
        "data:video/mp4;base64,AAAA",
        "https://user:hush@cdn.example.com/v.mp4",
        "https://localhost/v.mp4",
        "https://127.0.0.1/v.mp4",
        "http://127.0.0.1/v.mp4",
        "https://127.1/v.mp4",
        "https://2130706433/v.mp4",
        "https://0x7f.0.0.1/v.mp4",
        "https://0177.0.0.1/v.mp4",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/v.mp4",
        "https://[::ffff:127.0.0.1]/v.mp4",
        "https://[64:ff9b::a9fe:a9fe]/v.mp4",
        "https://[fe80::1%25eth0]/v.mp4",
        "https://cdn.example.com:99999/v.mp4",
        "https://cdn.example.com/\x00",
    ],
)
def test_targets_that_are_refused(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        check_target(url, local_service=False)
    assert not caught.value.expired
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000/v", "http://localhost:5000/v", "http://[::1]:5000/v"])
def test_a_local_services_results_are_local(url: str) -> None:
    assert check_target(url, local_service=True).port == 5000


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/v", "https://169.254.169.254/v", "http://cdn.example.com/v"]
)
def test_a_local_service_opens_no_other_door(url: str) -> None:
    with pytest.raises(FetchError):
        check_target(url, local_service=True)
