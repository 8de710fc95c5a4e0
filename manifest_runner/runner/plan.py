"""What a run would do: manifest + ledger -> one planned step for each job. Pure: reads no file, asks nobody."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from manifest_runner.ledger import AttemptRecord, JobRecord
from manifest_runner.media import Estimate, JobMedia, estimate, estimate_spoken
from manifest_runner.models import Job, JobState, Rates, ServiceStatus, differing, utc_now

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


UNDER_WAY = (Action.RESOLVE, Action.WATCH, Action.FETCH, Action.RESTORE)


class Retry(StrEnum):
    """What a person may ask to be sent again, each as a new attempt that is paid anew."""

    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One job's part of the plan.

    `job` is None for a job that the ledger has under way though the manifest no longer names it: what was sent is
    still brought home. `record` is None for a job that the ledger has never seen. `paid` is the earlier attempt that
    the row went back to; `here`: its video lies where it belongs.
    """

    external_task_id: str
    action: Action
    why: str
    output: str
    job: Job | None = None
    media: JobMedia | None = None
    record: JobRecord | None = None
    estimate: Estimate | None = None
    changed: tuple[str, ...] = ()  # the fields that differ from what was sent
    paid: AttemptRecord | None = None
    here: bool = False

    @property
    def attempt(self) -> AttemptRecord | None:
        """The attempt that the step is about."""
        return self.paid or (self.record.attempt if self.record else None)


def make_plan(
    jobs: Sequence[Job],
    media: Mapping[str, JobMedia],
    records: Mapping[str, JobRecord],
    *,
    missing_files: Collection[str] = (),
    altered_files: Collection[str] = (),
    retry: Collection[Retry] = (),
    retry_ids: Collection[str] = (),
    rates: Rates,
    now: datetime | None = None,
) -> list[Step]:
    """The steps in the order a run takes them: what is already paid first, then the longest first.

    `records` are all jobs of the campaign in the ledger; `missing_files` are the ids of done jobs whose video is
    no longer where it was put, `altered_files` of those where another file lies in its place.
    `retry` are the kinds that are sent again; with `retry_ids`, those of these jobs only.
    """
    steps = [
        _step(
            job,
            media.get(job.external_task_id),
            records.get(job.external_task_id),
            missing=job.external_task_id in missing_files,
            altered=job.external_task_id in altered_files,
            retry=retry if not retry_ids or job.external_task_id in retry_ids else (),
            rates=rates,
            now=now or utc_now(),
        )
        for job in jobs
    ]
    named = {job.external_task_id for job in jobs}
    steps += [_orphan(record) for key, record in records.items() if key not in named and _open(record)]
    return sorted(steps, key=_turn)


def _step(
    job: Job,
    facts: JobMedia | None,
    record: JobRecord | None,
    *,
    missing: bool,
    altered: bool,
    retry: Collection[Retry],
    rates: Rates,
    now: datetime,
) -> Step:
    changed = changed_fields(facts, record.attempt) if record else ()
    paid = _paid_already(record, facts) if record and changed else None
    here = bool(paid and record and record.file and record.last_made is paid and not missing and not altered)
    if paid:
        action, why = _decide_paid(paid, here=here, retry=retry, now=now)
    else:
        since_sent = changed if record and record.state is not JobState.PENDING else ()
        action, why = _decide(record, since_sent, missing=missing, retry=retry, now=now)
    if action is Action.SKIP and record:
        action, why = _decide_skipped(job, record, altered=altered)
    costs = _costs(job, facts, rates) if action in (Action.SEND, Action.RESOLVE) else None
    refetched = record is not None and record.state is JobState.DONE and action is Action.FETCH
    return Step(
        external_task_id=job.external_task_id,
        action=action,
        why=why,
        output=record.output if record and refetched else job.output,
        job=job,
        media=facts,
        record=record,
        estimate=costs,
        changed=changed if record and record.state is not JobState.PENDING else (),
        paid=paid if action is Action.RESTORE else None,
        here=here,
    )


