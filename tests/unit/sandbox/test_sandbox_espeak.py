"""Words spoken by espeak-ng. Every text here is spoken by a process of its own, as in the sandbox."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from manifest_runner.sandbox.rules import SpeechOrder
from manifest_runner.sandbox.speech import espeak
from manifest_runner.sandbox.speech.espeak import NoVoice, choose_voice, recite, speakable

spoken = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="2026-11-25: the extra `preview` is not installed",
)


@pytest.fixture(autouse=True)
def nothing_was_said_yet() -> Iterator[None]:
    espeak._warn_once.cache_clear()
    yield
    espeak._warn_once.cache_clear()


def order(
    text: str, *, voice: str = "oversea_male1", language: str = "en", speed: str = "1.0"
) -> SpeechOrder:
    return SpeechOrder(text=text, voice_id=voice, voice_language=language, voice_speed=Decimal(speed))


def pcm(text: str, **choices: str) -> bytes:
    return recite(order(text, **choices), most_seconds=100).pcm


def seconds(text: str, **choices: str) -> float:
    recital = recite(order(text, **choices), most_seconds=100)
    return len(recital.pcm) / 2 / recital.rate


@spoken
@pytest.mark.parametrize("voice", ["oversea_male1", "chat1_female_new-3", "b"])
def test_what_was_spoken_before_changes_nothing(voice: str) -> None:
    one, other = "Hello there. How are you, friend?", "Something else, silly fish!"
    first = pcm(one, voice=voice)
    assert pcm(other, voice=voice) != first
    assert pcm(one, voice=voice) == first


@spoken
def test_longer_texts_last_longer_and_double_speed_about_half() -> None:
    short, long = (
        "One two three.",
        "One two three four five six seven eight nine ten, and so on and on and on.",
    )
    assert seconds(long) > 2 * seconds(short)
    assert seconds(long, speed="2.0") == pytest.approx(seconds(long) / 2, rel=0.2)
    assert seconds(long, speed="0.8") > 1.15 * seconds(long)


@spoken
def test_languages_and_voices_differ() -> None:
    assert pcm("Hello, 你好。") != pcm("Hello, 你好。", language="zh")
    assert pcm("Hello.", voice="male") != pcm("Hello.", voice="female")


@spoken
@pytest.mark.parametrize(
    ("order_like", "what_it_would_be"),
    [
        ("[[h@loU]]", "hello"),  # phonemes
        ("<b>bold</b>", "bold"),  # SSML
        ('<break time="20ms"/> hello', "hello"),
        ("<sub alias='a'>some long words</sub>", "a"),
    ],
)
def test_markup_in_a_text_is_text(order_like: str, what_it_would_be: str) -> None:
    assert seconds(order_like) > 1.2 * seconds(what_it_would_be)


@spoken
def test_signs_that_espeak_obeys_never_reach_it() -> None:
    assert pcm("a \x0150S b") == pcm("a  50S b")
    assert pcm("before \x00 after") == pcm("before   after")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x01b\x7fc\x85d\ue000e", "a b c d e"),
        ("co\u00adope\u200drate\ufeff", "cooperate"),
        ("line\nline", "line line"),
        ("ñ e\u0301 你 🙂 <b> [[", "ñ e\u0301 你 🙂 <b> [["),
    ],
)
def test_what_is_no_text_becomes_blank(text: str, expected: str) -> None:
    assert speakable(text) == expected


@spoken
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "text",
    [
        "?!", "🙂", "...", "\x00", "مرحبا \u202eبالعالم\u202c", "e" + "\u0301" * 900, "👩‍👩‍👧‍👦" * 100, "x" * 1000,
        "9" * 1000, "[" * 1000, "\U0010ffff", "สวัสดี", "한국어",
    ],
)  # fmt: skip
def test_odd_texts_are_survived(text: str, language: str) -> None:
    recital = recite(order(text, language=language), most_seconds=299)
    assert recital.rate == 22050
    assert len(recital.pcm) <= 299 * 2 * recital.rate


@spoken
def test_no_recital_is_longer_than_it_may_be() -> None:
    recital = recite(order("好" * 1000), most_seconds=3)
    assert len(recital.pcm) == 3 * 2 * recital.rate


@pytest.mark.parametrize(
    ("voice_id", "variants"),
    [
        ("oversea_male1", espeak.MEN),
        ("chat1_female_new-3", espeak.WOMEN),
        ("girlfriend_1_speech02", espeak.WOMEN),
        ("uk_boy1", espeak.MEN),
        ("Old Woman", espeak.WOMEN),
        ("german_story", espeak.MEN + espeak.WOMEN),  # no man
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_voice_is_chosen_by_its_name_and_stays(
    voice_id: str, variants: tuple[str, ...], language: str
) -> None:
    voice, pitch = choose_voice(voice_id, language)
    accent, _, variant = voice.partition("+")
    assert variant in variants
    assert accent in espeak.ACCENTS[language]
    assert 0 <= pitch <= 100
    assert choose_voice(voice_id, language) == (voice, pitch)


def test_nameless_voices_are_of_both_kinds_and_many() -> None:
    voices = {choose_voice(f"voice-{number}", "en") for number in range(50)}
    assert len(voices) > 40
    assert {voice.partition("+")[2][0] for voice, _ in voices} == {"f", "m"}


def test_without_the_extra_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    for _ in range(3):
        with pytest.raises(NoVoice):
            recite(order("Hello"), most_seconds=9)
    (message,) = (record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert "`preview` is not installed" in message


def test_a_library_that_cannot_be_loaded_is_no_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "_installed", lambda: ("/nowhere/libespeak-ng.so", "/nowhere"))
    with pytest.raises(NoVoice, match="can't be loaded"):
        recite(order("Hello"), most_seconds=9)


@spoken
def test_data_that_are_not_there_are_no_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    library, _ = espeak._installed()
    monkeypatch.setattr(espeak, "_installed", lambda: (library, "/nowhere"))
    with pytest.raises(NoVoice, match="can't be loaded"):
        recite(order("Hello"), most_seconds=9)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (subprocess.CompletedProcess([], -11, b""), "crashed .SIGSEGV"),
        (subprocess.CompletedProcess([], 0, b"ab"), "can't be loaded"),
        (subprocess.TimeoutExpired([], 1), "TimeoutExpired"),
        (OSError(12, "no memory"), "OSError"),
    ],
)
def test_whatever_becomes_of_its_process_the_sandbox_goes_on(
    outcome: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(espeak, "_installed", lambda: ("library", "data"))
    monkeypatch.setattr(espeak.subprocess, "run", run)
    with pytest.raises(NoVoice, match=reason):
        recite(order("Hello"), most_seconds=9)


def test_its_process_is_told_nothing_but_the_errand(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> Any:
        seen.update(options, command=command)
        return subprocess.CompletedProcess([], 0, (22050).to_bytes(4, sys.byteorder))

    monkeypatch.setattr(espeak, "_installed", lambda: ("library", "data"))
    monkeypatch.setattr(espeak.subprocess, "run", run)
    monkeypatch.setenv("KLING_ACCESS_KEY", "key")
    monkeypatch.setenv(espeak.SETTINGS_VARIABLE, "settings")
    assert recite(order("Hello"), most_seconds=9).pcm == b""
    assert not {"KLING_ACCESS_KEY", espeak.SETTINGS_VARIABLE} & seen["env"].keys()
    assert "Hello" not in str(seen["command"])
    assert json.loads(seen["input"])["words_a_minute"] == 160
