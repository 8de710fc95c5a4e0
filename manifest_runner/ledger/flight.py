"""What of a campaign is under way, or may be: read without going through all its jobs."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

from manifest_runner.models import Units

_NEWEST = (
    "SELECT a.* FROM jobs j JOIN attempts a ON a.attempt_id = coalesce(j.current,"
    " (SELECT attempt_id FROM attempts WHERE external_task_id = j.external_task_id ORDER BY number DESC LIMIT 1))"
    " WHERE j.campaign = ?"
)
_IN_FLIGHT = " AND j.state IN ('submitting', 'running')"
_MAY_HAVE_ARRIVED = " AND j.state = 'pending' AND a.code IS NULL"


def units_in_flight(connection: sqlite3.Connection, campaign: str) -> dict[str, Units]:
    """What is set aside for the jobs that hold, or may hold, a slot, by their ids."""
    return _units(connection, campaign, _IN_FLIGHT)


def units_that_may_be_owed(connection: sqlite3.Connection, campaign: str) -> dict[str, Units]:
    """The same for jobs whose last create call was given up, and that no refusal has settled."""
    return _units(connection, campaign, _MAY_HAVE_ARRIVED)


def sent_with_another_key(connection: sqlite3.Connection, campaign: str, key_id: str) -> bool:
    """Whether any attempt of the campaign was."""
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM attempts JOIN jobs USING (external_task_id)"
        " WHERE campaign = ? AND key_id IS NOT NULL AND key_id != ?)",
        (campaign, key_id),
    ).fetchone()
    return bool(row[0])


def is_strangers(connection: sqlite3.Connection, external_task_id: str, task_id: str) -> bool:
    """Whether a task at the service has an id of ours, and this ledger did not make it."""
    attempt = connection.execute(
        "SELECT task_id FROM attempts WHERE attempt_id = ?", (external_task_id,)
    ).fetchone()
    if attempt is not None:  # without a task_id its create call is still under way, or in doubt
        return attempt["task_id"] not in (None, task_id)
    base, _, number = external_task_id.rpartition("-r")
    names = (external_task_id, base if number.isdecimal() else external_task_id)
    row = connection.execute("SELECT 1 FROM jobs WHERE external_task_id IN (?, ?)", names).fetchone()
    return row is not None


def _units(connection: sqlite3.Connection, campaign: str, condition: str) -> dict[str, Units]:
    rows = connection.execute(_NEWEST + condition, (campaign,))
    return {row["external_task_id"]: Decimal(row["units_reserved"]) for row in rows}
