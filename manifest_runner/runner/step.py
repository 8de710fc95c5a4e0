"""One job's part of a plan: from its row, its media and its record to what a run does with it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from manifest_runner.ledger import AttemptRecord, JobRecord
from manifest_runner.media import Estimate, JobMedia, estimate, estimate_spoken
from manifest_runner.models import Job, JobState, Rates, ServiceStatus
from manifest_runner.runner.decide import (
    Action,
    Retry,
    changed_fields,
    decide,
    decide_paid,
    decide_skipped,
    paid_already,
)
from manifest_runner.runner.pace import Size


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One job's part of the plan.

    `job` is None for a job that the ledger has under way though the manifest no longer names it: what was sent is
    still brought home. `record` is None for a job that the ledger had never seen. `paid` is the earlier attempt that
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

    @property
    def size(self) -> Size:
        """What is known of how long its task may take."""
        mode = self.job.mode if self.job else self.record.mode if self.record else None
        return Size() if mode is None else Size.of(mode, self.media.seconds if self.media else None)

    @property
    def may_have_arrived(self) -> bool:
        """Whether an earlier run gave a call up that no refusal has settled: the service is asked before it is sent."""
        return self.record is not None and may_have_arrived(self.record)


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a plan is made under: prices, its moment, and what a person has asked to be sent again.

    `retry` are the kinds that are sent again; with `retry_ids`, those of these jobs only.
    """

    rates: Rates
    now: datetime
    retry: Collection[Retry] = ()
    retry_ids: Collection[str] = ()

    def retry_of(self, external_task_id: str) -> Collection[Retry]:
        return self.retry if not self.retry_ids or external_task_id in self.retry_ids else ()


def step_of(
    job: Job,
    facts: JobMedia | None,
    record: JobRecord | None,
    terms: Terms,
    *,
    missing: bool = False,
    altered: bool = False,
) -> Step:
    """What is done with one row of the manifest.

    `missing`: the job is done and its video is no longer where it was put; `altered`: another file lies in its place.
    """
    retry = terms.retry_of(job.external_task_id)
    changed = changed_fields(facts, record.attempt) if record else ()
    paid = paid_already(record, facts) if record and changed else None
    here = bool(paid and record and _is_its_file(paid, record) and not missing and not altered)
    if paid:
        action, why = decide_paid(paid, here=here, retry=retry, now=terms.now)
    else:
        action, why = decide(
            record, _since_sent(changed, record), missing=missing, retry=retry, now=terms.now
        )
    if action is Action.SKIP and record:
        action, why = decide_skipped(job, record, altered=altered)
    refetched = record is not None and record.state is JobState.DONE and action is Action.FETCH
    return Step(
        external_task_id=job.external_task_id,
        action=action,
        why=why,
        output=record.output if record and refetched else job.output,
        job=job,
        media=facts,
        record=record,
        estimate=costs_of(job, facts, terms.rates) if action.costs else None,
        changed=_since_sent(changed, record),
        paid=paid if action is Action.RESTORE else None,
        here=here,
    )


def orphan_of(record: JobRecord, now: datetime) -> Step:
    """What is done with a job that is under way though the manifest no longer names it."""
    if record.state is JobState.PENDING:
        action, why = Action.RESOLVE, "an earlier call may have arrived late: the service is asked once more"
    else:
        action, why = decide(record, (), missing=False, retry=(), now=now)
    return Step(
        external_task_id=record.external_task_id,
        action=action,
        why=f"{why}; the manifest no longer names it",
        output=record.output,
        record=record,
    )


def is_open(record: JobRecord) -> bool:
    """Whether something of it is at the service, or may be: what no refusal has settled may still have arrived."""
    return may_have_arrived(record) or record.state.in_flight or record.state is JobState.RENDERED


def may_have_arrived(record: JobRecord) -> bool:
    """Whether a call of it was given up that no refusal has settled."""
    attempt = record.attempt
    return record.state is JobState.PENDING and attempt is not None and attempt.code is None


def costs_of(job: Job, facts: JobMedia | None, rates: Rates) -> Estimate:
    """What its create call, and its text-to-speech call, will probably cost."""
    if job.speech is not None:
        return estimate_spoken(job.mode, job.speech, rates=rates)
    seconds, sure = (facts.seconds, facts.sure_seconds) if facts else (None, None)
    likely = estimate(job.mode, seconds, speech=False, rates=rates)
    if sure == seconds:
        return likely
    return replace(likely, high=estimate(job.mode, sure, speech=False, rates=rates).high)


def _since_sent(changed: Sequence[str], record: JobRecord | None) -> tuple[str, ...]:
    """A row that was not accepted yet has not changed: it is sent as it is now."""
    return tuple(changed) if record is not None and record.state is not JobState.PENDING else ()


def _is_its_file(attempt: AttemptRecord, record: JobRecord) -> bool:
    """Whether the job's file is surely of this attempt: no other one ever came to a video."""
    made = [one.attempt_id for one in record.attempts if one.service_status is ServiceStatus.SUCCEED]
    return record.file is not None and made == [attempt.attempt_id]
