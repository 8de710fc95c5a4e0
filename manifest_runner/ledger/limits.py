"""How many tasks at once the account has let through, over time: for the report."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from manifest_runner.ledger.records import as_runs_write_it
from manifest_runner.models import utc_from, utc_now, utc_text

NEWEST = 1000  # changes that a report shows: a year of them would be longer than its jobs


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitRecord:
    """The working limit from this moment on, how many slots were in use then, and what changed it."""

    at: datetime
    limit: int
    used: int
    why: str
    seq: int = 0  # counts the changes in the ledger; 0 for one that is not from there


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitSpan:
    """Between which limits the campaign has run, and how often one was lowered: the account refused more then."""

    lowest: int
    highest: int
    lowered: int


def limit_changed(connection: sqlite3.Connection, campaign: str, limit: int, used: int, why: str) -> None:
    """Keep a new working limit."""
    connection.execute(
        "INSERT INTO limits (at, campaign, slots_limit, slots_used, why) VALUES (?, ?, ?, ?, ?)",
        (utc_text(utc_now()), campaign, limit, used, why),
    )


def limits_of(
    connection: sqlite3.Connection, campaign: str, *, newest: int = NEWEST
) -> tuple[LimitRecord, ...]:
    """The campaign's newest limits, oldest first."""
    rows = connection.execute(
        "SELECT * FROM limits WHERE campaign = ? ORDER BY seq DESC LIMIT ?", (campaign, newest)
    ).fetchall()
    return tuple(map(_record, reversed(rows)))


def limits_after(connection: sqlite3.Connection, campaign: str, seq: int) -> Iterator[LimitRecord]:
    """The campaign's limits that were written after the one numbered `seq`, oldest first."""
    rows = connection.execute(
        "SELECT * FROM limits WHERE seq > ? AND campaign = ? ORDER BY seq", (seq, campaign)
    )
    return map(_record, rows)


def limit_span(connection: sqlite3.Connection, campaign: str) -> LimitSpan | None:
    """Over all of the campaign's runs; None where no limit was ever recorded.

    A run starts anew from what its manifest allows: that it begins lower than the run before ended is no refusal.
    """
    row = connection.execute(
        "SELECT min(slots_limit) AS lowest, max(slots_limit) AS highest,"
        " count(*) FILTER (WHERE slots_limit < before AND slots_used > 0) AS lowered FROM"
        " (SELECT slots_limit, slots_used, lag(slots_limit) OVER (ORDER BY seq) AS before"
        " FROM limits WHERE campaign = ?)",
        (campaign,),
    ).fetchone()
    if row["lowest"] is None:
        return None
    return LimitSpan(lowest=row["lowest"], highest=row["highest"], lowered=row["lowered"])


@as_runs_write_it
def _record(row: sqlite3.Row) -> LimitRecord:
    return LimitRecord(
        seq=row["seq"],
        at=utc_from(row["at"]),
        limit=row["slots_limit"],
        used=row["slots_used"],
        why=row["why"],
    )
