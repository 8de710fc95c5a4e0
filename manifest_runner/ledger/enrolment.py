"""The manifest's rows on their way into the ledger, and those it no longer names on their way out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from manifest_runner.ledger.columns import free_columns, paid_columns, units_column
from manifest_runner.ledger.writes import foreign_id
from manifest_runner.models import Job, JobState, Units, utc_now, utc_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolment:
    """A row of the manifest on its way into the ledger."""

    job: Job
    position: int
    units_estimated: Units | None
    changed: tuple[str, ...] = ()  # the paid fields that differ from what was sent


def enrol(connection: sqlite3.Connection, campaign: str, enrolments: Sequence[Enrolment]) -> None:
    """Make the manifest's rows known. A row that was sent keeps what was sent; the rest follows the manifest.

    Of rows that are known already, only what differs is written.
    """
    known = _known(connection, [entry.job.external_task_id for entry in enrolments])
    new = [entry for entry in enrolments if entry.job.external_task_id not in known]
    _enrol_new(connection, campaign, new)
    changes: dict[str, list[tuple[Any, ...]]] = {}
    for entry in enrolments:
        if (row := known.get(entry.job.external_task_id)) is not None:
            for statement, there, wanted in _columns(campaign, entry, row):
                if there != wanted:
                    changes.setdefault(statement, []).append((*wanted, entry.job.external_task_id))
    for statement, values in changes.items():
        connection.executemany(statement, values)


def withdraw(connection: sqlite3.Connection, campaign: str, jobs: Collection[Job]) -> None:
    """Take the jobs off the list that are not the manifest's `jobs`; forget those for which nothing was ever sent.

    The names go through a table of this connection's own, so that memory does not grow with them.
    """
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS named (id TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.execute("DELETE FROM temp.named")
    connection.executemany(
        "INSERT OR IGNORE INTO temp.named VALUES (?)", ((job.external_task_id,) for job in jobs)
    )
    connection.execute(
        "UPDATE jobs SET listed = 0, line = NULL, changed = '[]' WHERE campaign = ? AND listed = 1"
        " AND NOT EXISTS (SELECT 1 FROM temp.named WHERE id = external_task_id)",
        (campaign,),
    )
    connection.execute(
        "DELETE FROM jobs WHERE campaign = ? AND state = 'pending'"
        " AND NOT EXISTS (SELECT 1 FROM temp.named WHERE id = external_task_id)"
        " AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.external_task_id = jobs.external_task_id)",
        (campaign,),
    )
    connection.execute("DELETE FROM temp.named")


_KNOWN = (
    "SELECT external_task_id, state, campaign, position, listed, line, changed, tags, vars, output, mode, watermark,"
    " units_estimated FROM jobs WHERE external_task_id IN (SELECT value FROM json_each(?))"
)
_FREE = (
    "UPDATE jobs SET campaign = ?, position = ?, listed = ?, line = ?, changed = ?, tags = ?, vars = ?"
    " WHERE external_task_id = ?"
)
_OUTPUT = "UPDATE jobs SET output = ? WHERE external_task_id = ?"
_PAID = "UPDATE jobs SET mode = ?, watermark = ?, units_estimated = ? WHERE external_task_id = ?"


def _known(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.row_factory = None  # plain tuples: they are compared
    return {row[0]: row[1:] for row in cursor.execute(_KNOWN, (json.dumps(ids),))}


def _columns(
    campaign: str, entry: Enrolment, row: tuple[Any, ...]
) -> Iterator[tuple[str, tuple[Any, ...], tuple[Any, ...]]]:
    """What follows the manifest in this row's state: the statement that writes it, what is there, what is wanted."""
    job, state = entry.job, row[0]
    wanted = (campaign, entry.position, 1, job.location.line, json.dumps(entry.changed), *free_columns(job))
    yield _FREE, row[1:8], wanted
    if state != JobState.DONE:
        yield _OUTPUT, row[8:9], (job.output,)
    if state == JobState.PENDING:
        yield _PAID, row[9:12], (*paid_columns(job), units_column(entry.units_estimated))


def _enrol_new(connection: sqlite3.Connection, campaign: str, enrolments: Sequence[Enrolment]) -> None:
    if not enrolments:
        return
    now = utc_text(utc_now())
    connection.executemany(
        "INSERT INTO jobs (external_task_id, campaign, position, line, state, mode, watermark, output, tags, vars,"
        " units_estimated, queued_at) VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                entry.job.external_task_id,
                campaign,
                entry.position,
                entry.job.location.line,
                *paid_columns(entry.job),
                entry.job.output,
                *free_columns(entry.job),
                units_column(entry.units_estimated),
                now,
            )
            for entry in enrolments
        ),
    )
    ids = [entry.job.external_task_id for entry in enrolments]
    connection.executemany(
        "INSERT INTO events (at, external_task_id, to_state, why)"
        " VALUES (?, ?, 'pending', 'read from the manifest')",
        ((now, key) for key in ids),
    )
    holders = connection.execute(
        "SELECT attempt_id, external_task_id FROM attempts"
        " WHERE attempt_id IN (SELECT value FROM json_each(?)) ORDER BY attempt_id",
        (json.dumps(ids),),
    ).fetchall()
    for holder in holders:
        # Looking this id up at the service would show the other job's task, and its video would pass for this one.
        foreign_id(
            connection,
            holder["attempt_id"],
            f"a later attempt of job {holder['external_task_id']!r} already has this id: give the job another",
        )
