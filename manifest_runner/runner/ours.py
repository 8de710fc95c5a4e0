"""Whether a task that the service has under one of our ids is our own doing. Pure."""

from __future__ import annotations

from datetime import timedelta

from manifest_runner.ledger import AttemptRecord
from manifest_runner.service import Task, is_ours


def made_by(attempt: AttemptRecord, task: Task, skew_now: timedelta | None) -> bool:
    """Whether this attempt made the task.

    The clocks are compared as they were when the intent was written: this computer's may have been set right since,
    or the laptop carried on. `skew_now` stands in where nothing was measured then (older ledgers).
    """
    skew = attempt.clock_skew if attempt.clock_skew is not None else skew_now
    return is_ours(task.created_at, attempt.intent_at, skew)
