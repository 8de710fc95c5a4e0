"""The manifest's rows on their way into the ledger, and those it no longer names on their way out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from manifest_runner.ledger.columns import free_columns, paid_columns, units_column
from manifest_runner.ledger.transitions import record_event
from manifest_runner.ledger.writes import foreign_id
from manifest_runner.models import Job, JobState, Units, utc_now, utc_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolment:
    """A row of the manifest on its way into the ledger."""

    job: Job
    position: int
    units_estimated: Units | None
    changed: tuple[str, ...] = ()  # the paid fields that differ from what was sent


def enrol(connection: sqlite3.Connection, campaign: str, enrolments: Iterable[Enrolment]) -> None:
    """Make the manifest's rows known. A row that was sent keeps what was sent; the rest follows the manifest."""
    for entry in enrolments:
        job = entry.job
        row = connection.execute(
            "SELECT state FROM jobs WHERE external_task_id = ?", (job.external_task_id,)
        ).fetchone()
        if row is None:
            _enrol_new(connection, campaign, entry)
            continue
        connection.execute(
            "UPDATE jobs SET campaign = ?, position = ?, listed = 1, line = ?, changed = ?, tags = ?, vars = ?"
            " WHERE external_task_id = ?",
            (
                campaign,
                entry.position,
                job.location.line,
                json.dumps(entry.changed),
                *free_columns(job),
                job.external_task_id,
            ),
        )
        state = JobState(row["state"])
        if state is not JobState.DONE:
            connection.execute(
                "UPDATE jobs SET output = ? WHERE external_task_id = ?", (job.output, job.external_task_id)
            )
        if state is JobState.PENDING:
            connection.execute(
                "UPDATE jobs SET mode = ?, watermark = ?, units_estimated = ? WHERE external_task_id = ?",
                (*paid_columns(job), units_column(entry.units_estimated), job.external_task_id),
            )


def _enrol_new(connection: sqlite3.Connection, campaign: str, entry: Enrolment) -> None:
    job = entry.job
    connection.execute(
        "INSERT INTO jobs (external_task_id, campaign, position, line, state, mode, watermark, output, tags, vars,"
        " units_estimated, queued_at) VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?)",
        (
            job.external_task_id,
            campaign,
            entry.position,
            job.location.line,
            *paid_columns(job),
            job.output,
            *free_columns(job),
            units_column(entry.units_estimated),
            utc_text(utc_now()),
        ),
    )
    record_event(connection, job.external_task_id, None, JobState.PENDING, "read from the manifest")
    holder = connection.execute(
        "SELECT external_task_id FROM attempts WHERE attempt_id = ?", (job.external_task_id,)
    ).fetchone()
    if holder is not None:
        # Looking this id up at the service would show the other job's task, and its video would pass for this one.
        foreign_id(
            connection,
            job.external_task_id,
            f"a later attempt of job {holder['external_task_id']!r} already has this id: give the job another",
        )


def withdraw(connection: sqlite3.Connection, campaign: str, named: frozenset[str]) -> None:
    """Take the jobs off the list that the manifest no longer names; forget those for which nothing was ever sent."""
    rows = connection.execute(
        "SELECT external_task_id FROM jobs WHERE campaign = ? AND listed = 1", (campaign,)
    )
    unlisted = [(row["external_task_id"],) for row in rows if row["external_task_id"] not in named]
    connection.executemany(
        "UPDATE jobs SET listed = 0, line = NULL, changed = '[]' WHERE external_task_id = ?", unlisted
    )
    rows = connection.execute(
        "SELECT external_task_id FROM jobs WHERE campaign = ? AND state = 'pending'"
        " AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.external_task_id = jobs.external_task_id)",
        (campaign,),
    )
    gone = [(row["external_task_id"],) for row in rows if row["external_task_id"] not in named]
    connection.executemany("DELETE FROM jobs WHERE external_task_id = ?", gone)
