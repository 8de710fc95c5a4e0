from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest

from manifest_runner.cli.callbacks import NO_CALLBACKS, Callbacks
from manifest_runner.cli.listening import (
    AddressText,
    Refusals,
    callbacks_of,
    checked_callback_url,
)
from manifest_runner.errors import UsageError
from manifest_runner.manifest import load_manifest
from manifest_runner.models import Manifest, ServiceName, ServiceSettings
from manifest_runner.runner.doorway import Address

SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
HERE = Address(host="127.0.0.1", port=8080)
URL = "https://me.example/hooks?token=mine"


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    file = tmp_path / "campaign.csv"
    file.write_text("external_task_id,image,sound_file\na,a.png,a.mp3\nb,a.png,a.mp3\n")
    return load_manifest(file)


def on_a_sandbox(manifest: Manifest) -> Manifest:
    return replace(manifest, service=ServiceSettings(name=ServiceName.SANDBOX))


def with_own_url(manifest: Manifest) -> Manifest:
    *others, last = manifest.jobs
    return replace(manifest, jobs=(*others, replace(last, callback_url="https://theirs.example/hook")))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8080", "127.0.0.1", 8080),
        ("0", "127.0.0.1", 0),
        ("0.0.0.0:8080", "0.0.0.0", 8080),
        ("localhost:65535", "localhost", 65535),
        ("[::1]:80", "::1", 80),
        ("[::]:8080", "::", 8080),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert AddressText().convert(text, None, None) == Address(host=host, port=port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":8080",
        "::1:80",
        "localhost",
        "1.2.3.4:",
        "a:b",
        "1:2:3",
        "x:65536",
        "[::1]",
        "http://x:80",
        "a b:80",
        "٣",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(click.BadParameter, match="HOST:PORT"):
        AddressText().convert(text, None, None)


@pytest.mark.parametrize(
    "url",
    [
        "https://me.example",
        "https://me.example/hook?token=abc",
        "HTTPS://me.example:8443/",
        "https://203.0.113.9/x",
        "http://127.0.0.1:8080/hook",
        "http://localhost/hook",
        "http://[::1]:8080/",
        "https://" + "x" * 2000 + ".example/",
    ],
)
def test_callback_urls_that_are_taken(url: str) -> None:
    assert checked_callback_url(url).hostname


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://me.example/hook-secret", "not https"),
        ("http://10.0.0.1/hook-secret", "not https"),
        ("http://localhost.me.example/hook-secret", "not https"),
        ("ftp://me.example/hook-secret", "no https address"),
        ("me.example/hook-secret", "no https address"),
        ("https:///hook-secret", "no https address"),
        ("https://user:hook-secret@me.example/", "user name"),
        ("https://me.example/#hook-secret", "fragment"),
        ("https://me.example:99999/hook-secret", "malformed"),
        ("https://[me/hook-secret", "malformed"),
        ("https://me.example/hook secret", "no URL can"),
        ("https://me.example/hook-secret\n", "no URL can"),
        ("https://é.example/hook-secret", "no URL can"),
        ("https://me.example/" + "hook-secret" * 200, "characters"),
        ("", "no https address"),
    ],
)
def test_callback_urls_that_are_not_and_nothing_secret_is_repeated(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        checked_callback_url(url)
    assert "hook-secret" not in str(caught.value)


def test_without_the_options_there_is_nothing_even_with_a_bad_secret(manifest: Manifest) -> None:
    given = callbacks_of(manifest, None, {"KLING_WEBHOOK_SECRET": "bad"}, callback_url=None, listen=None)
    assert given is NO_CALLBACKS
    assert given == Callbacks(url=None, listen=None, notes=(), receiver=None, secrets=())


def test_both_options_are_what_a_run_is_told(manifest: Manifest) -> None:
    variables = {"KLING_WEBHOOK_SECRET": f"{SECRET} whsec_b3RoZXI="}
    given = callbacks_of(manifest, None, variables, callback_url=URL, listen=HERE)
    assert given.url == URL
    assert given.listen is not None
    assert given.receiver == ("me.example", 443)
    assert given.secrets == (SECRET, "whsec_b3RoZXI=")
    (note,) = given.notes
    assert "127.0.0.1:8080" in note
    assert "signed" in note
    assert "whsec_" not in repr(given)
    assert "token" not in note


def test_without_a_secret_it_is_said_that_anybody_can_post(manifest: Manifest) -> None:
    given = callbacks_of(manifest, None, {}, callback_url=URL, listen=HERE)
    assert "KLING_WEBHOOK_SECRET is not set" in given.notes[0]


def test_somebody_else_may_listen_and_that_is_said(manifest: Manifest) -> None:
    given = callbacks_of(manifest, None, {}, callback_url=URL, listen=None)
    assert (given.url, given.listen) == (URL, None)
    assert "nobody listens here" in given.notes[0]


def test_listening_for_nothing_is_refused(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match="--callback-url"):
        callbacks_of(manifest, None, {}, callback_url=None, listen=HERE)
    assert callbacks_of(with_own_url(manifest), None, {}, callback_url=None, listen=HERE).listen
    assert callbacks_of(manifest, None, {}, callback_url=None, listen=HERE, sends=False).listen


@pytest.mark.parametrize("secret", ["bad", f"{SECRET} bad", "whsec_???", SECRET.removeprefix("whsec_")])
@pytest.mark.parametrize("listen", [HERE, None])
def test_a_malformed_secret_is_told_of_and_not_repeated(
    manifest: Manifest, secret: str, listen: Address | None
) -> None:
    with pytest.raises(UsageError, match="whsec_") as caught:
        callbacks_of(manifest, None, {"KLING_WEBHOOK_SECRET": secret}, callback_url=URL, listen=listen)
    assert secret.rsplit(maxsplit=1)[-1].removeprefix("whsec_") not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "receiver"),
    [
        ("http://127.0.0.1:8080/", ("127.0.0.1", 8080)),
        ("https://localhost/hook", ("localhost", 443)),
        ("https://10.1.2.3/hook", ("10.1.2.3", 443)),
        ("https://[fd00::1]:8443/", ("fd00::1", 8443)),
        ("http://127.1/", ("127.1", 80)),
    ],
)
def test_what_leads_inside_is_for_a_service_on_this_machine_alone(
    manifest: Manifest, url: str, receiver: tuple[str, int]
) -> None:
    with pytest.raises(UsageError, match="can't reach"):
        callbacks_of(manifest, None, {}, callback_url=url, listen=HERE)
    own = callbacks_of(on_a_sandbox(manifest), None, {}, callback_url=url, listen=HERE)
    somebodys = callbacks_of(manifest, "http://127.0.0.1:9", {}, callback_url=url, listen=HERE)
    assert own.receiver == somebodys.receiver == receiver


def test_where_we_listen_is_the_receiver_when_rows_alone_have_urls(manifest: Manifest) -> None:
    given = callbacks_of(on_a_sandbox(with_own_url(manifest)), None, {}, callback_url=None, listen=HERE)
    assert given.receiver == ("127.0.0.1", 8080)


def test_refusals_are_told_at_once_and_then_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    told: list[str] = []
    refused = Refusals(told.append, every=60)
    for _ in range(5000):
        refused("it is not signed")
    refused("it is no JSON object")
    assert told == [
        "A callback was refused: it is not signed.",
        "A callback was refused: it is no JSON object.",
    ]
    now = 160.0
    refused("it is not signed")
    assert told[2:] == ["A callback was refused: it is not signed (so were 4,999 more)."]
    refused("it is not signed")
    refused.tell_rest()
    assert told[3:] == ["A callback was refused: it is not signed."]
    refused.tell_rest()
    assert len(told) == 4
