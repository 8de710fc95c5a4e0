from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifest_runner.errors import UsageError
from manifest_runner.service.callbacks import (
    Delivery,
    NotGenuine,
    SeenIds,
    Signatures,
    Unreadable,
    read_delivery,
)

# The vector that is published with the service's description of callbacks.
SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
NOW = 1781080794
BODY = b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,"update_time":1781080794151}'
SIGNATURE = "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="
HEADERS = {"webhook-id": "9876543210", "webhook-timestamp": str(NOW), "webhook-signature": SIGNATURE}

OTHER = "whsec_" + base64.b64encode(b"another secret of the account's").decode()


def signed(
    body: bytes, *, secret: str = SECRET, moment: int | str = NOW, webhook_id: str = "m1"
) -> dict[str, str]:
    """Headers made without the library that the receiver uses."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{webhook_id}.{moment}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


def read(
    headers: dict[str, str], body: bytes = BODY, *, now: float = NOW, secrets: tuple[str, ...] = (SECRET,)
):
    return read_delivery(headers, body, signatures=Signatures(secrets) if secrets else None, now=now)


def test_the_published_vector_is_genuine() -> None:
    assert read(HEADERS) == Delivery(
        webhook_id="9876543210", task_id="1234567890", external_task_id=None, status="succeeded", signed=True
    )


@pytest.mark.parametrize("late", [-300, -1, 0, 1.5, 300])
def test_within_five_minutes_either_way_it_is_timely(late: float) -> None:
    assert read(HEADERS, now=NOW + late).signed


@pytest.mark.parametrize("late", [-301, 301, 86_400, -1e9, 1e12])
def test_beyond_it_is_refused_though_the_signature_is_right(late: float) -> None:
    with pytest.raises(NotGenuine, match="five minutes"):
        read(HEADERS, now=NOW + late)


@pytest.mark.parametrize("secrets", [(SECRET, OTHER), (OTHER, SECRET)])
@pytest.mark.parametrize("signer", [SECRET, OTHER])
def test_while_a_secret_is_changed_either_will_do(secrets: tuple[str, ...], signer: str) -> None:
    assert read(signed(BODY, secret=signer), secrets=secrets).signed


@pytest.mark.parametrize(
    "header",
    [
        f"v1,AAAA {SIGNATURE}",
        f"{SIGNATURE} v1,AAAA",
        f"v1a,{SIGNATURE[3:]} {SIGNATURE}",
        f"nonsense v1 , ,, v1,%%% {SIGNATURE}",
        f"v1,é {SIGNATURE}",
        f"  {SIGNATURE}",
    ],
)
def test_one_right_signature_among_others_will_do(header: str) -> None:
    assert read({**HEADERS, "webhook-signature": header}).signed


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "9876543211"},
        {"webhook-id": ""},
        {"webhook-id": None},
        {"webhook-id": "x" * 257},
        {"webhook-id": "9876543210 "},
        {"webhook-id": "é"},
        {"webhook-timestamp": None},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": f"{NOW}.0"},
        {"webhook-timestamp": f" {NOW}"},
        {"webhook-timestamp": f"0{NOW}"},
        {"webhook-timestamp": "1.781080794e9"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "inf"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "١٧٨١٠٨٠٧٩٤"},
        {"webhook-signature": None},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": SIGNATURE[3:]},
        {"webhook-signature": SIGNATURE.replace("v1,", "v2,")},
        {"webhook-signature": SIGNATURE.replace("v1,", "v1,,")},
        {"webhook-signature": SIGNATURE.rstrip("=")},
        {"webhook-signature": SIGNATURE.replace("4=", "5=")},  # the same bytes to a careless Base64 reader
        {"webhook-signature": SIGNATURE[:10] + "\t" + SIGNATURE[10:]},
        {"webhook-signature": "v1,\xff\xfe"},
        {"webhook-signature": "v1,AAAA " * 10 + SIGNATURE},  # more than are looked at
        {"webhook-signature": "v1,AAAA " * 2000},
    ],
    ids=str,
)
def test_anything_else_is_not_genuine(changed: dict[str, str | None]) -> None:
    headers = {name: value for name, value in (HEADERS | changed).items() if value is not None}
    with pytest.raises(NotGenuine):
        read(headers)


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], b"", b"\xff\xfe{}", BODY.replace(b"0", b"1", 1)])
def test_a_body_that_was_changed_is_not_genuine(body: bytes) -> None:
    with pytest.raises(NotGenuine):
        read(HEADERS, body)


def test_what_another_secret_signed_is_not_genuine() -> None:
    with pytest.raises(NotGenuine, match="not by the account's"):
        read(signed(BODY, secret=OTHER))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[]", "no JSON object"),
        (b'"task_id"', "no JSON object"),
        (b"null", "no JSON object"),
        (b'{"task_id": NaN}', "NaN"),
        (b'{"task_id": "1", "task_id": "2"}', "same key twice"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"task_id":' * 5_000, "nested too deeply"),
        (b'{"task_id": ' + b"9" * 5000 + b"}", "absurd number"),
        (b"{}", "names no task"),
        (b'{"task_id": null, "task_info": null}', "names no task"),
        (b'{"task_id": ["1"], "task_info": ["x"]}', "names no task"),
        (b'{"task_id": "../../account/costs"}', "names no task"),
        (b'{"task_id": "", "task_info": {"external_task_id": ""}}', "names no task"),
        (b'{"task_id": true}', "names no task"),
        (b'{"task_id": "' + b"x" * 300 + b'"}', "names no task"),
        (b'{"task_id": "a\\u0000b"}', "names no task"),
    ],
)
@pytest.mark.parametrize("secrets", [(), (SECRET,)])
def test_what_names_no_task_is_unreadable(body: bytes, says: str, secrets: tuple[str, ...]) -> None:
    with pytest.raises(Unreadable, match=says):
        read(signed(body), body, secrets=secrets)


def test_only_ids_and_a_status_for_people_are_taken() -> None:
    told = {
        "task_id": 812345678901234567,
        "task_status": "succeed\x1b[2J" + "d" * 100,
        "task_info": {"external_task_id": "007"},
        "task_result": {"videos": [{"url": "https://elsewhere.example/x.mp4"}]},
        "final_unit_deduction": "0",
    }
    delivery = read({}, json.dumps(told).encode(), secrets=())
    assert delivery.identities == ("812345678901234567", "007")
    assert not delivery.signed
    assert delivery.webhook_id is None
    assert delivery.status is not None
    assert delivery.status.isprintable()
    assert len(delivery.status) <= 40


@pytest.mark.parametrize(
    ("status", "worth_asking"),
    [
        ("submitted", False),
        ("processing", False),
        ("succeed", True),
        ("failed", True),
        ("paused", True),
        (None, True),
    ],
)
def test_a_task_that_goes_on_is_not_worth_a_call(status: str | None, worth_asking: bool) -> None:
    body = json.dumps({"task_id": "1", "task_status": status}).encode()
    assert read({}, body, secrets=()).may_have_ended is worth_asking


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(
    headers=st.dictionaries(
        st.sampled_from(sorted(HEADERS)), st.text(max_size=40) | st.sampled_from(sorted(HEADERS.values()))
    ),
    body=st.binary(max_size=200) | st.just(BODY),
    now=st.floats(0, 4e9),
    secrets=st.sampled_from([(), (SECRET,), (OTHER, SECRET)]),
)
def test_whatever_strangers_send_is_refused_in_one_of_two_ways(headers, body, now, secrets) -> None:
    try:
        delivery = read(headers, body, now=now, secrets=secrets)
    except (NotGenuine, Unreadable) as error:
        assert str(error).isascii()
    else:
        assert delivery.identities
        assert not secrets or (headers == HEADERS and body == BODY)


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_",
        "whsec_!!!!",
        "whsec_dGVz\ndHNl",
        "whsec_é",
        "whsec_A",
        "dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI=",
        "WHSEC_dGVzdHNl",
        "",
    ],
)
def test_a_malformed_secret_is_told_of_and_not_repeated(secret: str) -> None:
    with pytest.raises(UsageError, match="whsec_") as caught:
        Signatures([SECRET, secret])
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in str(caught.value)


def test_a_secret_without_its_padding_is_the_same_secret() -> None:
    assert read(HEADERS, secrets=(SECRET.rstrip("="),)).signed


def test_an_id_is_new_once_within_the_window() -> None:
    seen = SeenIds(within=600)
    assert seen.is_new("a", now=0)
    assert not seen.is_new("a", now=1)
    assert seen.is_new("b", now=2)
    assert not seen.is_new("a", now=600)
    assert seen.is_new("a", now=601)
    assert len(seen) == 2


def test_ids_that_are_out_of_time_are_forgotten() -> None:
    seen = SeenIds(within=10)
    for number in range(1000):
        assert seen.is_new(str(number), now=number / 10)
    assert len(seen) == 101


def test_of_more_ids_than_are_kept_the_oldest_go() -> None:
    seen = SeenIds(within=600, most=100)
    for number in range(1000):
        assert seen.is_new(str(number), now=1)
    assert len(seen) == 100
    assert not seen.is_new("999", now=1)
    assert seen.is_new("0", now=1)
