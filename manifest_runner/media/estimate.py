"""What a video will probably cost, in units. Pure decimal arithmetic; an estimate and always shown as one."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache

from manifest_runner.media.limits import AUDIO_MAX_SECONDS, AUDIO_MIN_SECONDS
from manifest_runner.models import Mode, Rates, Speech, Units


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Units: at the least, most likely (None where the duration is unknown), and at the most."""

    low: Units
    expected: Units | None
    high: Units


DEFAULT_RATES = Rates()


def billed_seconds(seconds: Decimal) -> int:
    """Whole seconds, a begun one counted: what is assumed to be billed."""
    return int(seconds.to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=1_000)  # thousands of rows have a recording of the same length
def estimate(mode: Mode, seconds: Decimal | None, *, speech: bool, rates: Rates = DEFAULT_RATES) -> Estimate:
    """The cost of one video of `seconds`; with `speech`, of the text-to-speech call before it as well.

    Whole seconds are billed, by the one measurement that was published: 11.3 s in `std` cost 4.4 units. That was 11
    seconds, so a begun second is perhaps not counted. The low end has it so; the expected and the high figure count
    it, because a budget must hold either way. Without a duration the ends are the service's shortest and longest.
    """
    rate = rates.per_second(mode)
    call = rates.speech if speech else Decimal(0)
    if seconds is None:
        return Estimate(
            low=AUDIO_MIN_SECONDS * rate + call, expected=None, high=AUDIO_MAX_SECONDS * rate + call
        )
    most = billed_seconds(seconds) * rate + call
    least = seconds.to_integral_value(ROUND_FLOOR) * rate + call
    return Estimate(low=least, expected=most, high=most)


# Letters a second at normal speed: the slowest, the usual and the fastest reading. Chinese counts syllables.
_LETTERS_A_SECOND = {
    "en": (Decimal(8), Decimal(15), Decimal(25)),
    "zh": (Decimal(3), Decimal("4.5"), Decimal(8)),
}
_A_WORD = 4  # letters: a digit, a sign such as % and an emoji are spoken as words, an ideograph by an English voice too
# Seconds before the first and after the last word, alike.
_SILENCE = (Decimal(2), Decimal("0.5"), Decimal(0))


def estimate_spoken(mode: Mode, speech: Speech, *, rates: Rates = DEFAULT_RATES) -> Estimate:
    """The cost of a text's text-to-speech call and video, before the service has spoken it: from its length alone."""
    readings = _LETTERS_A_SECOND.get(speech.voice_language, _LETTERS_A_SECOND["en"])
    said = _as_letters(speech.text, speech.voice_language)
    slow, usual, fast = (
        min(AUDIO_MAX_SECONDS, max(AUDIO_MIN_SECONDS, (length / letters + silence) / speech.voice_speed))
        for length, letters, silence in zip((said, said, len(speech.text)), readings, _SILENCE, strict=True)
    )
    return Estimate(
        low=estimate(mode, fast, speech=True, rates=rates).low,
        expected=estimate(mode, usual, speech=True, rates=rates).expected,
        high=estimate(mode, slow, speech=True, rates=rates).high,
    )


def _as_letters(text: str, language: str) -> int:
    """How long a text is to speak, in letters (of Chinese, in syllables)."""
    words = sum(unicodedata.category(sign)[0] in "NS" for sign in text)
    foreign = 0 if language == "zh" else sum("\u2e80" <= sign <= "\u9fff" for sign in text)
    return len(text) + (_A_WORD - 1) * (words + foreign)
