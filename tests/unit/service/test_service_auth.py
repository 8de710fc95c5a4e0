from __future__ import annotations

import hashlib
import re
from datetime import timedelta

import jwt
import pytest

from manifest_runner.errors import CredentialsError
from manifest_runner.service import ApiKey, KeyPair, TokenSource, credentials_from, key_fingerprint

PAIR = {"KLING_ACCESS_KEY": "ak-0123456789", "KLING_SECRET_KEY": "sk-secret-0123456789-0123456789-0123"}


class Clocks:
    def __init__(self) -> None:
        self.wall = 1_790_000_000.0
        self.monotonic = 50.0

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def tokens(clocks: Clocks) -> TokenSource:
    return TokenSource(
        KeyPair(PAIR["KLING_ACCESS_KEY"], PAIR["KLING_SECRET_KEY"]),
        wall=lambda: clocks.wall,
        monotonic=lambda: clocks.monotonic,
    )


def claims(token: str) -> dict[str, object]:
    return jwt.decode(token, options={"verify_signature": False})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"KLING_API_KEY": "api-1"}, ApiKey("api-1")),
        (PAIR, KeyPair("ak-0123456789", "sk-secret-0123456789-0123456789-0123")),
        ({"KLING_API_KEY": "api-1", **PAIR}, ApiKey("api-1")),
        ({"KLING_API_KEY": "api-1", "KLING_ACCESS_KEY": "alone"}, ApiKey("api-1")),
        ({"KLING_API_KEY": "", **PAIR}, KeyPair("ak-0123456789", "sk-secret-0123456789-0123456789-0123")),
    ],
)
def test_credentials_come_from_the_environment(environment, expected) -> None:
    assert credentials_from(environment) == expected


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, ["KLING_API_KEY", "KLING_ACCESS_KEY", "KLING_SECRET_KEY"]),
        ({"KLING_API_KEY": ""}, ["KLING_API_KEY is set but empty"]),
        (
            {"KLING_ACCESS_KEY": "", "KLING_SECRET_KEY": ""},
            ["KLING_ACCESS_KEY and KLING_SECRET_KEY are set but empty"],
        ),
        ({"KLING_ACCESS_KEY": "hush-1"}, ["KLING_ACCESS_KEY is set, but KLING_SECRET_KEY is not set"]),
        ({"KLING_SECRET_KEY": "hush-1"}, ["KLING_SECRET_KEY is set, but KLING_ACCESS_KEY is not set"]),
        ({"KLING_SECRET_KEY": "hush-1", "KLING_ACCESS_KEY": ""}, ["KLING_ACCESS_KEY is empty"]),
        ({"KLING_API_KEY": "hush-1\n"}, ["KLING_API_KEY holds"]),
        ({"KLING_API_KEY": "hush-1 two"}, ["KLING_API_KEY holds"]),
        ({"KLING_API_KEY": "hush-1é"}, ["KLING_API_KEY holds"]),
        ({**PAIR, "KLING_SECRET_KEY": "hush-1\x00"}, ["KLING_SECRET_KEY holds"]),
        ({**PAIR, "KLING_ACCESS_KEY": " hush-1"}, ["KLING_ACCESS_KEY holds"]),
    ],
)
def test_wrong_credentials_name_the_variable_and_the_sandbox_but_no_value(environment, named) -> None:
    with pytest.raises(CredentialsError) as caught:
        credentials_from(environment)
    text = str(caught.value)
    assert all(name in text for name in named)
    assert "service: sandbox" in text
    assert "hush" not in text
    assert caught.value.exit_code == 4


def test_reprs_hold_no_secret() -> None:
    shown = repr([ApiKey("hush-1"), KeyPair("hush-2", "hush-3"), TokenSource(ApiKey("hush-4"))])
    assert "hush" not in shown


def test_a_token_carries_the_documented_header_and_claims(tokens: TokenSource, clocks: Clocks) -> None:
    token = tokens.token()
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert claims(token) == {"iss": "ak-0123456789", "exp": 1_790_001_800, "nbf": 1_789_999_995}
    decoded = jwt.decode(
        token,
        "sk-secret-0123456789-0123456789-0123",
        algorithms=["HS256"],
        options={"verify_nbf": False, "verify_exp": False},
    )
    assert decoded["iss"] == "ak-0123456789"


