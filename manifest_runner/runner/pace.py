"""How long the service takes to render, learned from tasks that ended; and how often to look, from that. No I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations
from statistics import median

from manifest_runner.models import Mode

KEPT = 32  # finished tasks a mode is judged by: enough to be robust, recent enough to follow the service
REFIT_AFTER = 8  # new ones, once there are as many
USUAL_SECONDS = 30.0  # of sound, where a task's length is not known

UNLEARNED = 1 / 20  # of the age of the oldest task
RELAXED = 1 / 20  # of the time that rendering takes
WANTED = 1 / 40  # of the same, while jobs wait for slots: an idle slot is money
SPARE = 0.9  # of the shortest time ever seen: before that, nothing is expected to have ended
SOONEST = 1 / 6  # of the usual interval: no sooner than that, however many ends are expected
ENOUGH = 3  # ended tasks: fewer say nothing of how alike they are


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Bounds of the seconds between two looks."""

    shortest: float = 1.0
    longest: float = 15.0

    def bounded(self, seconds: float) -> float:
        return min(self.longest, max(self.shortest, seconds))


@dataclass(frozen=True, slots=True)
class Size:
    """What the time of rendering depends on. `seconds` of sound; None where they are not known."""

    mode: Mode = Mode.STD
    seconds: float | None = None

    @classmethod
    def of(cls, mode: Mode, seconds: Decimal | None) -> Size:
        return cls(mode, None if seconds is None else float(seconds))


@dataclass(slots=True)
class _Lesson:
    """Of one mode: time = fixed + factor * seconds of sound, by medians, so that outliers don't bend it."""

    seen: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))  # (seconds, took)
    fixed: float = 0.0
    factor: float = 0.0
    least: float = 1.0  # the smallest part of its expected time that a task took
    late: float = 0.0  # seconds beyond the expected time by which three of four had ended
    new: int = 0

    def add(self, seconds: float, took: float) -> None:
        self.seen.append((seconds, took))
        self.new += 1
        if self.new >= REFIT_AFTER or len(self.seen) < REFIT_AFTER:
            self._fit()

    def _fit(self) -> None:
        self.new = 0
        slopes = [
            (took - other_took) / (seconds - other)
            for (seconds, took), (other, other_took) in combinations(self.seen, 2)
            if abs(seconds - other) > 0.5
        ]
        self.factor = max(0.0, median(slopes)) if slopes else 0.0
        self.fixed = max(0.0, median(took - self.factor * seconds for seconds, took in self.seen))
        self.least = min((took / (self.expected(seconds) or 1.0) for seconds, took in self.seen), default=1.0)
        beyond = sorted(took - self.expected(seconds) for seconds, took in self.seen)
        self.late = max(0.0, beyond[len(beyond) * 3 // 4])

    def expected(self, seconds: float) -> float:
        return self.fixed + self.factor * seconds


class RenderTimes:
    """What finished tasks taught, by mode."""

    def __init__(self) -> None:
        self._lessons: dict[Mode, _Lesson] = {}

    def learn(self, size: Size, took: float) -> None:
        """A task of this size ended after so many seconds."""
        seconds = USUAL_SECONDS if size.seconds is None else size.seconds
        self._lessons.setdefault(size.mode, _Lesson()).add(seconds, max(0.0, took))

    def expected(self, size: Size) -> float | None:
        """Seconds from create to end; None before a task of that mode has ended."""
        lesson = self._lessons.get(size.mode)
        if lesson is None:
            return None
        return lesson.expected(USUAL_SECONDS if size.seconds is None else size.seconds)

    def earliest(self, size: Size) -> float:
        """Seconds in which no task of this size has ended yet, less a margin."""
        lesson, expected = self._lessons.get(size.mode), self.expected(size)
        if lesson is None or expected is None or len(lesson.seen) < ENOUGH:
            return 0.0
        return expected * min(1.0, lesson.least) * SPARE

    def likely(self, size: Size) -> float | None:
        """Seconds after which a task of this size has most likely ended; None while that can't be said."""
        lesson, expected = self._lessons.get(size.mode), self.expected(size)
        return expected + lesson.late if lesson and expected and len(lesson.seen) >= ENOUGH else None

    def interval(self, pace: Pace, under_way: list[tuple[Size, float]], *, wanted: bool) -> float:
        """Seconds until the next look at tasks of these sizes and ages. `wanted`: jobs wait for their slots.

        While none of them can have ended, there is nothing to look for; where jobs wait, and one will most likely have
        ended soon, the look comes just then: once for each, so that it costs a call a job at the most.
        """
        expected = [self.expected(size) for size, _ in under_way]
        known = [time for time in expected if time is not None]
        if len(known) < len(expected):
            oldest = max(age for _, age in under_way)
            return pace.bounded(oldest * UNLEARNED)
        usual = median(known) * (WANTED if wanted else RELAXED)
        if wanted:
            left = [likely - age for size, age in under_way if (likely := self.likely(size)) is not None]
            soonest = min((seconds for seconds in left if seconds > 0), default=usual)
            usual = min(usual, max(soonest, usual * SOONEST))
        none_before = min(self.earliest(size) - age for size, age in under_way)
        return pace.bounded(max(usual, none_before))


class Stretch:
    """How much longer than usual the looks may be apart, because the ends of tasks are told by callbacks."""

    MOST = 16.0
    GRACE = 3.0  # seconds in which a callback may still be on its way

    def __init__(self) -> None:
        self.factor = 1.0
        self._hinted = 0  # ends learned since the last look
        self._last_hint: float | None = None

    def hint(self, now: float) -> None:
        self._last_hint = now

    def ended_by_hint(self) -> None:
        self._hinted += 1

    def looked(self) -> None:
        """One look at the list is over: callbacks that told of ends since the one before earn a longer wait."""
        if self._hinted:
            self.factor = min(self.MOST, self.factor * 2)
        self._hinted = 0

    def missed(self, now: float, late: float | None) -> None:
        """The list told of an end that no callback had told of, `late` seconds after it came about (None: unknown).

        Where no callback at all has come lately, less patience is due.
        """
        silent = self._last_hint is None or now - self._last_hint > self.GRACE
        if late is None or late > (self.GRACE / 4 if silent else self.GRACE):
            self.factor = 1.0
