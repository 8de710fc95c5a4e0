"""What happens to one job, from its row and its record: the whole table. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from manifest_runner.ledger import AttemptRecord, JobRecord
from manifest_runner.media import JobMedia
from manifest_runner.models import Job, JobState, ServiceStatus, differing

RESULT_LIFE = timedelta(days=30)


class Action(StrEnum):
    """What a run does with a job."""

    SEND = "send"  # a create call: this is what costs
    RESOLVE = "resolve"  # a create call's answer was lost: ask the service before anything else
    WATCH = "watch"  # the service is at it
    FETCH = "fetch"  # rendered and paid: bring it home
    RESTORE = "restore"  # its row went back to what an earlier attempt was paid for
    SKIP = "skip"  # done
    HOLD = "hold"  # nothing happens until a person says so

    @property
    def costs(self) -> bool:
        """Whether a create call may be made for it."""
        return self in (Action.SEND, Action.RESOLVE)


UNDER_WAY = (Action.RESOLVE, Action.WATCH, Action.FETCH, Action.RESTORE)


class Retry(StrEnum):
    """What a person may ask to be sent again, each as a new attempt that is paid anew."""

    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CHANGED = "changed"


def changed_fields(facts: JobMedia | None, sent: AttemptRecord | None) -> tuple[str, ...]:
    """Which of the paid fields differ between the row and what was sent. Empty when either is unknown."""
    if facts is None or sent is None:
        return ()
    return differing(facts.fingerprint_parts, sent.fingerprint_parts)


def paid_already(record: JobRecord, facts: JobMedia | None) -> AttemptRecord | None:
    """An earlier attempt that succeeded and was paid for exactly what the row asks for now, if the job has any."""
    if facts is None or record.state.in_flight or record.state in (JobState.RENDERED, JobState.CONFLICT):
        return None
    parts = dict(facts.fingerprint_parts)
    return next(
        (
            one
            for one in reversed(record.attempts)
            if _succeeded(one) and dict(one.fingerprint_parts) == parts
        ),
        None,
    )


def _succeeded(attempt: AttemptRecord) -> bool:
    """Older versions let a status told late cover the last one: there, what ended and cost something succeeded."""
    if attempt.service_status in (ServiceStatus.SUCCEED, ServiceStatus.FAILED):
        return attempt.service_status is ServiceStatus.SUCCEED
    return attempt.ended_at is not None and attempt.units_deducted != 0


def decide_paid(
    paid: AttemptRecord, *, here: bool, retry: Collection[Retry], now: datetime
) -> tuple[Action, str]:
    """Never sent by itself: an edit that is taken back must not be paid like a new one."""
    again = f"its row is again what {paid.attempt_id} was made from, which is paid"
    if here:
        return Action.RESTORE, again
    if _kept_by_the_service(paid, now):
        return Action.RESTORE, f"{again}; fetched once more, unpaid"
    if Retry.EXPIRED in retry:
        return Action.SEND, f"{again}; the service has deleted the video; sent again as asked"
    return Action.HOLD, f"{again}; the service has deleted the video (`--retry expired` sends it again)"


def decide_skipped(job: Job, record: JobRecord, *, altered: bool) -> tuple[Action, str]:
    if altered:
        return (
            Action.HOLD,
            f"done, but {record.file} is no longer the file that was fetched: take it away and run again to fetch the "
            "video once more, unpaid",
        )
    if job.output != record.output:
        return Action.SKIP, f"done; its output is now {job.output}, but the video stays at {record.file}"
    return Action.SKIP, "done"


def decide(  # noqa: PLR0911 - one return a state is the clearest table
    record: JobRecord | None,
    changed: Sequence[str],
    *,
    missing: bool,
    retry: Collection[Retry],
    now: datetime,
) -> tuple[Action, str]:
    if record is None:
        return Action.SEND, "new"
    match record.state:
        case JobState.PENDING:
            return Action.SEND, record.why or "known, not sent yet"
        case JobState.SUBMITTING:
            return Action.RESOLVE, "a create call's answer is missing: the service is asked first"
        case JobState.RUNNING:
            return Action.WATCH, f"the service has it as task {_task_id(record)}{_edited(changed)}"
        case JobState.RENDERED:
            return (
                Action.FETCH,
                f"rendered and paid; the video is not here yet{_until(record)}{_edited(changed)}",
            )
        case JobState.DONE:
            return _decide_done(record, changed, missing=missing, retry=retry)
        case JobState.REJECTED if changed:
            return Action.SEND, f"the service refused it; {_list(changed)} changed since, so it is sent again"
        case JobState.EXPIRED if Retry.EXPIRED not in retry and _may_be_there(record, now):
            return Action.FETCH, f"{record.why}; asked for once more, which costs nothing"
        case JobState.CONFLICT:
            return (
                Action.HOLD,
                record.why
                or "the id is taken in the account: `adopt` takes its task up, or give the job another id",
            )
        case state:
            return _decide_ended(record, changed, Retry(state.value), retry)


def _decide_done(
    record: JobRecord, changed: Sequence[str], *, missing: bool, retry: Collection[Retry]
) -> tuple[Action, str]:
    if changed and Retry.CHANGED in retry:
        return Action.SEND, f"{_list(changed)} changed since it was sent; sent again as asked"
    if missing:
        return Action.FETCH, f"the video {record.file} is gone here; fetched again, not paid again"
    if changed:
        return (
            Action.HOLD,
            f"done, but {_list(changed)} changed since it was sent (`--retry changed` sends it)",
        )
    return Action.SKIP, "done"


def _decide_ended(
    record: JobRecord, changed: Sequence[str], kind: Retry, retry: Collection[Retry]
) -> tuple[Action, str]:
    reason = f"{record.why or record.state}{_edited(changed)}"
    if kind in retry:
        return Action.SEND, f"{reason}; sent again as asked"
    hint = "edit the row, or " if kind is Retry.REJECTED else ""
    return Action.HOLD, f"{reason} ({hint}`--retry {kind}` sends it again)"


def _may_be_there(record: JobRecord, now: datetime) -> bool:
    """Whether a result that was not there may still turn up: the service keeps them for 30 days."""
    return record.attempt is not None and _kept_by_the_service(record.attempt, now)


def _kept_by_the_service(attempt: AttemptRecord, now: datetime) -> bool:
    return attempt.ended_at is not None and now - attempt.ended_at < RESULT_LIFE


def _until(record: JobRecord) -> str:
    """How long the service keeps the result."""
    ended = record.attempt.ended_at if record.attempt else None
    return f", and the service deletes it on {ended + RESULT_LIFE:%Y-%m-%d}" if ended else ""


def _task_id(record: JobRecord) -> str:
    return (record.attempt.task_id if record.attempt else None) or "unknown"


def _edited(changed: Sequence[str]) -> str:
    return f" ({_list(changed)} changed since it was sent)" if changed else ""


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
