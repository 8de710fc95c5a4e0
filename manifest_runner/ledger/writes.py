"""What happens to a job, written to the ledger. Each function is one short transaction when run by the Writer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from manifest_runner.ledger import queries
from manifest_runner.ledger.columns import paid_columns, units_column
from manifest_runner.ledger.records import AttemptRecord
from manifest_runner.ledger.transitions import IllegalTransition, move, record_event
from manifest_runner.models import (
    Job,
    JobState,
    ServiceStatus,
    Units,
    attempt_id,
    units_text,
    utc_now,
    utc_text,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """What is about to be sent. `fingerprint` and its parts are of what is paid for."""

    job: Job
    fingerprint: str
    fingerprint_parts: Mapping[str, str]
    settle_seconds: float
    units_estimated: Units | None  # likely cost with its speech; None while the length is unknown
    units_reserved: Units
    clock_skew: timedelta | None = None  # service's clock minus ours, where it was measured
    key_id: str | None = None
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """The service has the task."""

    attempt_id: str
    task_id: str
    status: ServiceStatus
    request_id: str | None
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """The service says that the task ended."""

    attempt_id: str
    status: ServiceStatus
    message: str | None
    video_seconds: Decimal | None
    units_deducted: Units | None
    request_id: str | None
    ended_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """The video is on disk. File names are relative to the campaign's output folder."""

    attempt_id: str
    file: str
    watermark_file: str | None
    sha256: str
    bytes: int
    video_seconds: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class AdoptedTask:
    """A task of the account that becomes one of a job's attempts. `created_at` None: the service does not say."""

    attempt_id: str
    number: int
    task_id: str
    status: ServiceStatus
    message: str | None
    units_deducted: Units | None
    created_at: datetime | None
    ended_at: datetime | None
    request_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """A person says that these tasks, in the order of their numbers, are this job's."""

    job: Job
    fingerprint: str
    fingerprint_parts: Mapping[str, str]
    units_reserved: Units
    key_id: str | None
    tasks: Sequence[AdoptedTask]


def intend(connection: sqlite3.Connection, intent: Intent) -> AttemptRecord:
    """Commit that a create call for this job is about to leave. Must be durable before it does.

    From `pending` it is the same attempt again, with the same id (or the first one); from an ended state it is
    the next attempt with an id of its own. The first intent's time and clock skew stay: they say what can be ours.
    """
    job = intent.job
    key = job.external_task_id
    now = utc_text(utc_now())
    attempts = queries.attempts_of(connection, key)
    row = connection.execute("SELECT state FROM jobs WHERE external_task_id = ?", (key,)).fetchone()
    again = attempts and row is not None and JobState(row["state"]) is JobState.PENDING
    number = attempts[-1].number if again else queries.next_attempt_number(connection, key)
    identity = attempt_id(key, number)
    move(connection, key, JobState.SUBMITTING, intent.why, attempt_id=identity)
    connection.execute(
        "INSERT INTO attempts (attempt_id, external_task_id, number, fingerprint, fingerprint_parts, intent_at,"
        " sent_at, posts, settle_seconds, units_reserved, key_id, clock_skew)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)"
        " ON CONFLICT (external_task_id, number) DO UPDATE SET fingerprint = excluded.fingerprint,"
        " fingerprint_parts = excluded.fingerprint_parts, sent_at = excluded.sent_at, posts = posts + 1,"
        " settle_seconds = max(settle_seconds, excluded.settle_seconds), units_reserved = excluded.units_reserved,"
        " key_id = excluded.key_id",
        (
            identity,
            key,
            number,
            intent.fingerprint,
            json.dumps(dict(intent.fingerprint_parts), sort_keys=True),
            now,
            now,
            intent.settle_seconds,
            units_text(intent.units_reserved),
            intent.key_id,
            intent.clock_skew.total_seconds() if intent.clock_skew is not None else None,
        ),
    )
    connection.execute(
        "UPDATE jobs SET mode = ?, watermark = ?, output = ?, units_estimated = ?, changed = '[]', file = NULL,"
        " watermark_file = NULL, sha256 = NULL, bytes = NULL, fetched_at = NULL WHERE external_task_id = ?",
        (*paid_columns(job), job.output, units_column(intent.units_estimated), key),
    )
    return _attempt(connection, identity)


def accepted(connection: sqlite3.Connection, acceptance: Acceptance) -> AttemptRecord:
    """submitting -> running: the create was answered, or its task was found under its id.

    pending -> running: a task of ours that two look-ups had missed was found before anything was sent again.
    """
    attempt = _attempt(connection, acceptance.attempt_id)
    move(
        connection,
        attempt.external_task_id,
        JobState.RUNNING,
        acceptance.why,
        attempt_id=attempt.attempt_id,
        request_id=acceptance.request_id,
    )
    connection.execute(
        "UPDATE attempts SET task_id = ?, accepted_at = ?, service_status = ?, request_id = ?, code = NULL"
        " WHERE attempt_id = ?",
        (
            acceptance.task_id,
            utc_text(utc_now()),
            acceptance.status,
            acceptance.request_id,
            attempt.attempt_id,
        ),
    )
    return _attempt(connection, attempt.attempt_id)


