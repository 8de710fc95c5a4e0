"""Captions for a video whose text is known: when each cue is shown, and the SubRip file (`.srt`). Pure.

Where a cue ends is found for the whole text at once: cues fit two lines, last long enough to be read, and end with
a sentence rather than a clause, with a clause rather than a word. Whoever reads is shown nothing long before it is
said.

SubRip has no standard; what is written here is what all players agree on: UTF-8, a number, the times, one or two
lines of text that are never empty, an empty line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from manifest_runner.media.captions.pauses import Sound
from manifest_runner.media.captions.text import Ending, Part, clean, is_chinese_like, is_ideograph, parts_of
from manifest_runner.media.captions.times import Span, time_parts

LINES = 2
COLUMNS, CHINESE_COLUMNS = 42, 32  # a line; a Chinese character takes two columns
SHORTEST, LONGEST = 0.8, 6.0  # seconds that a cue should last
LINGER = 0.25  # seconds that a cue may stay after its last word

# The prices of what is not wanted of a cue.
EACH = 0.5
CUT = {Ending.SENTENCE: 0.0, Ending.CLAUSE: 1.0, Ending.WORD: 4.0, Ending.INSIDE: 8.0}  # where it ends
HURRY, DRAG = 20.0, 4.0  # for each second below SHORTEST, above LONGEST
MIXED = 1.5  # for each end of a sentence within it
EARLY = 4.0  # for each second of silence within it


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """One or two lines that are shown together, in milliseconds of the video."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def caption_cues(text: str, language: str, sound: Sound) -> list[Cue]:
    """The cues of a text that is spoken in `sound`; none where there is no text or no time.

    They are in order, do not overlap, lie within the sound, and hold every sign of the text but blanks. `language`
    is the voice's: `zh` or `en`. A text of another script is taken as it is.
    """
    shown = clean(text)
    chinese = is_chinese_like(shown) or (language == "zh" and any(map(is_ideograph, shown)))
    columns = CHINESE_COLUMNS if chinese else COLUMNS
    parts = parts_of(shown, columns=columns)
    if not parts or sound.seconds <= 0:
        return []
    spans = time_parts(parts, sound)
    cuts = _Cutter(parts, spans, columns).cuts()
    times = _times([(spans[start].start, spans[end - 1].end) for start, end in cuts], sound.seconds)
    return [
        Cue(start_ms=shown_from, end_ms=shown_to, lines=_lines(parts[start:end], columns))
        for (start, end), (shown_from, shown_to) in zip(cuts, times, strict=True)
    ]


def srt_text(cues: Sequence[Cue]) -> str:
    """The content of an `.srt` file, to be written as UTF-8."""
    return "\n".join(
        "\n".join([str(number), f"{_clock(cue.start_ms)} --> {_clock(cue.end_ms)}", *cue.lines, ""])
        for number, cue in enumerate(cues, 1)
    )


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{ms:03}"


class _Cutter:
    """Cuts parts, of which it is known when they are heard, into cues."""

    def __init__(self, parts: Sequence[Part], spans: Sequence[Span], columns: int) -> None:
        self._parts, self._spans, self._columns = parts, spans, columns
        silences = [0.0, *(after.start - before.end for before, after in pairwise(spans))]
        self._silent = list(accumulate(silences))  # before each part
        self._sentences = [0, *accumulate(int(part.ending is Ending.SENTENCE) for part in parts)]

    def cuts(self) -> list[tuple[int, int]]:
        """The first part of each cue and the first that is no longer in it, at the lowest price altogether."""
        price = [0.0]
        origin = [0]
        for end in range(1, len(self._parts) + 1):
            best, start = min((price[start] + self._price(start, end), start) for start in self._starts(end))
            price.append(best)
            origin.append(start)
        cuts: list[tuple[int, int]] = []
        end = len(self._parts)
        while end:
            cuts.append((origin[end], end))
            end = origin[end]
        return cuts[::-1]

    def _starts(self, end: int) -> list[int]:
        """Where a cue that ends here may begin, so that it fits its lines."""
        starts = []
        for start in range(end - 1, -1, -1):
            if _fold(self._parts[start:end], self._columns) is None:
                break
            starts.append(start)
        return starts

    def _price(self, start: int, end: int) -> float:
        last = end - 1
        room = self._spans[end].start if end < len(self._spans) else self._spans[last].end + SHORTEST
        seconds = min(room, self._spans[last].end + LINGER) - self._spans[start].start
        price = EACH + CUT[self._parts[last].ending]
        price += HURRY * max(0.0, SHORTEST - seconds) + DRAG * max(0.0, seconds - LONGEST)
        price += MIXED * (self._sentences[last] - self._sentences[start])
        return price + EARLY * (self._silent[last] - self._silent[start])


def _lines(parts: Sequence[Part], columns: int) -> tuple[str, ...]:
    fold = _fold(parts, columns) or 0
    return tuple(_line(some) for some in (parts[:fold], parts[fold:]) if some)


def _line(parts: Sequence[Part]) -> str:
    return "".join(f" {part.text}" if part.spaced else part.text for part in parts).removeprefix(" ")


def _fold(parts: Sequence[Part], columns: int) -> int | None:
    """Before which part the second line begins (0: there is one line); None where two lines are too few.

    Lines of about equal length, and a first one that ends with a clause, are read most easily.
    """
    reached = [0, *accumulate(part.columns + part.spaced for part in parts)]
    whole = reached[-1] - parts[0].spaced
    if whole <= columns:
        return 0
    if whole > LINES * columns + 1:
        return None
    folds = []
    for place in range(1, len(parts)):
        first = reached[place] - parts[0].spaced
        second = reached[-1] - reached[place] - parts[place].spaced
        if max(first, second) <= columns:
            folds.append((abs(first - second) + 2 * CUT[parts[place - 1].ending], place))
    return min(folds)[1] if folds else None


def _times(heard: Sequence[tuple[float, float]], seconds: float) -> list[tuple[int, int]]:
    """When each cue is shown, from when its first and last word are heard: a little longer, where there is room."""
    last = int(seconds * 1000)
    starts = [round(start * 1000) for start, _ in heard]
    for number in range(1, len(starts)):  # of speech that is much too short, many words begin at once
        starts[number] = max(starts[number], starts[number - 1] + 1)
    for number, place in enumerate(reversed(range(len(starts)))):
        starts[place] = max(0, min(starts[place], last - 1 - number))
    rooms = [*starts[1:], last]
    shown = []
    for start, (_, end), room in zip(starts, heard, rooms, strict=True):
        wanted = max(round((end + LINGER) * 1000), start + round(SHORTEST * 1000))
        shown.append((start, min(wanted, room)))
    return shown
