"""Everything that is read from the ledger. Each function takes a connection and returns values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from manifest_runner.ledger.records import ATTEMPTS, JOBS, AttemptRecord, EventRecord, JobRecord, Owner
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


def file_of(connection: sqlite3.Connection) -> Path:
    """Where the ledger lies."""
    return Path(connection.execute("PRAGMA database_list").fetchone()["file"])


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
    row = connection.execute(f"{JOBS} WHERE external_task_id = ?", (external_task_id,)).fetchone()
    return JobRecord.from_row(row, attempts_of(connection, external_task_id)) if row else None


def jobs(connection: sqlite3.Connection, campaign: str) -> Iterator[JobRecord]:
    """A campaign's jobs in the manifest's order, each with its attempts."""
    position, last_id = -1, ""
    while True:
        rows = connection.execute(
            f"{JOBS} WHERE campaign = ? AND (position, external_task_id) > (?, ?)"
            " ORDER BY position, external_task_id LIMIT ?",
            (campaign, position, last_id, CHUNK),
        ).fetchall()
        if not rows:
            return
        position, last_id = rows[-1]["position"], rows[-1]["external_task_id"]
        by_job = _attempts_by_job(connection, [row["external_task_id"] for row in rows])
        for row in rows:
            yield JobRecord.from_row(row, by_job.get(row["external_task_id"], ()))


def jobs_of(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, JobRecord]:
    """These jobs, as far as the ledger knows them, each with its attempts."""
    rows = connection.execute(
        f"{JOBS} WHERE external_task_id IN (SELECT value FROM json_each(?))",  # noqa: S608 our own columns
        (json.dumps(ids),),
    ).fetchall()
    by_job = _attempts_by_job(connection, [row["external_task_id"] for row in rows])
    return {
        row["external_task_id"]: JobRecord.from_row(row, by_job.get(row["external_task_id"], ()))
        for row in rows
    }


class Brief(NamedTuple):
    """What tells whether there is anything to do about a job."""

    external_task_id: str
    campaign: str
    state: str
    file: str | None
    watermark_file: str | None
    watermark: int
    bytes: int | None
    listed: int  # whether the ledger has it on the manifest's list, or may forget it
    parts: (
        str | None
    )  # what it was made from, as JSON; None where older versions did not write of which attempt


def briefs(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Brief]:
    """These jobs in brief, whatever campaign has them."""
    cursor = connection.cursor()
    cursor.row_factory = None  # plain tuples: there may be very many
    rows = cursor.execute(
        "SELECT j.external_task_id, campaign, state, file, watermark_file, watermark, bytes,"
        " listed OR state = 'pending', fingerprint_parts"
        " FROM jobs j LEFT JOIN attempts a ON a.attempt_id = j.current AND a.external_task_id = j.external_task_id"
        " WHERE j.external_task_id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    )
    return {row[0]: Brief._make(row) for row in rows}


def listed(connection: sqlite3.Connection, campaign: str) -> int:
    """How many of the campaign's jobs are on the manifest's list, or may be forgotten."""
    row = connection.execute(
        "SELECT count(*) FROM jobs WHERE campaign = ? AND (listed = 1 OR state = 'pending')", (campaign,)
    )
    return int(row.fetchone()[0])


def done_files(connection: sqlite3.Connection, campaign: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Each done job of the campaign, its video and its video with a watermark."""
    cursor = connection.cursor()
    cursor.row_factory = None
    yield from cursor.execute(
        "SELECT external_task_id, file, watermark_file FROM jobs WHERE campaign = ? AND state = 'done'",
        (campaign,),
    )


def perhaps_under_way(connection: sqlite3.Connection, campaign: str) -> list[str]:
    """The campaign's jobs of which something may be at the service, in the manifest's order."""
    rows = connection.execute(
        "SELECT external_task_id FROM jobs WHERE campaign = ? AND (state IN ('submitting', 'running', 'rendered')"
        " OR (state = 'pending' AND EXISTS"
        " (SELECT 1 FROM attempts a WHERE a.external_task_id = jobs.external_task_id)))"
        " ORDER BY position, external_task_id",
        (campaign,),
    )
    return [row["external_task_id"] for row in rows]


def later_attempts(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Those of these ids that second and later attempts were sent with, and whose jobs they are."""
    rows = connection.execute(
        "SELECT attempt_id, external_task_id FROM attempts WHERE number > 1"
        " AND attempt_id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    )
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
    """What the campaign has cost. Equal figures are counted by SQLite and summed here as Decimal: its own sum() would
    make floats of them."""
    sums = {"deducted": Decimal(0), "in flight": Decimal(0), "unknown": Decimal(0)}
    unknown = 0
    for row in connection.execute(_SPENT_ON_TASKS, (campaign,)):
        sums[row["kind"]] += row["jobs"] * Decimal(row["units"])
        unknown += row["jobs"] if row["kind"] == "unknown" else 0
    deducted, reserved = sums["deducted"], sums["in flight"] + sums["unknown"]
    for row in connection.execute(_SPENT_ON_SPEECH, (campaign,)):
        deducted += row["texts"] * Decimal(row["units_deducted"] or 0)
        reserved += row["texts"] * row["uncertain"] * Decimal(row["call_units"])
    return Spend(deducted=deducted, unknown_tasks=unknown, reserved=reserved)


_SPENT_ON_TASKS = """
SELECT kind, units, count(*) AS jobs FROM (
    SELECT coalesce(a.units_deducted, a.units_reserved) AS units, CASE
        WHEN a.units_deducted IS NOT NULL THEN 'deducted'
        WHEN j.state IN ('submitting', 'running') AND a.number =
            (SELECT max(number) FROM attempts b WHERE b.external_task_id = a.external_task_id) THEN 'in flight'
        WHEN a.task_id IS NOT NULL AND a.ended_at IS NOT NULL THEN 'unknown'
    END AS kind
    FROM jobs j JOIN attempts a USING (external_task_id) WHERE j.campaign = ?
) WHERE kind IS NOT NULL GROUP BY kind, units
"""
_SPENT_ON_SPEECH = """
SELECT units_deducted, call_units, calls - answers + figureless AS uncertain, count(*) AS texts
FROM speeches WHERE campaign = ? GROUP BY units_deducted, call_units, uncertain
"""


def _attempts_by_job(
    connection: sqlite3.Connection, ids: Sequence[str]
) -> dict[str, tuple[AttemptRecord, ...]]:
    if not ids:
        return {}
    rows = connection.execute(
        f"{ATTEMPTS} WHERE external_task_id IN (SELECT value FROM json_each(?))"  # noqa: S608 our own columns
        " ORDER BY external_task_id, number",
        (json.dumps(ids),),
    ).fetchall()
    records = map(AttemptRecord.from_row, rows)
    return {key: tuple(group) for key, group in groupby(records, lambda record: record.external_task_id)}
