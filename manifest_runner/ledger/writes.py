"""What happens to a job, written to the ledger. Each function is one short transaction when run by the Writer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from manifest_runner.ledger import queries
from manifest_runner.ledger.columns import now_text, paid_columns, units_column
from manifest_runner.ledger.records import ATTEMPT_COLUMNS, AttemptRecord
from manifest_runner.ledger.stands import Newest, attempt_of, newest_of, stand_of
from manifest_runner.ledger.transitions import IllegalTransition, move, record_event, state_of
from manifest_runner.models import (
    Job,
    JobState,
    ServiceStatus,
    Units,
    attempt_id,
    differing,
    units_text,
    utc_text,
)

_json = json.JSONEncoder(sort_keys=True).encode  # made once: `json.dumps` makes one for each call
_OF_A_VIDEO = ("file", "watermark_file", "captions_file", "sha256", "bytes", "fetched_at")


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
    fitted: Mapping[str, str] = field(default_factory=dict)  # what was done to its media, by the field's name
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """The service has the task."""

    attempt_id: str
    task_id: str
    status: ServiceStatus
    request_id: str | None
    why: str
    found: bool = False  # under its id, and not the answer to the newest POST
    changed: tuple[
        str, ...
    ] = ()  # the paid fields in which the manifest's row differs from what it was made from


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


def intend(connection: sqlite3.Connection, intent: Intent) -> AttemptRecord:
    """Commit that a create call for this job is about to leave. Must be durable before it does.

    From `pending` it is the same attempt again, with the same id (or the first one); from an ended state it is
    the next attempt with an id of its own. The first intent's time and clock skew stay: they say what can be ours.
    """
    job = intent.job
    key = job.external_task_id
    now = now_text()
    newest = newest_of(connection, key)
    parts = _json(dict(intent.fingerprint_parts))
    number, earlier = newest.number or 1, None
    if newest.state is JobState.PENDING:
        earlier = _earlier_parts(newest, parts)
    elif newest.number is not None:
        number = queries.next_attempt_number(connection, key)
    identity = attempt_id(key, number)
    mode, watermark = paid_columns(job)
    move(
        connection,
        key,
        JobState.SUBMITTING,
        intent.why,
        attempt_id=identity,
        stands=newest.state,
        at=now,
        columns={
            "mode": mode,
            "watermark": watermark,
            "output": job.output,
            "units_estimated": units_column(intent.units_estimated),
            "changed": "[]",
            "current": identity,
        },
    )
    row = connection.execute(
        _INTEND,
        (
            identity,
            key,
            number,
            intent.fingerprint,
            parts,
            now,
            now,
            intent.settle_seconds,
            units_text(intent.units_reserved),
            intent.key_id,
            intent.clock_skew.total_seconds() if intent.clock_skew is not None else None,
            earlier,
            _json(dict(intent.fitted)) if intent.fitted else "{}",
        ),
    ).fetchone()
    return AttemptRecord.from_row(row)


_INTEND = (
    "INSERT INTO attempts (attempt_id, external_task_id, number, fingerprint, fingerprint_parts, intent_at,"  # noqa: S608 names of columns
    " sent_at, posts, settle_seconds, units_reserved, key_id, clock_skew, earlier_parts, fitted)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (external_task_id, number) DO UPDATE SET fingerprint = excluded.fingerprint,"
    " fingerprint_parts = excluded.fingerprint_parts, sent_at = excluded.sent_at, posts = posts + 1,"
    " settle_seconds = max(settle_seconds, excluded.settle_seconds), units_reserved = excluded.units_reserved,"
    " key_id = excluded.key_id, earlier_parts = excluded.earlier_parts, fitted = excluded.fitted"
    f" RETURNING {ATTEMPT_COLUMNS}"
)


def _earlier_parts(attempt: Newest, parts: str) -> str | None:
    """What an earlier POST under this id asked for, when it was something else and may still turn out to have arrived.

    A refusal leaves a code, and proves that nothing did.
    """
    if attempt.earlier_parts is not None:
        return attempt.earlier_parts
    return attempt.fingerprint_parts if attempt.fingerprint_parts != parts and attempt.code is None else None


def accepted(connection: sqlite3.Connection, acceptance: Acceptance) -> AttemptRecord:
    """submitting -> running: the create was answered, or its task was found under its id.

    pending -> running: a task of ours that two look-ups had missed was found before anything was sent again.
    """
    identity = acceptance.attempt_id
    now = now_text()
    stand = stand_of(connection, identity)
    changed, parts = acceptance.changed, stand.fingerprint_parts
    why = acceptance.why
    if acceptance.found and stand.earlier_parts is not None:
        # Made from the row as it was, or as it is now: taken for the old one, a person is made to look.
        parts = stand.earlier_parts
        changed = differing(json.loads(parts), json.loads(stand.fingerprint_parts))
        why += f"; whether before or after {', '.join(changed)} changed in its row can't be known: look at the video"
    move(
        connection,
        stand.external_task_id,
        JobState.RUNNING,
        why,
        attempt_id=identity,
        request_id=acceptance.request_id,
        stands=stand.state,
        at=now,
        columns=_of_a_new_video(identity, changed),
    )
    row = connection.execute(
        _ACCEPT,
        (acceptance.task_id, now, acceptance.status, acceptance.request_id, parts, identity),
    ).fetchone()
    return AttemptRecord.from_row(row)


_ACCEPT = (
    "UPDATE attempts SET task_id = ?, accepted_at = ?, service_status = ?, request_id = ?, code = NULL,"  # noqa: S608 names of columns
    " fingerprint_parts = ?, earlier_parts = NULL WHERE attempt_id = ?"
    f" RETURNING {ATTEMPT_COLUMNS}"
)


def _of_a_new_video(identity: str, changed: Sequence[str]) -> dict[str, object]:
    """The columns of a job that speaks of this attempt now, and of no earlier video."""
    return {
        "current": identity,
        "changed": _json(list(changed)) if changed else "[]",
        **dict.fromkeys(_OF_A_VIDEO),
    }


def a_new_video_comes(connection: sqlite3.Connection, attempt: AttemptRecord) -> None:
    """The job speaks of this attempt now, and of no earlier video."""
    columns = _of_a_new_video(attempt.attempt_id, ())
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(
        f"UPDATE jobs SET {names} WHERE external_task_id = ?",  # noqa: S608 names of columns, written above
        (*columns.values(), attempt.external_task_id),
    )


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
    attempt = attempt_of(connection, identity)
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
    state = state_of(connection, external_task_id)
    connection.execute("UPDATE jobs SET why = ? WHERE external_task_id = ?", (why, external_task_id))
    record_event(connection, external_task_id, state, state, why, code=code)


def status_seen(
    connection: sqlite3.Connection, identity: str, status: ServiceStatus, message: str | None
) -> None:
    """The service's own status of a running task, kept beside our state. Of one that has ended it is told too late."""
    connection.execute(
        "UPDATE attempts SET service_status = ?, service_message = ? WHERE attempt_id = ? AND ended_at IS NULL",
        (status, message, identity),
    )


def ended(connection: sqlite3.Connection, ending: Ending) -> None:
    """running -> rendered or failed, with what it cost. What is told late, or once more, changes nothing."""
    succeeded = ending.status is ServiceStatus.SUCCEED
    stand = stand_of(connection, ending.attempt_id)
    if stand.state is not JobState.RUNNING or not stand.is_current(connection):
        raise IllegalTransition(f"No ending of {ending.attempt_id!r} is awaited.")
    move(
        connection,
        stand.external_task_id,
        JobState.RENDERED if succeeded else JobState.FAILED,
        "the service says succeed"
        if succeeded
        else f"the service says failed: {ending.message or 'no reason given'}",
        attempt_id=ending.attempt_id,
        request_id=ending.request_id,
        stands=stand.state,
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
