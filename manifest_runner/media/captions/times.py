"""When each part of a spoken text is heard: estimated from the letters, held fast at the recording's own pauses. Pure.

The parts share the time of speech by their weights. Where a sentence or a clause ends, a pause is likely; a dynamic
programme looks for the assignment of pauses to such ends under which the voice keeps the steadiest pace. Ends that
have no pause of their own stay where the weights put them between their neighbours.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product

from manifest_runner.media.captions.pauses import Sound
from manifest_runner.media.captions.text import Ending, Part

LOOK_BACK = 8  # ends, and pauses, that may lie without a partner between two pairs
STEADINESS = 0.15  # how much the pace of a stretch differs from the whole's, as a rule
SLACK = 0.12  # seconds by which the shortest stretch differs
LONE_END = {Ending.SENTENCE: 4.0, Ending.CLAUSE: 0.8}  # the price of an end without a pause
LONE_SECOND = 6.0  # the price of a pause without an end, for each second of it, up to
LONE_MOST = 3.6
SENTENCE_PAUSE = 0.3  # seconds; a shorter one at the end of a sentence costs something as well


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when a part is heard, in seconds of the video."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place in the text or in the sound. `at`: in seconds of speech before it; `price` is paid if it stays alone."""

    at: float
    price: float
    ending: Ending = Ending.WORD
    seconds: float = 0.0


_START = _Mark(0, 0)
_Pair = tuple[int, int]  # the number of an end and the number of a pause


def time_parts(parts: Sequence[Part], sound: Sound) -> list[Span]:
    """A span for each part: in order, without overlap, between the sound's first and last word. At least one part."""
    clock = _SpeechClock(sound)
    reached = [0.0, *accumulate(part.weight for part in parts)]
    pace = clock.total / reached[-1]
    ends = [number for number, part in enumerate(parts[:-1], 1) if part.ending >= Ending.CLAUSE]
    marks = [
        _Mark(reached[number] * pace, LONE_END[parts[number - 1].ending], parts[number - 1].ending)
        for number in ends
    ]
    anchors = {0: 0.0, len(parts): clock.total}
    for mark, pause in match(marks, clock.marks(), clock.total):
        anchors[ends[mark]] = clock.before[pause]
    places = _between(reached, anchors)
    spans = ((clock.time_after(start), clock.time_before(end)) for start, end in pairwise(places))
    return [Span(start, max(start, end)) for start, end in spans]


class _SpeechClock:
    """Time that passes only while somebody speaks. `before`: what it shows at each pause."""

    def __init__(self, sound: Sound) -> None:
        self._pauses = sound.pauses
        self._begins, self._ends = (sound.begins, sound.ends) if sound.ends else (0.0, sound.seconds)
        silent = [0.0, *accumulate(pause.seconds for pause in sound.pauses)]
        self._silent = silent
        self.before = [
            pause.start - self._begins - gone for pause, gone in zip(sound.pauses, silent[:-1], strict=True)
        ]
        self.total = max(0.0, self._ends - self._begins - silent[-1])

    def marks(self) -> list[_Mark]:
        return [
            _Mark(at, min(LONE_MOST, LONE_SECOND * pause.seconds), seconds=pause.seconds)
            for at, pause in zip(self.before, self._pauses, strict=True)
        ]

    def time_before(self, shown: float) -> float:
        """The moment at which the clock shows this first; a pause there has not begun."""
        return min(self._ends, self._begins + shown + self._silent[bisect_left(self.before, shown)])

    def time_after(self, shown: float) -> float:
        """The moment at which the clock goes on from there; a pause there is over."""
        return min(self._ends, self._begins + shown + self._silent[bisect_right(self.before, shown)])


def match(ends: Sequence[_Mark], pauses: Sequence[_Mark], total: float) -> list[tuple[int, int]]:
    """Pairs of an end and a pause, by their indices, both rising. `total`: seconds of speech.

    Each pair costs what the pace has to change since the pair before it; what stays alone has its price.
    """
    table = _Table([_START, *ends, _Mark(total, 0)], [_START, *pauses, _Mark(total, 0)])
    for row in range(1, len(ends) + 1):
        for column in range(1, len(pauses) + 1):
            near = product(
                range(max(1, row - LOOK_BACK), row),
                range(max(1, column - LOOK_BACK), column),
            )
            table.fill((row, column), [(0, 0), *near])
    finish = (len(ends) + 1, len(pauses) + 1)
    table.fill(finish, list(table.cost))
    return [(row - 1, column - 1) for row, column in table.way_to(finish)]


class _Table:
    """The cheapest way to each pair. The first and last of the marks are the start and the end of the speech."""

    def __init__(self, ends: list[_Mark], pauses: list[_Mark]) -> None:
        self._ends, self._pauses = ends, pauses
        self._alone_ends = list(accumulate(mark.price for mark in ends))
        self._alone_pauses = list(accumulate(mark.price for mark in pauses))
        self.cost: dict[_Pair, float] = {(0, 0): 0.0}
        self._origin: dict[_Pair, _Pair] = {}

    def fill(self, pair: _Pair, earlier: list[_Pair]) -> None:
        """Find the cheapest way to a pair through one of the earlier pairs."""
        cost, self._origin[pair] = min(
            (self.cost[before] + self._step(before, pair), before) for before in earlier
        )
        self.cost[pair] = cost + _short(self._ends[pair[0]], self._pauses[pair[1]])

    def way_to(self, pair: _Pair) -> list[_Pair]:
        """The pairs on the way, without its start and its end."""
        way: list[_Pair] = []
        while (pair := self._origin[pair]) != (0, 0):
            way.append(pair)
        return way[::-1]

    def _step(self, before: _Pair, pair: _Pair) -> float:
        """The square of how far the pace in between is from the whole's, in what is usual, and what stays alone."""
        expected = self._ends[pair[0]].at - self._ends[before[0]].at
        heard = self._pauses[pair[1]].at - self._pauses[before[1]].at
        usual = STEADINESS * max(expected, heard) + SLACK
        alone = self._alone_ends[pair[0] - 1] - self._alone_ends[before[0]]
        alone += self._alone_pauses[pair[1] - 1] - self._alone_pauses[before[1]]
        change: float = ((expected - heard) / usual) ** 2
        return change + alone


def _short(end: _Mark, pause: _Mark) -> float:
    if end.ending is not Ending.SENTENCE:
        return 0.0
    return LONE_SECOND * max(0.0, SENTENCE_PAUSE - pause.seconds)


def _between(reached: Sequence[float], anchors: dict[int, float]) -> list[float]:
    """The speech clock at each border of the parts: given at the anchors, and by the weights between them."""
    places = [0.0] * len(reached)
    known = sorted(anchors)
    for left, right in pairwise(known):
        weight = reached[right] - reached[left]
        for number in range(left, right):
            share = (reached[number] - reached[left]) / weight
            places[number] = min(anchors[right], anchors[left] + share * (anchors[right] - anchors[left]))
    places[known[-1]] = anchors[known[-1]]
    return places
