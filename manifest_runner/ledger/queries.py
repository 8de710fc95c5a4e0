"""Everything that is read from the ledger. Each function takes a connection and returns values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from manifest_runner.ledger.records import AttemptRecord, EventRecord, JobRecord, Owner
from manifest_runner.ledger.speeches import speeches_of
from manifest_runner.models import JobState, Units, attempt_id

CHUNK = 500  # jobs read at once: memory does not grow with the campaign


@dataclass(frozen=True, kw_only=True, slots=True)
class Spend:
    """What a campaign has cost so far, in units."""

    deducted: Units  # what the service said it deducted, for tasks and speech
    unknown_tasks: int  # ended tasks for which it gave no figure
    reserved: Units  # the high estimates of what is in flight, or was ended or lost without a figure

    @property
    def committed(self) -> Units:
        """What a budget must count: the known and the worst case of the rest."""
        return self.deducted + self.reserved


def account(connection: sqlite3.Connection) -> str | None:
    """Which service and account side the ledger belongs to."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'account'").fetchone()
    return row["value"] if row else None


def anything_sent(connection: sqlite3.Connection) -> bool:
    """Whether any call that may have cost something was ever begun from this ledger."""
    row = connection.execute("SELECT EXISTS (SELECT 1 FROM attempts) OR EXISTS (SELECT 1 FROM speeches)")
    return bool(row.fetchone()[0])


def ledger_id(connection: sqlite3.Connection) -> str:
    """What tells this ledger from every other one."""
    return str(connection.execute("SELECT value FROM meta WHERE key = 'ledger_id'").fetchone()["value"])


def owner(connection: sqlite3.Connection) -> Owner | None:
    row = connection.execute("SELECT * FROM owner").fetchone()
    return Owner.from_row(row) if row else None


