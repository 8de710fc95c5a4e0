"""Where a job may go from where it stands, and the one function that moves it.

Each move is a row in `events` too: when, from, to, why, request id, code. Nothing else writes a state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from manifest_runner.errors import ManifestRunnerError
from manifest_runner.ledger.columns import now_text
from manifest_runner.models import JobState

_NONE: Mapping[str, object] = MappingProxyType({})

PENDING, SUBMITTING, RUNNING = JobState.PENDING, JobState.SUBMITTING, JobState.RUNNING
RENDERED, DONE, FAILED = JobState.RENDERED, JobState.DONE, JobState.FAILED
REJECTED, CONFLICT, EXPIRED = JobState.REJECTED, JobState.CONFLICT, JobState.EXPIRED

LEGAL: dict[JobState, frozenset[JobState]] = {
    PENDING: frozenset({SUBMITTING, RUNNING, CONFLICT, RENDERED, DONE}),
    SUBMITTING: frozenset({PENDING, RUNNING, REJECTED, CONFLICT}),
    RUNNING: frozenset({RENDERED, FAILED}),
    RENDERED: frozenset({DONE, EXPIRED}),
    DONE: frozenset({DONE, SUBMITTING, RUNNING, RENDERED, EXPIRED}),
    FAILED: frozenset({SUBMITTING, RUNNING, RENDERED, DONE}),
    REJECTED: frozenset({SUBMITTING, RUNNING, RENDERED, DONE}),
    CONFLICT: frozenset({RUNNING}),
    EXPIRED: frozenset({DONE, SUBMITTING, RUNNING, RENDERED}),
}
"""Beyond the plain way through: pending -> conflict is an id that the account had before we sent anything;
pending -> running is a task of ours that look-ups had missed; done -> done is a video that was deleted here and
fetched again without paying, done -> expired one that the service no longer had either; done -> submitting is a
changed row that a person asked to send again; expired -> done is a result that was there after all. A person's `adopt`
leads to running from whatever is not under way. A row that went back to what an earlier attempt was paid for leads to
done (its video is here) or rendered (it is fetched once more)."""


class IllegalTransition(ManifestRunnerError):
    """A move that the states don't allow: a bug in us, never in the input."""


def move(
    connection: sqlite3.Connection,
    external_task_id: str,
    to: JobState,
    why: str,
    *,
    attempt_id: str | None = None,
    code: int | None = None,
    request_id: str | None = None,
    stands: JobState | None = None,
    columns: Mapping[str, object] = _NONE,
    at: str | None = None,
) -> JobState:
    """Move a job, write the event, and return where it came from.

    `stands`: its state, where the caller has read it in this transaction. `columns` of the job are written with it.
    `at`: the moment, where the caller has written it as text already.
    """
    came_from = state_of(connection, external_task_id) if stands is None else stands
    if to not in LEGAL[came_from]:
        raise IllegalTransition(f"Job {external_task_id!r} can't go from {came_from} to {to} ({why}).")
    connection.execute(_update_of(*columns), (to, why, *columns.values(), external_task_id))
    record_event(
        connection,
        external_task_id,
        came_from,
        to,
        why,
        attempt_id=attempt_id,
        code=code,
        request_id=request_id,
        at=at,
    )
    return came_from


def state_of(connection: sqlite3.Connection, external_task_id: str) -> JobState:
    """Where a job stands. Raises IllegalTransition for one that is not there."""
    row = connection.execute(
        "SELECT state FROM jobs WHERE external_task_id = ?", (external_task_id,)
    ).fetchone()
    if row is None:
        raise IllegalTransition(f"The ledger has no job {external_task_id!r}.")
    return JobState(row[0])


@cache
def _update_of(*columns: str) -> str:
    """The statement that writes a state and these columns: there are as many as there are callers of `move`."""
    names = ", ".join(f"{name} = ?" for name in ("state", "why", *columns))
    return f"UPDATE jobs SET {names} WHERE external_task_id = ?"  # noqa: S608 names of columns, written in this package


def record_event(
    connection: sqlite3.Connection,
    external_task_id: str,
    came_from: JobState | None,
    to: JobState,
    why: str,
    *,
    attempt_id: str | None = None,
    code: int | None = None,
    request_id: str | None = None,
    at: str | None = None,
) -> None:
    connection.execute(
        "INSERT INTO events (at, external_task_id, attempt_id, from_state, to_state, why, code, request_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (at or now_text(), external_task_id, attempt_id, came_from, to, why, code, request_id),
    )
