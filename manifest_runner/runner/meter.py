"""How far a run has come, in figures: counted once at its beginning, then kept up with what the ledger adds.

A look costs what has happened since the last one, however large the campaign is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from manifest_runner.ledger import Ledger
from manifest_runner.ledger.limits import LimitRecord, limits_after
from manifest_runner.ledger.standing import CHUNK, Move, moves_after, standing
from manifest_runner.models import JobState, Units
from manifest_runner.runner.gauges import Gauges
from manifest_runner.runner.speed import Speed

NOT_MADE = (JobState.FAILED, JobState.REJECTED, JobState.CONFLICT, JobState.EXPIRED)
ENDS = (JobState.RENDERED, JobState.FAILED)  # of a task that was running
NOTHING = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """One moment of a run. Jobs are those that the manifest names; units are the campaign's, of all its runs."""

    by_state: Counter[JobState]
    slots_used: int
    slots_limit: int | None  # None until the run has slots
    slots_ceiling: int | None
    units_spent: Units | None  # or may be, where no figure came; None until the run has a budget to ask
    units_held: Units  # for what is under way, or about to be sent
    units_limit: Units | None  # the budget
    units_expected: Units  # what is spent when the run has done all it means to
    video_seconds: Decimal  # of the videos that this run has fetched
    seconds_expected: Decimal | None
    bytes_received: int
    service_calls: int
    callbacks_taken: int | None  # None where nobody listens
    callbacks_refused: int | None
    seconds_left: float | None  # None: nothing tells yet

    @property
    def jobs(self) -> int:
        return self.by_state.total()

    @property
    def done(self) -> int:
        return self.by_state[JobState.DONE]

    @property
    def not_made(self) -> int:
        """Ended without a video."""
        return sum(self.by_state[state] for state in NOT_MADE)

    @property
    def at_service(self) -> int:
        return self.by_state[JobState.SUBMITTING] + self.by_state[JobState.RUNNING]

    @property
    def to_fetch(self) -> int:
        return self.by_state[JobState.RENDERED]


class Meter:
    """Made when the manifest's rows are in the ledger and nothing has been sent yet.

    `expected_units` and `expected_seconds` are of what this run means to send.
    """

    def __init__(
        self,
        ledger: Ledger,
        campaign: str,
        gauges: Gauges,
        *,
        expected_units: Units,
        expected_seconds: Decimal | None = None,
        budget: Units | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.campaign = campaign
        self._ledger = ledger
        self._gauges = gauges
        self._expected_units = expected_units
        self._expected_seconds = expected_seconds
        self._budget = budget
        start = ledger.read(standing, campaign)
        self._by_state = Counter(start.by_state)
        self._limit_seq = start.limit  # what was written before is of other runs
        self._seq = start.event
        self._sent: set[str] = set()  # by this run, and not ended: no more than there are slots
        self._video_seconds = NOTHING
        self._work_left = expected_units
        self._speed = Speed(clock)

    def catch_up(self) -> Sequence[Move]:
        """Read what the ledger has added, a part at a time; empty when there is no more."""
        moves = self._ledger.read(moves_after, self.campaign, self._seq)
        for move in moves:
            self._count(move)
        if moves:
            self._seq = moves[-1].seq
        return moves

    def new_limits(self) -> list[LimitRecord]:
        """The limits of slots that this run has written since they were last asked for."""
        limits = list(self._ledger.read(limits_after, self.campaign, self._limit_seq))
        if limits:
            self._limit_seq = limits[-1].seq
        return limits

    def look(self) -> Figures:
        """Where the run stands now."""
        while len(self.catch_up()) == CHUNK:
            pass
        return self.figures()

    def figures(self) -> Figures:
        """Where the run stands as far as it was caught up with."""
        slots, budget, arrivals = self._gauges.slots, self._gauges.budget, self._gauges.arrivals
        return Figures(
            by_state=Counter(self._by_state),
            slots_used=slots.used if slots else 0,
            slots_limit=slots.limit if slots else None,
            slots_ceiling=slots.ceiling if slots else None,
            units_spent=budget.spent if budget else None,
            units_held=budget.committed - budget.spent if budget else NOTHING,
            units_limit=self._budget,
            units_expected=self._expected_units
            + (budget.spent_before + budget.carried if budget else NOTHING),
            video_seconds=self._video_seconds,
            seconds_expected=self._expected_seconds,
            bytes_received=self._gauges.bytes_received,
            service_calls=self._gauges.service_calls,
            callbacks_taken=arrivals.taken if arrivals else None,
            callbacks_refused=arrivals.refused.total() if arrivals else None,
            seconds_left=self._seconds_left(slots.used if slots else 0),
        )

    def _count(self, move: Move) -> None:
        if move.listed and move.from_state is not move.to_state:
            if move.from_state is not None:
                self._by_state[move.from_state] -= 1
            self._by_state[move.to_state] += 1
        if move.to_state is JobState.SUBMITTING:
            self._sent.add(move.external_task_id)
        elif move.from_state is JobState.RUNNING and move.to_state in ENDS:
            self._speed.ended(_work_of(move))
            self._no_longer_to_do(move)
        elif move.to_state in (JobState.REJECTED, JobState.CONFLICT):
            self._no_longer_to_do(move)
        if move.from_state is JobState.RENDERED and move.to_state is JobState.DONE:
            self._video_seconds += move.video_seconds or NOTHING

    def _no_longer_to_do(self, move: Move) -> None:
        """Tasks that an earlier run left were not among what this one expected."""
        if move.external_task_id in self._sent:
            self._sent.discard(move.external_task_id)
            self._work_left = max(NOTHING, self._work_left - _work_of(move))

    def _seconds_left(self, slots_used: int) -> float | None:
        if not self._work_left or (per_second := self._speed.per_second(at_least=slots_used)) is None:
            return None
        return float(self._work_left) / per_second


def _work_of(move: Move) -> Units:
    """How much of the run's work a task was, in the units that it was expected to cost: known before and after, of
    failures too, and alike for a job that is waiting and one that has ended."""
    return move.units_estimated if move.units_estimated is not None else move.units_reserved or NOTHING
