"""Tasks of the account taken up on a person's word."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from manifest_runner.ledger import speeches
from manifest_runner.ledger.columns import units_column
from manifest_runner.ledger.stands import attempt_of
from manifest_runner.ledger.transitions import IllegalTransition, move
from manifest_runner.ledger.writes import a_new_video_comes
from manifest_runner.models import Job, JobState, ServiceStatus, Units, units_text, utc_now, utc_text


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
    speech_key: str | None = None  # of the text that was spoken for them, when they have one
    speech_units: Units = Decimal(0)  # what that call is expected to have cost


def adopted(connection: sqlite3.Connection, adoption: Adoption) -> None:
    """-> running, from whatever is not under way: the account has the job's task, and a person says that it is ours.

    Earlier attempts are recorded with what they came to; the newest is watched from now on, also when it has ended.
    Raises IllegalTransition for an id that is another job's attempt here.
    """
    job, newest = adoption.job, adoption.tasks[-1]
    for task in adoption.tasks:
        sent = utc_text(task.created_at or utc_now())
        # Times are the service's own here: no skew between them and it.
        taken_up = connection.execute(
            "INSERT INTO attempts (attempt_id, external_task_id, number, fingerprint, fingerprint_parts, intent_at,"
            " clock_skew, sent_at, posts, settle_seconds, units_reserved, key_id, task_id, accepted_at,"
            " service_status, service_message, request_id, ended_at, units_deducted)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, ?, 1, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (attempt_id) DO UPDATE SET fingerprint = excluded.fingerprint,"
            " fingerprint_parts = excluded.fingerprint_parts, key_id = excluded.key_id, task_id = excluded.task_id,"
            " accepted_at = excluded.accepted_at, service_status = excluded.service_status,"
            " service_message = excluded.service_message, request_id = excluded.request_id, code = NULL,"
            " earlier_parts = NULL, ended_at = excluded.ended_at, units_deducted = excluded.units_deducted"
            " WHERE external_task_id = excluded.external_task_id AND task_id IS NULL",
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
        ).rowcount
        if not taken_up:
            raise IllegalTransition(
                f"The ledger knows {task.attempt_id!r} already, as an attempt with a task."
            )
    why = f"adopted by a person: task {newest.task_id}, {newest.status}"
    move(connection, job.external_task_id, JobState.RUNNING, why, attempt_id=newest.attempt_id)
    if adoption.speech_key is not None:
        speeches.made_elsewhere(
            connection,
            adoption.speech_key,
            external_task_id=job.external_task_id,
            units=adoption.speech_units,
        )
    a_new_video_comes(connection, attempt_of(connection, newest.attempt_id))
