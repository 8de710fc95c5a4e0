from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from manifest_runner.sandbox.rules import SpeechOrder
from manifest_runner.sandbox.sound import measure
from manifest_runner.sandbox.speech import voices
from manifest_runner.sandbox.speech.espeak import NoVoice
from manifest_runner.sandbox.speech.voices import (
    LEAD,
    LONGEST,
    RATE,
    TAIL,
    beats,
    hum,
    speak,
    synthesise,
    voice_pitch,
)


def order(
    text: str, *, voice: str = "oversea_male1", language: str = "en", speed: str = "1.0"
) -> SpeechOrder:
    return SpeechOrder(text=text, voice_id=voice, voice_language=language, voice_speed=Decimal(speed))


def rhythm(text: str, language: str = "en") -> str:
    return "".join("x" if beat.sound else "-" for beat in beats(text, language))


def silences(samples: voices.Samples) -> int:
    """How many silences of at least 0.12 s there are after the first sound and before the last one."""
    heard = np.flatnonzero(np.abs(samples) > 0.01)
    return int(np.count_nonzero(np.diff(heard) >= 0.12 * RATE))


@pytest.fixture
def wordless(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_recital(*_: object, **__: object) -> None:
        raise NoVoice

    monkeypatch.setattr(voices, "recite", no_recital)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Hello Ana!", "en", "xxxx-"),
        ("Well... yes, no.", "en", "x-x-x-"),
        ("Pst!", "en", "x-"),
        ("你好，世界。", "zh", "xx-xx-"),
        ("OK 你好 7", "zh", "xxxx"),
        ("?!", "en", "-"),
        ("🙂", "en", ""),
    ],
)
def test_the_rhythm_is_that_of_the_text(text: str, language: str, expected: str) -> None:
    assert rhythm(text, language) == expected


def test_the_same_text_and_voice_give_the_same_bytes_and_another_voice_others() -> None:
    assert speak(order("Good morning to you.")) == speak(order("Good morning to you."))
    assert speak(order("Good morning to you.")) != speak(order("Good morning to you.", voice="other"))


def test_so_it_is_without_words(wordless: None) -> None:
    assert speak(order("Good morning to you.")) == speak(order("Good morning to you."))
    assert speak(order("Good morning to you.")) != speak(order("Good morning to you.", voice="other"))
    assert voice_pitch("oversea_male1") != voice_pitch("other")


@pytest.mark.parametrize("with_words", [True, False])
def test_a_speech_is_sound_that_can_be_decoded_with_silence_where_it_pauses(
    with_words: bool, request: pytest.FixtureRequest
) -> None:
    if not with_words:
        request.getfixturevalue("wordless")
    samples = synthesise(order("Hello there. Hello again. And good night."))
    assert np.abs(samples).max() <= 1.5
    assert not samples[: RATE // 5].any()
    assert not samples[-RATE // 5 :].any()
    assert silences(samples) >= 2
    facts = measure(speak(order("Hello there. Hello again. And good night.")), stop_after=300)
    assert facts.format == "mp3"
    assert abs(float(facts.seconds) - len(samples) / RATE) < 0.1


def test_a_question_ends_higher_than_a_statement_and_speed_shortens() -> None:
    assert list(beats("are you here?", "en"))[-2].lift > list(beats("you are here.", "en"))[-2].lift
    text = "One two three four five six seven."
    assert len(hum(order(text, speed="2.0"))) < len(hum(order(text, speed="0.8")))
    assert len(synthesise(order(text, speed="2.0"))) < len(synthesise(order(text, speed="0.8")))


@pytest.mark.parametrize("with_words", [True, False])
@pytest.mark.parametrize(
    ("text", "language", "speed"),
    [
        ("Hello Ana!", "en", "1.0"),
        ("a word and " * 90, "en", "0.8"),
        ("好" * 1000, "zh", "0.8"),
        ("🙂" * 1000, "en", "0.8"),
    ],
)
def test_texts_of_any_allowed_length_last_as_long_as_a_create_call_takes(
    text: str, language: str, speed: str, with_words: bool, request: pytest.FixtureRequest
) -> None:
    if not with_words:
        request.getfixturevalue("wordless")
    seconds = len(synthesise(order(text, language=language, speed=speed))) / RATE
    if not with_words and "🙂" in text:  # it has no syllable: nothing but the silence around it
        assert seconds == pytest.approx(LEAD + TAIL, abs=0.01)
    else:
        assert 2 <= seconds <= LONGEST


@pytest.mark.parametrize("with_words", [True, False])
@pytest.mark.parametrize("text", ["?!", "...", "\x00", "\u200b", "—"])
def test_a_text_with_nothing_to_say_is_a_short_silence(
    text: str, with_words: bool, request: pytest.FixtureRequest
) -> None:
    if not with_words:
        request.getfixturevalue("wordless")
    seconds = measure(speak(order(text)), stop_after=300).seconds
    assert LEAD + TAIL - 0.1 <= seconds < 2