def _paid_already(record: JobRecord, facts: JobMedia | None) -> AttemptRecord | None:
    """An earlier attempt that succeeded and was paid for exactly what the row asks for now, if the job has any."""
    if facts is None or record.state.in_flight or record.state in (JobState.RENDERED, JobState.CONFLICT):
        return None
    parts = dict(facts.fingerprint_parts)
    return next(
        (
            one
            for one in reversed(record.attempts)
            if one.service_status is ServiceStatus.SUCCEED and dict(one.fingerprint_parts) == parts
        ),
        None,
    )


def _decide_paid(
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


def _decide_skipped(job: Job, record: JobRecord, *, altered: bool) -> tuple[Action, str]:
    if altered:
        return (
            Action.HOLD,
            f"done, but {record.file} is no longer the file that was fetched: take it away and run again to fetch the "
            "video once more, unpaid",
        )
    if job.output != record.output:
        return Action.SKIP, f"done; its output is now {job.output}, but the video stays at {record.file}"
    return Action.SKIP, "done"


def _costs(job: Job, facts: JobMedia | None, rates: Rates) -> Estimate:
    if job.speech is not None:
        return estimate_spoken(job.mode, job.speech, rates=rates)
    return estimate(job.mode, facts.seconds if facts else None, speech=False, rates=rates)


def _decide(  # noqa: PLR0911 - one return a state is the clearest table
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
            return Action.FETCH, f"rendered and paid; the video is not here yet{_edited(changed)}"
        case JobState.DONE:
            return _decide_done(record, changed, missing=missing, retry=retry)
        case JobState.REJECTED if changed:
            return Action.SEND, f"the service refused it; {_list(changed)} changed since, so it is sent again"
        case JobState.EXPIRED if Retry.EXPIRED not in retry and _may_be_there(record, now):
            return Action.FETCH, f"{record.why}; asked for once more, which costs nothing"
        case JobState.CONFLICT:
            return (
                Action.HOLD,
                f"{record.why or 'the id is taken in the account'} If that task is yours, `adopt` takes it up; "
                "else give the job another id.",
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


def changed_fields(facts: JobMedia | None, sent: AttemptRecord | None) -> tuple[str, ...]:
    """Which of the paid fields differ between the row and what was sent. Empty when either is unknown."""
    if facts is None or sent is None:
        return ()
    return differing(facts.fingerprint_parts, sent.fingerprint_parts)


def _orphan(record: JobRecord) -> Step:
    if record.state is JobState.PENDING:
        action, why = Action.RESOLVE, "an earlier call may have arrived late: the service is asked once more"
    else:
        action, why = _decide(record, (), missing=False, retry=(), now=utc_now())
    return Step(
        external_task_id=record.external_task_id,
        action=action,
        why=f"{why}; the manifest no longer names it",
        output=record.output,
        record=record,
    )


def _open(record: JobRecord) -> bool:
    """Whether something of it is at the service, or may be: what no refusal has settled may still have arrived."""
    attempt = record.attempt
    late = record.state is JobState.PENDING and attempt is not None and attempt.code is None
    return late or record.state.in_flight or record.state is JobState.RENDERED


_TURN = {
    Action.FETCH: 0,  # paid, and the service deletes it one day
    Action.RESTORE: 0,
    Action.WATCH: 1,
    Action.RESOLVE: 2,
    Action.SEND: 3,
    Action.HOLD: 4,
    Action.SKIP: 5,
}


def _turn(step: Step) -> tuple[int, Decimal]:
    """Among fetches the result that the service deletes soonest; among what is sent the longest, so that no long job
    is left alone at the end. The sort is stable."""
    if step.action in (Action.FETCH, Action.RESTORE):
        ended = step.attempt.ended_at if step.attempt else None
        return _TURN[step.action], Decimal(ended.timestamp()) if ended else Decimal(0)
    longest_first = -step.estimate.high if step.estimate else Decimal(0)
    return _TURN[step.action], longest_first


def _task_id(record: JobRecord) -> str:
    return (record.attempt.task_id if record.attempt else None) or "unknown"


def _edited(changed: Sequence[str]) -> str:
    return f" ({_list(changed)} changed since it was sent)" if changed else ""


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
