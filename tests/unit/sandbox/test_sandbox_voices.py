from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from manifest_runner.sandbox.rules import SpeechOrder
from manifest_runner.sandbox.sound import measure
from manifest_runner.sandbox.voices import RATE, beats, speak, synthesise, voice_pitch


def order(
    text: str, *, voice: str = "oversea_male1", language: str = "en", speed: str = "1.0"
) -> SpeechOrder:
    return SpeechOrder(text=text, voice_id=voice, voice_language=language, voice_speed=Decimal(speed))


def rhythm(text: str, language: str = "en") -> str:
    return "".join("x" if beat.sound else "-" for beat in beats(text, language))


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
    assert voice_pitch("oversea_male1") != voice_pitch("other")


def test_a_speech_is_sound_that_can_be_decoded_with_silence_where_it_pauses() -> None:
    samples = synthesise(order("Hello there. Hello again."))
    assert np.abs(samples).max() <= 1.5
    assert not samples[: RATE // 5].any()
    facts = measure(speak(order("Hello there. Hello again.")), stop_after=300)
    assert facts.format == "mp3"
    assert abs(float(facts.seconds) - len(samples) / RATE) < 0.1


def test_a_question_ends_higher_than_a_statement_and_speed_shortens() -> None:
    assert list(beats("are you here?", "en"))[-2].lift > list(beats("you are here.", "en"))[-2].lift
    text = "One two three four five six seven."
    assert len(synthesise(order(text, speed="2.0"))) < len(synthesise(order(text, speed="0.8")))


@pytest.mark.parametrize(
    ("text", "language"), [("Hello Ana!", "en"), ("a word and " * 90, "en"), ("好" * 1000, "zh")]
)
def test_texts_of_any_allowed_length_last_as_long_as_a_create_call_takes(text: str, language: str) -> None:
    seconds = len(synthesise(order(text, language=language, speed="0.8"))) / RATE
    assert 2 <= seconds <= 300
