"""One job of the ledger as one line of the report: pure, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from manifest_runner.ledger import AttemptRecord, JobRecord
from manifest_runner.models import JobState, Mode, ServiceStatus, Units

NOTHING = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobLine:
    """What the report says of one job. The single times and the task are those of its newest attempt."""

    external_task_id: str
    outcome: JobState
    service_status: ServiceStatus | None
    message: str | None
    listed: bool  # whether the manifest named it at the last run
    line: int | None  # where the manifest has it
    changed: tuple[str, ...]  # the fields in which the manifest's row is no longer what was sent
    attempts: int
    task_id: str | None
    mode: Mode
    units_estimated: Units | None
    units_known: Units  # the sum of every figure that the service gave for this job
    units_deducted: (
        Units | None
    )  # the figures that there are; None: no task has ended yet, or none gave a figure
    units_unknown: bool  # a task ended and the service gave no figure for it: it is not in the sum
    units_held: Units  # what a budget sets aside for a call or task of it that is, or may be, at the service
    units_speech: Units | None  # what the text cost that was spoken for this job; None: no figure came
    fitted: Mapping[str, str]  # what was done to its media so that the service takes them
    file: str | None  # relative to the campaign's output folder, where the report lies too
    watermark_file: str | None
    captions_file: str | None
    sha256: str | None
    bytes: int | None
    video_seconds: Decimal | None
    queued_at: datetime
    submitted_at: datetime | None
    ended_at: datetime | None
    fetched_at: datetime | None
    tags: tuple[str, ...]
    vars: Mapping[str, str]


def line_of(record: JobRecord, units_speech: Units | None = NOTHING) -> JobLine:
    """`units_speech` is what the texts cost that were first made for this job: shared ones count once."""
    newest = record.attempt
    figures = [attempt.units_deducted for attempt in record.attempts if _task_ended(attempt)]
    known = sum((figure for figure in figures if figure is not None), Decimal(0))
    unknown = None in figures
    return JobLine(
        external_task_id=record.external_task_id,
        outcome=record.state,
        service_status=newest.service_status if newest else None,
        message=_message(record),
        listed=record.listed,
        line=record.line,
        changed=record.changed,
        attempts=len(record.attempts),
        task_id=newest.task_id if newest else None,
        mode=record.mode,
        units_estimated=record.units_estimated,
        units_known=known,
        units_deducted=known if _something_is_known(record, figures) else None,
        units_unknown=unknown,
        units_held=sum((one.units_reserved for one in record.attempts if _is_held(one, record)), NOTHING),
        units_speech=units_speech,
        fitted=newest.fitted if newest else {},
        file=record.file,
        watermark_file=record.watermark_file,
        captions_file=record.captions_file,
        sha256=record.sha256,
        bytes=record.bytes,
        video_seconds=newest.video_seconds if newest else None,
        queued_at=record.queued_at,
        submitted_at=newest.intent_at if newest else None,
        ended_at=newest.ended_at if newest else None,
        fetched_at=record.fetched_at,
        tags=record.tags,
        vars=record.vars,
    )


def _task_ended(attempt: AttemptRecord) -> bool:
    return attempt.task_id is not None and attempt.ended_at is not None


def _is_held(attempt: AttemptRecord, record: JobRecord) -> bool:
    """Whether the service has it, or may have: then its worst case counts."""
    if attempt.units_deducted is not None:
        return False
    if record.state is JobState.PENDING:  # given up without a refusal
        return attempt is record.attempt and attempt.code is None
    return record.state.in_flight and attempt is record.attempts[-1]


def _something_is_known(record: JobRecord, figures: Sequence[Units | None]) -> bool:
    """Whether there is any figure. A refused create made no task: that is a known 0."""
    return any(figure is not None for figure in figures) or (
        not figures and record.state is JobState.REJECTED
    )


def _stale(changed: Sequence[str]) -> str:
    return f"made before {', '.join(changed)} changed in the manifest"


def _message(record: JobRecord) -> str | None:
    """What helps a person: the service's reason for a failure, else why the job stands where it is."""
    if record.state is JobState.DONE:
        return _stale(record.changed) if record.changed else None
    if record.state is JobState.FAILED and record.attempt and record.attempt.service_message:
        return record.attempt.service_message
    return record.why
