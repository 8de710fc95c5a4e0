"""What a run would do: manifest + ledger -> one planned step for each job. Pure: reads no file, asks nobody."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from manifest_runner.ledger import AttemptRecord, JobRecord
from manifest_runner.media import Estimate, JobMedia, estimate, estimate_spoken
from manifest_runner.models import Job, JobState, Rates, ServiceStatus, utc_now
from manifest_runner.runner.decide import (
    Action,
    Retry,
    changed_fields,
    decide,
    decide_paid,
    decide_skipped,
    paid_already,
)


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
    paid = paid_already(record, facts) if record and changed else None
    here = bool(paid and record and _is_its_file(paid, record) and not missing and not altered)
    if paid:
        action, why = decide_paid(paid, here=here, retry=retry, now=now)
    else:
        since_sent = changed if record and record.state is not JobState.PENDING else ()
        action, why = decide(record, since_sent, missing=missing, retry=retry, now=now)
    if action is Action.SKIP and record:
        action, why = decide_skipped(job, record, altered=altered)
    costs = _costs(job, facts, rates) if action.costs else None
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


def _is_its_file(attempt: AttemptRecord, record: JobRecord) -> bool:
    """Whether the job's file is surely of this attempt: no other one ever came to a video."""
    made = [one.attempt_id for one in record.attempts if one.service_status is ServiceStatus.SUCCEED]
    return record.file is not None and made == [attempt.attempt_id]


def _costs(job: Job, facts: JobMedia | None, rates: Rates) -> Estimate:
    if job.speech is not None:
        return estimate_spoken(job.mode, job.speech, rates=rates)
    likely = estimate(job.mode, facts.seconds if facts else None, speech=False, rates=rates)
    most = estimate(job.mode, facts.sure_seconds if facts else None, speech=False, rates=rates).high
    return replace(likely, high=most)


def _orphan(record: JobRecord) -> Step:
    if record.state is JobState.PENDING:
        action, why = Action.RESOLVE, "an earlier call may have arrived late: the service is asked once more"
    else:
        action, why = decide(record, (), missing=False, retry=(), now=utc_now())
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