@pytest.mark.parametrize(
    ("wall", "monotonic", "kept"),
    [
        pytest.param(0, 0, True, id="at once"),
        pytest.param(1199, 1199, True, id="just before two thirds of its life"),
        pytest.param(1200, 1200, False, id="two thirds of its life"),
        pytest.param(1800, 3, False, id="the laptop slept: only the wall clock moved"),
        pytest.param(-3600, 10, False, id="the wall clock was set back"),
        pytest.param(-2, 1, True, id="a small correction of the wall clock"),
        pytest.param(0, 1300, False, id="the wall clock was set back by as much as went by"),
    ],
)
def test_a_token_is_kept_while_both_clocks_call_it_fresh(tokens, clocks, wall, monotonic, kept) -> None:
    first = tokens.token()
    clocks.wall += wall
    clocks.monotonic += monotonic
    signed_again = tokens.token()
    made_at = claims(signed_again)["nbf"]
    assert made_at == (claims(first)["nbf"] if kept else int(clocks.wall) - 5)
    assert (signed_again == first) is (kept or wall == 0)


def test_renewing_drops_the_token(tokens: TokenSource, clocks: Clocks) -> None:
    first = tokens.token()
    clocks.pass_time(2)
    assert tokens.token() == first
    tokens.renew()
    assert claims(tokens.token())["exp"] == claims(first)["exp"] + 2


@pytest.mark.parametrize(
    ("skew", "shifted_by"),
    [(timedelta(minutes=-10), -600), (timedelta(hours=2), 7200), (None, -300)],
)
def test_a_shifted_token_is_valid_by_the_services_clock(tokens, skew, shifted_by) -> None:
    plain = claims(tokens.token())
    tokens.shift(skew)
    shifted = claims(tokens.token())
    assert shifted["nbf"] - plain["nbf"] == shifted_by
    assert shifted["exp"] - plain["exp"] == shifted_by


def test_an_api_key_is_sent_as_it_is_and_can_not_be_renewed() -> None:
    tokens = TokenSource(ApiKey("api-key-0123456789"))
    tokens.renew()
    tokens.shift(None)
    assert tokens.token() == "api-key-0123456789"
    assert not tokens.renewable


def test_a_short_secret_signs_without_a_warning() -> None:
    assert TokenSource(KeyPair("a", "short")).token()  # warnings are errors in tests


def test_secrets_are_blotted_out_of_what_the_service_says(tokens: TokenSource) -> None:
    token = tokens.token()
    said = f"bad token {token} of ak-0123456789 signed by sk-secret-0123456789-0123456789-0123"
    assert tokens.redact(said, token) == "bad token *** of *** signed by ***"
    key = "api-key-0123456789"
    assert TokenSource(ApiKey(key)).redact(f"no {key}", key) == "no ***"
    assert TokenSource(ApiKey("a")).redact("a task", "a") == "a task"


KEYS = [
    ApiKey("api-key-0123456789"),
    ApiKey("api-key-0123456780"),
    KeyPair("ak-0123456789", "sk-1"),
    KeyPair("ak-0123456780", "sk-1"),
    KeyPair("api-key-0123456789", "sk-1"),
]


def test_each_key_has_a_fingerprint_of_its_own() -> None:
    assert len({key_fingerprint(key) for key in KEYS}) == len(KEYS)


@pytest.mark.parametrize(
    ("credentials", "fingerprint"),
    [(KEYS[0], "204a4547c500"), (KEYS[2], "ecbe794c9d46")],
    ids=["api key", "pair"],
)
def test_a_fingerprint_stays_the_same_in_every_version(credentials, fingerprint: str) -> None:
    """Ledgers hold them."""
    assert key_fingerprint(credentials) == fingerprint


def test_a_new_secret_for_the_same_access_key_is_the_same_account() -> None:
    assert key_fingerprint(KeyPair("ak-0123456789", "sk-2")) == key_fingerprint(KEYS[2])


@pytest.mark.parametrize("credentials", [ApiKey("a1"), ApiKey("0123456789ab"), KeyPair("b2", "c3")])
def test_a_fingerprint_is_short_and_is_not_the_key(credentials) -> None:
    fingerprint = key_fingerprint(credentials)
    assert re.fullmatch("[0-9a-f]{12}", fingerprint)
    key = credentials.key if isinstance(credentials, ApiKey) else credentials.access_key
    assert key not in fingerprint
    plain = hashlib.sha256(key.encode()).hexdigest()
    assert fingerprint not in plain