def campaigns(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT DISTINCT campaign FROM jobs ORDER BY campaign")]


def job(connection: sqlite3.Connection, external_task_id: str) -> JobRecord | None:
    row = connection.execute("SELECT * FROM jobs WHERE external_task_id = ?", (external_task_id,)).fetchone()
    return JobRecord.from_row(row, attempts_of(connection, external_task_id)) if row else None


def jobs(connection: sqlite3.Connection, campaign: str) -> Iterator[JobRecord]:
    """A campaign's jobs in the manifest's order, each with its attempts."""
    position, last_id = -1, ""
    while True:
        rows = connection.execute(
            "SELECT * FROM jobs WHERE campaign = ? AND (position, external_task_id) > (?, ?)"
            " ORDER BY position, external_task_id LIMIT ?",
            (campaign, position, last_id, CHUNK),
        ).fetchall()
        if not rows:
            return
        position, last_id = rows[-1]["position"], rows[-1]["external_task_id"]
        by_job = _attempts_by_job(connection, [row["external_task_id"] for row in rows])
        for row in rows:
            yield JobRecord.from_row(row, by_job.get(row["external_task_id"], ()))


def claimed_elsewhere(connection: sqlite3.Connection, campaign: str) -> dict[str, str]:
    """The ids that other campaigns in this ledger have, and whose they are."""
    rows = connection.execute("SELECT external_task_id, campaign FROM jobs WHERE campaign != ?", (campaign,))
    return {row["external_task_id"]: row["campaign"] for row in rows}


def later_attempts(connection: sqlite3.Connection) -> dict[str, str]:
    """The ids that second and later attempts were sent with, and whose jobs they are."""
    rows = connection.execute("SELECT attempt_id, external_task_id FROM attempts WHERE number > 1")
    return {row["attempt_id"]: row["external_task_id"] for row in rows}


def attempts_of(connection: sqlite3.Connection, external_task_id: str) -> tuple[AttemptRecord, ...]:
    return _attempts_by_job(connection, [external_task_id]).get(external_task_id, ())


def events_of(connection: sqlite3.Connection, external_task_id: str) -> list[EventRecord]:
    rows = connection.execute(
        "SELECT * FROM events WHERE external_task_id = ? ORDER BY seq", (external_task_id,)
    )
    return [EventRecord.from_row(row) for row in rows]


def counts(connection: sqlite3.Connection, campaign: str) -> dict[JobState, int]:
    """How many of the campaign's jobs stand in each state that occurs."""
    rows = connection.execute(
        "SELECT state, count(*) AS n FROM jobs WHERE campaign = ? GROUP BY state", (campaign,)
    )
    return {JobState(row["state"]): row["n"] for row in rows}


def unfinished(connection: sqlite3.Connection, campaign: str) -> int:
    """How many of the manifest's jobs have no video, or one of an earlier version of their row."""
    row = connection.execute(
        "SELECT count(*) FROM jobs WHERE campaign = ? AND listed = 1 AND (state != 'done' OR changed != '[]')",
        (campaign,),
    )
    return int(row.fetchone()[0])


def states(connection: sqlite3.Connection, campaign: str) -> dict[str, JobState]:
    """Where each job of the campaign stands."""
    rows = connection.execute("SELECT external_task_id, state FROM jobs WHERE campaign = ?", (campaign,))
    return {row["external_task_id"]: JobState(row["state"]) for row in rows}


def jobs_without_their_attempt(connection: sqlite3.Connection) -> list[str]:
    """The jobs whose state no attempt bears out: no run leaves any, since both are written in one transaction."""
    rows = connection.execute(
        "SELECT external_task_id FROM jobs WHERE state NOT IN ('pending', 'conflict') AND NOT EXISTS"
        " (SELECT 1 FROM attempts a WHERE a.external_task_id = jobs.external_task_id"
        " AND (a.task_id IS NOT NULL OR jobs.state IN ('submitting', 'rejected'))"
        " AND (a.ended_at IS NOT NULL OR jobs.state IN ('submitting', 'rejected', 'running')))"
    )
    return [row[0] for row in rows]


def next_attempt_number(connection: sqlite3.Connection, external_task_id: str) -> int:
    """The number a new attempt of this job gets: past its last, and past ids that something else has."""
    row = connection.execute(
        "SELECT max(number) FROM attempts WHERE external_task_id = ?", (external_task_id,)
    ).fetchone()
    number = (row[0] or 0) + 1
    while number > 1 and taken(connection, attempt_id(external_task_id, number)):
        number += 1
    return number


def taken(connection: sqlite3.Connection, candidate: str) -> bool:
    """Whether some job or attempt in this ledger has this id."""
    return (
        connection.execute(
            "SELECT 1 FROM attempts WHERE attempt_id = ? UNION ALL SELECT 1 FROM jobs WHERE external_task_id = ?",
            (candidate, candidate),
        ).fetchone()
        is not None
    )


def spend(connection: sqlite3.Connection, campaign: str) -> Spend:
    """What the campaign has cost. Summed here as Decimal: SQLite's sum() would make floats of it."""
    deducted, reserved, unknown = Decimal(0), Decimal(0), 0
    rows = connection.execute(
        "SELECT a.task_id, a.ended_at, a.units_deducted, a.units_reserved, j.state, a.number,"
        " (SELECT max(number) FROM attempts b WHERE b.external_task_id = a.external_task_id) AS newest"
        " FROM attempts a JOIN jobs j USING (external_task_id) WHERE j.campaign = ?",
        (campaign,),
    )
    for row in rows:
        in_flight = row["number"] == row["newest"] and JobState(row["state"]).in_flight
        if row["units_deducted"] is not None:
            deducted += Decimal(row["units_deducted"])
        elif in_flight or (row["task_id"] is not None and row["ended_at"] is not None):
            reserved += Decimal(row["units_reserved"])
            unknown += 0 if in_flight else 1
    for speech_record in speeches_of(connection, campaign):
        deducted += speech_record.units_deducted or Decimal(0)
        reserved += speech_record.units_reserved
    return Spend(deducted=deducted, unknown_tasks=unknown, reserved=reserved)


def _attempts_by_job(connection: sqlite3.Connection, ids: list[str]) -> dict[str, tuple[AttemptRecord, ...]]:
    if not ids:
        return {}
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(
        f"SELECT * FROM attempts WHERE external_task_id IN ({marks})"  # noqa: S608 - only question marks
        " ORDER BY external_task_id, number",
        ids,
    ).fetchall()
    records = map(AttemptRecord.from_row, rows)
    return {key: tuple(group) for key, group in groupby(records, lambda record: record.external_task_id)}
