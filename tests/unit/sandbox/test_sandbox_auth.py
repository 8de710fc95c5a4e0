from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
from sandbox_kit import AVATAR, Client, refusal, token

from manifest_runner.sandbox.auth import MOST_REMEMBERED, Doorkeeper, check_authorization
from manifest_runner.sandbox.refusals import Refusal
from manifest_runner.sandbox.settings import SandboxSettings

SECRET = "s" * 40
SETTINGS = SandboxSettings(state=Path("unused"), access_key="ak", secret_key=SECRET, api_key="api-key-1")
KEYS = SETTINGS.environment
NOW = int(time.time())

UNSIGNED = jwt.encode({"iss": "ak", "exp": NOW + 900}, None, algorithm="none")

REFUSED = [
    (None, 1001, "no header"),
    ("  ", 1001, "an empty one"),
    (token(KEYS), 1002, "no Bearer"),
    ("Bearer", 1002, "no token"),
    ("Bearer" + token(KEYS), 1002, "no space"),
    ("bearer " + token(KEYS), 1002, "the scheme as it is documented"),
    (f"Bearer {token(KEYS)} more", 1002, "more than a token"),
    ("Bearer a.b.c", 1002, "no JWT"),
    ("Bearer unknown-key", 1000, "an API key that is none"),
    ("Bearer ünknown", 1000, "beyond ASCII"),
    ("Bearer " + token(KEYS, secret="x" * 40), 1000, "another secret"),
    ("Bearer " + token(KEYS, iss="somebody"), 1000, "another access key"),
    ("Bearer " + token(KEYS, iss=None), 1000, "no issuer"),
    ("Bearer " + token(KEYS, exp=None), 1000, "no expiry"),
    ("Bearer " + UNSIGNED, 1000, "no signature at all"),
    ("Bearer " + token(KEYS, nbf=NOW + 600), 1003, "not yet valid"),
    ("Bearer " + token(KEYS, exp=NOW - 1), 1004, "expired"),
    ("Bearer " + token(KEYS, exp=NOW - 1, secret="x" * 40), 1000, "forged and expired: the forgery counts"),
]


@pytest.mark.parametrize(("header", "code", "why"), REFUSED, ids=[row[2] for row in REFUSED])
def test_a_header_that_proves_nothing_is_refused(header: str | None, code: int, why: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_authorization(header, SETTINGS)
    assert caught.value.code == code, why
    assert caught.value.response().status_code == 401
    assert SECRET not in caught.value.message
    assert (
        not header
        or header.split()[-1:] in ([], ["Bearer"])
        or header.split()[-1] not in caught.value.message
    )


@pytest.mark.parametrize("proof", ["api-key-1", token(KEYS), token(KEYS, nbf=None)])
def test_an_api_key_and_a_signed_token_are_let_in(proof: str) -> None:
    check_authorization(f"Bearer {proof}", SETTINGS)


def test_no_api_key_fits_an_account_without_one() -> None:
    without = SandboxSettings(state=Path("unused"), access_key="ak", secret_key=SECRET)
    with pytest.raises(Refusal, match="unknown API key"):
        check_authorization("Bearer None", without)


def test_a_header_that_was_good_is_good_until_its_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    doorkeeper = Doorkeeper(SETTINGS)
    header = f"Bearer {token(KEYS, exp=int(time.time()) + 2)}"
    doorkeeper.check(header)
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: pytest.fail("it was looked at once more"))
    doorkeeper.check(header)
    monkeypatch.undo()
    time.sleep(2)
    with pytest.raises(Refusal) as caught:
        doorkeeper.check(header)
    assert caught.value.code == 1004


@pytest.mark.parametrize(("header", "code", "why"), REFUSED[:4], ids=[row[2] for row in REFUSED[:4]])
def test_a_header_that_was_refused_is_refused_again(header: str | None, code: int, why: str) -> None:
    doorkeeper = Doorkeeper(SETTINGS)
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            doorkeeper.check(header)
        assert caught.value.code == code, why


def test_only_so_many_headers_are_remembered() -> None:
    doorkeeper = Doorkeeper(SETTINGS)
    for number in range(MOST_REMEMBERED + 5):
        doorkeeper.check(f"Bearer {token(KEYS, number=number)}")
    assert len(doorkeeper._good_until) <= MOST_REMEMBERED


def test_the_key_is_checked_before_anything_else(client: Client) -> None:
    wrong = {"Authorization": "Bearer unknown-key"}
    assert refusal(client.http.get("/no/such/address", headers=wrong)) == (401, 1000)
    assert refusal(client.http.post(AVATAR, content=b"no json", headers=wrong)) == (401, 1000)


def test_a_large_request_with_a_wrong_key_hears_the_answer(client: Client) -> None:
    body = b" " * 30_000_000
    assert refusal(client.http.post(AVATAR, content=body, headers={"Authorization": "Bearer no"})) == (
        401,
        1000,
    )


def test_settings_show_no_secret() -> None:
    settings = SandboxSettings(
        state=Path("unused"),
        access_key="ak-1",
        secret_key=SECRET,
        api_key="api-key-1",
        webhook_secret="whsec_c2VjcmV0",
    )
    for secret in ("ak-1", SECRET, "api-key-1", "whsec_c2VjcmV0"):
        assert secret not in repr(settings)
    assert SandboxSettings.from_json(settings.to_json()) == settings