def adopted(connection: sqlite3.Connection, adoption: Adoption) -> None:
    """pending or conflict -> running: the account has the job's task, and a person says that it is ours.

    Earlier attempts are recorded with what they came to; the newest is watched from now on, also when it has ended.
    """
    job, newest = adoption.job, adoption.tasks[-1]
    for task in adoption.tasks:
        sent = utc_text(task.created_at or utc_now())
        connection.execute(
            "INSERT OR REPLACE INTO attempts (attempt_id, external_task_id, number, fingerprint, fingerprint_parts,"
            " intent_at, sent_at, posts, settle_seconds, units_reserved, key_id, task_id, accepted_at, service_status,"
            " service_message, request_id, ended_at, units_deducted)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                task.attempt_id,
                job.external_task_id,
                task.number,
                adoption.fingerprint,
                json.dumps(dict(adoption.fingerprint_parts), sort_keys=True),
                sent,
                sent,
                units_text(adoption.units_reserved),
                adoption.key_id,
                task.task_id,
                sent,
                task.status,
                task.message,
                task.request_id,
                utc_text(task.ended_at) if task.ended_at and task is not newest else None,
                units_column(task.units_deducted) if task is not newest else None,
            ),
        )
    why = f"adopted by a person: task {newest.task_id}, {newest.status}"
    move(connection, job.external_task_id, JobState.RUNNING, why, attempt_id=newest.attempt_id)


def not_created(
    connection: sqlite3.Connection,
    identity: str,
    to: JobState,
    why: str,
    *,
    code: int | None = None,
    request_id: str | None = None,
) -> None:
    """submitting -> pending (to be sent again), rejected (refused for good) or conflict (the id is somebody else's)."""
    attempt = _attempt(connection, identity)
    move(
        connection,
        attempt.external_task_id,
        to,
        why,
        attempt_id=identity,
        code=code,
        request_id=request_id,
    )
    connection.execute(
        "UPDATE attempts SET code = ?, request_id = ?, service_message = ? WHERE attempt_id = ?",
        (code, request_id, why, identity),
    )


def foreign_id(connection: sqlite3.Connection, external_task_id: str, why: str) -> None:
    """pending -> conflict: the account had this id before anything was sent.

    A job that has ended stays what it is: only the id of its next attempt is taken.
    """
    row = connection.execute(
        "SELECT state FROM jobs WHERE external_task_id = ?", (external_task_id,)
    ).fetchone()
    if row is None or JobState(row["state"]) is JobState.PENDING:
        move(connection, external_task_id, JobState.CONFLICT, why)
    else:
        note(connection, external_task_id, why)


def note(connection: sqlite3.Connection, external_task_id: str, why: str, code: int | None = None) -> None:
    """Say something of a job that stays where it is."""
    row = connection.execute(
        "SELECT state FROM jobs WHERE external_task_id = ?", (external_task_id,)
    ).fetchone()
    state = JobState(row["state"])
    connection.execute("UPDATE jobs SET why = ? WHERE external_task_id = ?", (why, external_task_id))
    record_event(connection, external_task_id, state, state, why, code=code)


def status_seen(
    connection: sqlite3.Connection, identity: str, status: ServiceStatus, message: str | None
) -> None:
    """The service's own status of a running task, kept beside our state."""
    connection.execute(
        "UPDATE attempts SET service_status = ?, service_message = ? WHERE attempt_id = ?",
        (status, message, identity),
    )


def ended(connection: sqlite3.Connection, ending: Ending) -> None:
    """running -> rendered or failed, with what it cost."""
    succeeded = ending.status is ServiceStatus.SUCCEED
    attempt = _attempt(connection, ending.attempt_id)
    move(
        connection,
        attempt.external_task_id,
        JobState.RENDERED if succeeded else JobState.FAILED,
        "the service says succeed"
        if succeeded
        else f"the service says failed: {ending.message or 'no reason given'}",
        attempt_id=ending.attempt_id,
        request_id=ending.request_id,
    )
    connection.execute(
        "UPDATE attempts SET service_status = ?, service_message = ?, ended_at = ?, video_seconds = ?,"
        " units_deducted = ? WHERE attempt_id = ?",
        (
            ending.status,
            ending.message,
            utc_text(ending.ended_at),
            str(ending.video_seconds) if ending.video_seconds is not None else None,
            units_column(ending.units_deducted),
            ending.attempt_id,
        ),
    )


def kept(connection: sqlite3.Connection, keeping: Keeping) -> None:
    """rendered -> done: the video is on disk, verified. From done or expired: fetched after all, or once more."""
    attempt = _attempt(connection, keeping.attempt_id)
    move(
        connection,
        attempt.external_task_id,
        JobState.DONE,
        f"the video is at {keeping.file}",
        attempt_id=keeping.attempt_id,
    )
    connection.execute(
        "UPDATE jobs SET file = ?, watermark_file = ?, sha256 = ?, bytes = ?, fetched_at = ?"
        " WHERE external_task_id = ?",
        (
            keeping.file,
            keeping.watermark_file,
            keeping.sha256,
            keeping.bytes,
            utc_text(utc_now()),
            attempt.external_task_id,
        ),
    )
    connection.execute(
        "UPDATE attempts SET video_seconds = ? WHERE attempt_id = ?",
        (str(keeping.video_seconds), keeping.attempt_id),
    )


def expired(connection: sqlite3.Connection, identity: str, why: str) -> None:
    """rendered -> expired: it was paid for, and the service no longer has it."""
    attempt = _attempt(connection, identity)
    move(connection, attempt.external_task_id, JobState.EXPIRED, why, attempt_id=identity)


def _attempt(connection: sqlite3.Connection, identity: str) -> AttemptRecord:
    row = connection.execute("SELECT * FROM attempts WHERE attempt_id = ?", (identity,)).fetchone()
    if row is None:
        raise IllegalTransition(f"The ledger has no attempt {identity!r}.")
    return AttemptRecord.from_row(row)
