from __future__ import annotations

from decimal import Decimal

import pytest

from manifest_runner.media import billed_seconds, estimate, estimate_spoken
from manifest_runner.models import Mode, Rates, Speech

COSTS = [
    # mode, seconds, with speech, low, expected and high
    (Mode.STD, "11.3", False, "4.4", "4.8"),  # the one published measurement: 4.4
    (Mode.PRO, "11.3", False, "8.8", "9.6"),
    (Mode.STD, "11", False, "4.4", "4.4"),
    (Mode.STD, "10.999", False, "4", "4.4"),
    (Mode.STD, "11.001", False, "4.4", "4.8"),
    (Mode.STD, "2", False, "0.8", "0.8"),
    (Mode.PRO, "300", False, "240", "240"),
    (Mode.STD, "11.3", True, "4.45", "4.85"),
]


@pytest.mark.parametrize(("mode", "seconds", "speech", "low", "high"), COSTS)
def test_whole_seconds_are_billed(mode, seconds, speech, low, high):
    cost = estimate(mode, Decimal(seconds), speech=speech)
    assert (cost.low, cost.expected, cost.high) == (Decimal(low), Decimal(high), Decimal(high))


@pytest.mark.parametrize(
    ("mode", "speech", "low", "high"),
    [
        (Mode.STD, False, "0.8", "120"),
        (Mode.PRO, False, "1.6", "240"),
        (Mode.STD, True, "0.85", "120.05"),
    ],
)
def test_an_unknown_duration_lies_between_the_services_limits(mode, speech, low, high):
    cost = estimate(mode, None, speech=speech)
    assert (cost.low, cost.expected, cost.high) == (Decimal(low), None, Decimal(high))


def test_other_rates_can_be_given():
    rates = Rates(std=Decimal("0.5"), pro=Decimal(1), speech=Decimal("0.1"))
    assert estimate(Mode.STD, Decimal(4), speech=True, rates=rates).high == Decimal("2.1")
    assert estimate(Mode.PRO, Decimal(4), speech=False, rates=rates).high == Decimal(4)


@pytest.mark.parametrize(("seconds", "whole"), [("2", 2), ("2.001", 3), ("2.999", 3), ("0", 0)])
def test_a_begun_second_counts(seconds, whole):
    assert billed_seconds(Decimal(seconds)) == whole


@pytest.mark.parametrize(
    ("mode", "letters", "language", "speed", "low", "expected", "high"),
    [
        (Mode.STD, 150, "en", "1.0", "2.45", "4.45", "8.45"),  # 6, 10.5 and 20.75 s
        (Mode.PRO, 150, "en", "1.0", "4.85", "8.85", "16.85"),
        (Mode.STD, 150, "en", "2.0", "1.25", "2.45", "4.45"),  # 3, 5.25 and 10.375 s
        (Mode.STD, 36, "zh", "1.0", "1.65", "3.65", "5.65"),  # 4.5, 8.5 and 14 s
        (Mode.STD, 150, "fr", "1.0", "2.45", "4.45", "8.45"),  # any other: as English
        (Mode.STD, 1, "en", "1.0", "0.85", "0.85", "1.25"),  # never below the service's shortest
        (Mode.STD, 100_000, "en", "1.0", "120.05", "120.05", "120.05"),  # nor above its longest
    ],
)
def test_a_text_is_estimated_by_its_length(mode, letters, language, speed, low, expected, high):
    speech = Speech(text="a" * letters, voice_id="v", voice_language=language, voice_speed=Decimal(speed))
    cost = estimate_spoken(mode, speech)
    assert (cost.low, cost.expected, cost.high) == (Decimal(low), Decimal(expected), Decimal(high))


@pytest.mark.parametrize(
    ("text", "language"), [("123456", "en"), ("50 % & 3", "en"), ("你好世界", "en"), ("🎉" * 9, "en")]
)
def test_what_is_spoken_as_words_takes_longer_than_its_signs(text, language):
    many = Speech(text=text * 20, voice_id="v", voice_language=language)
    plain = Speech(text="a" * len(text) * 20, voice_id="v", voice_language=language)
    assert estimate_spoken(Mode.STD, many).high > 2 * estimate_spoken(Mode.STD, plain).high - 2
    assert estimate_spoken(Mode.STD, many).low == estimate_spoken(Mode.STD, plain).low


def test_a_text_is_estimated_at_the_rates_that_were_given():
    speech = Speech(text="a" * 150, voice_id="v", voice_language="en")
    rates = Rates(std=Decimal(1), speech=Decimal(5))
    assert estimate_spoken(Mode.STD, speech, rates=rates).expected == Decimal(16)
