"""How fast work is done, measured over the last minutes. Pure but for the clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

WINDOW_SECONDS = (
    300.0  # long against one task, short against what changes the speed: a lower limit, a slow hour
)
LEAST_ENDS = 20  # further back than the window where so few tasks have ended in it
BUCKET_SECONDS = 1.0


@dataclass(slots=True)
class _Bucket:
    """What ended within a second."""

    begun: float
    ends: int
    work: Decimal


class Speed:
    """Memory is bounded by the window: what ended longer ago is forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()  # when what the buckets hold began to be worked on
        self._buckets: deque[_Bucket] = deque()
        self._ends = 0
        self._ends_ever = 0
        self._work = Decimal(0)

    def ended(self, work: Decimal) -> None:
        """A task ended that was so much work."""
        now = self._clock()
        if not self._buckets or now - self._buckets[-1].begun >= BUCKET_SECONDS:
            self._buckets.append(_Bucket(now, 0, Decimal(0)))
        newest = self._buckets[-1]
        newest.ends += 1
        newest.work += work
        self._ends += 1
        self._ends_ever += 1
        self._work += work
        self._forget(now)

    def per_second(self, *, at_least: int) -> float | None:
        """Work in a second; None before `at_least` tasks have ended (one of each slot: the first to end are the
        shortest, and while all of the first are under way nothing can have ended), or where none was any work."""
        now = self._clock()
        self._forget(now)
        seconds = now - self._since
        if not self._work or self._ends_ever < max(1, at_least) or seconds <= 0:
            return None
        return float(self._work) / seconds

    def _forget(self, now: float) -> None:
        while len(self._buckets) > 1:
            oldest = self._buckets[0]
            if now - oldest.begun <= WINDOW_SECONDS or self._ends - oldest.ends < LEAST_ENDS:
                return
            self._buckets.popleft()
            self._since = oldest.begun
            self._ends -= oldest.ends
            self._work -= oldest.work
