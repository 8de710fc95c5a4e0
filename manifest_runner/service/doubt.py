"""What the outcome of a create call proves. The functions that stand between a job and a second bill.

A second POST is allowed only where it is certain that the first made nothing. Certain means: no connection was
made, or the service itself said no, in its own envelope, with an HTTP status and a code that say "refused".
Everything else may have made a paid task, and is in doubt until the id has been looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from manifest_runner.errors import GarbledReply, RequestPhase, ServiceError, ServiceRefused, TransportFault
from manifest_runner.service.codes import CODES
from manifest_runner.service.replies import Task

MAY_EXIST_ALREADY = 1201
_WORDS_OF_DUPLICATES = ("exist", "duplicat", "unique", "already", "已存在", "重复")
_REFUSALS = frozenset(code for code in CODES if 1000 <= code < 1400)  # 5000 on: troubles, not decisions
_TOLERANCE_MEASURED = timedelta(seconds=5)  # Date headers count whole seconds, and gateways have clocks too
_TOLERANCE_UNMEASURED = timedelta(minutes=2)


class Verdict(Enum):
    """What is known of the service's side after a create call."""

    CREATED = "created"
    NOT_CREATED = "not_created"
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and, in words, what it rests on."""

    verdict: Verdict
    why: str


def is_turned_away(refusal: ServiceRefused) -> bool:
    """Whether the service itself decided against the request: by a documented code, and by HTTP as well."""
    return refusal.code in _REFUSALS and 400 <= refusal.http_status < 500


def proves_nothing_made(error: ServiceError) -> bool:
    """Whether a paid call that ended like this surely made nothing and cost nothing. The one rule for that.

    It speaks of this one call. What an earlier call under the same id has made is `judge_create`'s to consider.
    """
    if isinstance(error, TransportFault):
        return error.phase is RequestPhase.NOT_SENT
    return isinstance(error, ServiceRefused) and is_turned_away(error)


def judge_create(outcome: Task | ServiceError) -> Judgement:
    """What this outcome of a create call proves."""
    match outcome:
        case Task():
            return Judgement(Verdict.CREATED, f"the service answered with task {outcome.task_id}")
        case TransportFault() if proves_nothing_made(outcome):
            return Judgement(Verdict.NOT_CREATED, "no connection was made, so the service can't have seen it")
        case TransportFault():
            return Judgement(Verdict.IN_DOUBT, "the request may have arrived, and its answer was lost")
        case ServiceRefused():
            return _judge_refusal(outcome)
        case GarbledReply():
            return Judgement(
                Verdict.IN_DOUBT,
                f"the answer (HTTP {outcome.http_status}) is not one the service itself gives",
            )
        case _:
            return Judgement(Verdict.IN_DOUBT, "the call broke in a way that proves nothing")


def speaks_of_a_duplicate(refusal: ServiceRefused) -> bool:
    """Whether the service's own words say that the id is taken, and not that some parameter is wrong."""
    said = (refusal.said or "").casefold()
    return any(word in said for word in _WORDS_OF_DUPLICATES)


def _judge_refusal(refusal: ServiceRefused) -> Judgement:
    named = f"code {refusal.code} with HTTP {refusal.http_status}"
    if not proves_nothing_made(refusal):
        return Judgement(Verdict.IN_DOUBT, f"{named} is no documented way of turning a request away")
    if refusal.code == MAY_EXIST_ALREADY:
        return Judgement(Verdict.IN_DOUBT, f"{named} may mean that a task with this id exists already")
    return Judgement(Verdict.NOT_CREATED, f"the service refused it with {named}")


def is_ours(
    task_created_at: datetime | None, first_intent_at: datetime, clock_skew: timedelta | None
) -> bool:
    """Whether a task found under our id can be our own doing: made no earlier than our first intent for that id.

    `task_created_at` is by the service's clock, `first_intent_at` by ours, `clock_skew` is service minus ours
    (None where it was never measured). A task that doesn't say when it was made is not taken for ours.
    """
    if task_created_at is None:
        return False
    skew = clock_skew if clock_skew is not None else timedelta(0)
    tolerance = _TOLERANCE_MEASURED if clock_skew is not None else _TOLERANCE_UNMEASURED
    return task_created_at >= first_intent_at + skew - tolerance
