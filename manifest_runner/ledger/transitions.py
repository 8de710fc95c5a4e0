"""Where a job may go from where it stands, and the one function that moves it.

Each move is a row in `events` too: when, from, to, why, request id, code. Nothing else writes a state.
"""

from __future__ import annotations

import sqlite3

from manifest_runner.errors import ManifestRunnerError
from manifest_runner.models import JobState, utc_now, utc_text

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
) -> JobState:
    """Move a job, write the event, and return where it came from."""
    row = connection.execute(
        "SELECT state FROM jobs WHERE external_task_id = ?", (external_task_id,)
    ).fetchone()
    if row is None:
        raise IllegalTransition(f"The ledger has no job {external_task_id!r}.")
    came_from = JobState(row["state"])
    if to not in LEGAL[came_from]:
        raise IllegalTransition(f"Job {external_task_id!r} can't go from {came_from} to {to} ({why}).")
    connection.execute(
        "UPDATE jobs SET state = ?, why = ? WHERE external_task_id = ?", (to, why, external_task_id)
    )
    record_event(
        connection,
        external_task_id,
        came_from,
        to,
        why,
        attempt_id=attempt_id,
        code=code,
        request_id=request_id,
    )
    return came_from


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
) -> None:
    connection.execute(
        "INSERT INTO events (at, external_task_id, attempt_id, from_state, to_state, why, code, request_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (utc_text(utc_now()), external_task_id, attempt_id, came_from, to, why, code, request_id),
    )
