"""Where a campaign stands, counted, and what has moved since: for whoever looks on. Nothing here reads all of it
again and again: once counted, only what is new is read."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from json import dumps
from typing import NamedTuple

from manifest_runner.ledger.records import as_runs_write_it, decimal_from
from manifest_runner.models import JobState, Units, utc_from

CHUNK = 1000  # ids, or moves, at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How many jobs of the manifest stand in each state, at the moment of the event and the limit of these numbers."""

    by_state: Mapping[JobState, int]
    event: int
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One transition, with what is known by now of the attempt it speaks of."""

    seq: int
    at: datetime
    external_task_id: str
    attempt_id: str | None
    from_state: JobState | None
    to_state: JobState
    code: int | None
    request_id: str | None
    listed: bool  # whether the manifest names the job
    task_id: str | None
    units_estimated: Units | None
    units_reserved: Units | None
    units_deducted: Units | None
    video_seconds: Decimal | None


@dataclass(slots=True)
class NamedCount:
    """Of the ids that a manifest names. `changed` are rows that are no longer what was sent for them."""

    by_state: Counter[JobState] = field(default_factory=Counter)
    changed: int = 0


class Stand(NamedTuple):
    """Where one job stands. `code` is of the service's last refusal."""

    state: str
    code: int | None
    changed: bool  # when it was last run, its row was no longer what was sent


def stands(connection: sqlite3.Connection, campaign: str, ids: Sequence[str]) -> dict[str, Stand]:
    """Where the campaign's jobs of these ids stand, as far as the ledger has them."""
    rows = connection.execute(
        "SELECT j.external_task_id, state, a.code, changed != '[]' FROM json_each(?) AS named"
        " CROSS JOIN jobs j ON j.external_task_id = named.value"
        " LEFT JOIN attempts a ON a.attempt_id = j.current AND a.external_task_id = j.external_task_id"
        " WHERE campaign = ?",
        (dumps(ids), campaign),
    )
    return {key: Stand(state, code, bool(changed)) for key, state, code, changed in rows}


def standing(connection: sqlite3.Connection, campaign: str) -> Standing:
    """One look over all of the campaign's jobs."""
    # One statement, so that the numbers are of the same moment as the counts.
    rows = connection.execute(
        "WITH last AS (SELECT (SELECT coalesce(max(seq), 0) FROM events) AS event,"
        " (SELECT coalesce(max(seq), 0) FROM limits) AS slots_limit)"
        " SELECT last.event, last.slots_limit, counted.state, counted.jobs FROM last LEFT JOIN"
        " (SELECT state, count(*) AS jobs FROM jobs WHERE campaign = ? AND listed = 1 GROUP BY state) AS counted",
        (campaign,),
    ).fetchall()
    by_state = {JobState(row["state"]): row["jobs"] for row in rows if row["state"] is not None}
    return Standing(by_state=by_state, event=rows[0]["event"], limit=rows[0]["slots_limit"])


def moves_after(connection: sqlite3.Connection, campaign: str, seq: int, *, most: int = CHUNK) -> list[Move]:
    """The campaign's transitions after the one numbered `seq`, in their order, not more than `most`."""
    rows = connection.execute(
        "SELECT e.seq, e.at, e.external_task_id, e.attempt_id, e.from_state, e.to_state, e.code, e.request_id,"
        " j.listed, j.units_estimated, a.task_id, a.units_reserved, a.units_deducted, a.video_seconds"
        " FROM events e CROSS JOIN jobs j ON j.external_task_id = e.external_task_id"
        " LEFT JOIN attempts a ON a.attempt_id = e.attempt_id"
        " WHERE e.seq > ? AND +j.campaign = ? ORDER BY e.seq LIMIT ?",
        (seq, campaign, most),
    )
    return [_move(row) for row in rows]


def last_event(connection: sqlite3.Connection) -> int:
    """The number of the newest transition; 0 before the first."""
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def tasks_ended_after(connection: sqlite3.Connection, campaign: str, seq: int) -> int:
    """How many of the campaign's tasks have ended at the service since the transition of this number."""
    row = connection.execute(
        "SELECT count(*) FROM events e CROSS JOIN jobs j ON j.external_task_id = e.external_task_id"
        " WHERE e.seq > ? AND e.from_state = 'running' AND e.to_state IN ('rendered', 'failed')"
        " AND +j.campaign = ?",
        (seq, campaign),
    )
    return int(row.fetchone()[0])


def named_count(connection: sqlite3.Connection, campaign: str, ids: Iterable[str]) -> NamedCount:
    """Where the campaign's jobs of these ids stand. The ids are taken a few at a time, each given once.

    CROSS JOIN tells SQLite to look each id up; by itself it would go through the whole campaign for every few.
    """
    found = NamedCount()
    for some in _chunks(ids):
        rows = connection.execute(
            "SELECT state, count(*) AS jobs, count(*) FILTER (WHERE changed != '[]') AS changed"
            " FROM json_each(?) AS named CROSS JOIN jobs ON external_task_id = named.value"
            " WHERE campaign = ? GROUP BY state",
            (dumps(some), campaign),
        )
        for row in rows:
            found.by_state[JobState(row["state"])] += row["jobs"]
            found.changed += row["changed"]
    return found


def finished(connection: sqlite3.Connection, campaign: str, ids: Iterable[str]) -> int:
    """How many of the campaign's jobs of these ids have their video, made as their row is now."""
    return sum(
        stand.state == JobState.DONE and not stand.changed
        for some in _chunks(ids)
        for stand in stands(connection, campaign, some).values()
    )


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    all_ids = iter(ids)
    while some := list(islice(all_ids, CHUNK)):
        yield some


@as_runs_write_it
def _move(row: sqlite3.Row) -> Move:
    return Move(
        seq=row["seq"],
        at=utc_from(row["at"]),
        external_task_id=row["external_task_id"],
        attempt_id=row["attempt_id"],
        from_state=JobState(row["from_state"]) if row["from_state"] else None,
        to_state=JobState(row["to_state"]),
        code=row["code"],
        request_id=row["request_id"],
        listed=bool(row["listed"]),
        task_id=row["task_id"],
        units_estimated=decimal_from(row["units_estimated"]),
        units_reserved=decimal_from(row["units_reserved"]),
        units_deducted=decimal_from(row["units_deducted"]),
        video_seconds=decimal_from(row["video_seconds"]),
    )
