"""`--log-json`: what happens in a run as events for machines, one JSON object a line.

Every event has `v`, `event` and `at`. Beside them:

- `run_started`: `campaign`, `service`; `jobs`, `by_state`; `units`: `budget` and `to_spend`, what this run means to.
- `progress`: `jobs`, `by_state`; `slots`: `used`, `limit`, `ceiling`; `units`: of all runs of the campaign, `budget`,
  `spent`, `held`, and `expected` to be spent in the end; of this run, `video_seconds`, `bytes_received`,
  `service_calls`, `callbacks` (`taken`, `refused`; null where nobody listens); `seconds_left`, null while unknown.
- `run_ended`: `exit_code`, `reason`; the same as `progress` without `slots` and `seconds_left`. `units` of a run that
  ended before it asked the service are those of `run_started`.
- `job`: `seq`, `external_task_id`, `attempt_id`, `task_id`, `from`, `to`, `code`, `request_id`; `units_deducted` where
  a task ended, `video_seconds` where a video is here.
- `slots_limit`: `seq`, `limit`, `used`, `why`.

The transitions are tailed from the ledger's own tables, so each is told once, in order, and only when it is durable.
Nothing in the words of a person or of the service is passed on: no URL, no prompt, no message; `explain` and
report.json have those. The lines are written by a thread of their own, so that a reader who is slow, or gone, and a
disk that is full keep no video waiting.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from heapq import merge
from operator import itemgetter
from typing import Any, TextIO

from manifest_runner.errors import LedgerError
from manifest_runner.ledger.limits import LimitRecord
from manifest_runner.ledger.standing import CHUNK, Move
from manifest_runner.models import JobState, units_text, utc_now, utc_text
from manifest_runner.runner.meter import ENDS, Figures, Meter
from manifest_runner.runner.pen import Pen

VERSION = 1
LOOK_SECONDS = 0.5
PROGRESS_SECONDS = 10.0
PATIENCE_SECONDS = 10.0  # with a reader who takes nothing, when the run has ended
WITH_TASK = (JobState.RUNNING, JobState.RENDERED, JobState.DONE, JobState.FAILED, JobState.EXPIRED)
REASONS = {
    0: "done",
    1: "bug",
    2: "wrong_input",
    3: "jobs_not_done",
    4: "needs_person",
    5: "budget",
    6: "ledger_busy",
    130: "interrupted",
}
"""What `run_ended` calls each exit code."""


class JsonLog:
    """`run()` beside the run until cancelled; `finish()` at the end. Its meter is its own.

    `out` stays open: whoever opened it closes it.
    """

    def __init__(
        self,
        meter: Meter,
        out: TextIO,
        *,
        service: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meter = meter
        self._service = service
        self._clock = clock
        self._progress_at = clock() + PROGRESS_SECONDS
        self._pen = Pen(out, what="The events of --log-json")
        self._pen.write(_lines([self._started(self._meter.figures())]))

    async def run(self) -> None:
        """Tell what happens until cancelled, or until nobody reads any more."""
        while not self._pen.broken:
            moves = self._tell_news()
            await self._pen.written()
            if len(moves) < CHUNK:
                await asyncio.sleep(LOOK_SECONDS)

    def finish(self, exit_code: int) -> None:
        """Tell the rest, and how the run ended. Once; the ledger must still be open."""
        with suppress(
            LedgerError
        ):  # one that can't be read any more was told of; how the run ended is told all the same
            while not self._pen.broken and len(self._tell_news()) == CHUNK:
                self._pen.wait(PATIENCE_SECONDS)
        self._pen.write(_lines([_ended(self._meter.figures(), exit_code)]))
        self._pen.close(PATIENCE_SECONDS)

    def _tell_news(self) -> Sequence[Move]:
        """What the ledger has added, and the figures when they are due."""
        moves, limits = self._meter.catch_up(), self._meter.new_limits()
        # Each in its own order, whatever the clock did; times of this form sort as text.
        events = list(merge(map(_move_value, moves), map(_limit_value, limits), key=itemgetter("at")))
        if self._clock() >= self._progress_at:
            self._progress_at = self._clock() + PROGRESS_SECONDS
            events.append(_event("progress", utc_text(utc_now()), **_progress_value(self._meter.figures())))
        if events:
            self._pen.write(_lines(events))
        return moves

    def _started(self, figures: Figures) -> dict[str, Any]:
        return _event(
            "run_started",
            utc_text(utc_now()),
            campaign=self._meter.campaign,
            service=self._service,
            **_jobs_value(figures),
            units=_units_value(figures),
        )


def _ended(figures: Figures, exit_code: int) -> dict[str, Any]:
    return _event(
        "run_ended",
        utc_text(utc_now()),
        exit_code=exit_code,
        reason=REASONS.get(exit_code, "unknown"),
        **_jobs_value(figures),
        units=_units_value(figures),
        **_done_value(figures),
    )


def _event(name: str, at: str, **values: Any) -> dict[str, Any]:
    return {"v": VERSION, "event": name, "at": at, **values}


def _move_value(move: Move) -> dict[str, Any]:
    """What an attempt cost, and how long its video is, stand in one line each, so that they can be added up."""
    ended = move.from_state is JobState.RUNNING and move.to_state in ENDS
    return _event(
        "job",
        utc_text(move.at),
        seq=move.seq,
        external_task_id=move.external_task_id,
        attempt_id=move.attempt_id,
        task_id=move.task_id if move.to_state in WITH_TASK else None,
        **{"from": move.from_state.value if move.from_state else None},
        to=move.to_state.value,
        code=move.code,
        request_id=move.request_id,
        units_deducted=_decimal(move.units_deducted) if ended else None,
        video_seconds=_decimal(move.video_seconds) if move.to_state is JobState.DONE else None,
    )


def _limit_value(limit: LimitRecord) -> dict[str, Any]:
    return _event(
        "slots_limit", utc_text(limit.at), seq=limit.seq, limit=limit.limit, used=limit.used, why=limit.why
    )


def _progress_value(figures: Figures) -> dict[str, Any]:
    left = figures.seconds_left
    return {
        **_jobs_value(figures),
        "slots": {"used": figures.slots_used, "limit": figures.slots_limit, "ceiling": figures.slots_ceiling},
        "units": _units_value(figures),
        **_done_value(figures),
        "seconds_left": round(left) if left is not None else None,
    }


def _jobs_value(figures: Figures) -> dict[str, Any]:
    return {
        "jobs": figures.jobs,
        "by_state": {state.value: jobs for state, jobs in figures.by_state.items() if jobs},
    }


def _units_value(figures: Figures) -> dict[str, Any]:
    """Before the run has a budget to ask, what it means to spend; then, of all runs, what is spent."""
    budget = _decimal(figures.units_limit)
    if figures.units_spent is None:
        return {"budget": budget, "to_spend": units_text(figures.units_expected)}
    return {
        "budget": budget,
        "spent": units_text(figures.units_spent),
        "held": units_text(figures.units_held),
        "expected": units_text(figures.units_expected),
    }


def _done_value(figures: Figures) -> dict[str, Any]:
    """What this run has done."""
    taken, refused = figures.callbacks_taken, figures.callbacks_refused
    return {
        "video_seconds": units_text(figures.video_seconds),
        "bytes_received": figures.bytes_received,
        "service_calls": figures.service_calls,
        "callbacks": {"taken": taken, "refused": refused} if taken is not None else None,
    }


def _decimal(value: Decimal | None) -> str | None:
    return units_text(value) if value is not None else None


def _lines(events: Sequence[dict[str, Any]]) -> bytes:
    """Plain ASCII: half a character of a hostile id can't be written otherwise."""
    return "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events).encode("ascii")
