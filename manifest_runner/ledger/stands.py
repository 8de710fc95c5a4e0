"""Where a job and its attempts stand: what a write has to know before it moves the job."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from manifest_runner.ledger import queries
from manifest_runner.ledger.records import ATTEMPTS, AttemptRecord
from manifest_runner.ledger.transitions import IllegalTransition
from manifest_runner.models import JobState

_STATES = {state.value: state for state in JobState}  # the tables take no other


class Stand(NamedTuple):
    """Where the job of an attempt stands: as much as most writes have to know. JSON is as the ledger has it."""

    attempt_id: str
    external_task_id: str
    state: JobState
    current: str | None
    fingerprint_parts: str
    earlier_parts: str | None

    def is_current(self, connection: sqlite3.Connection) -> bool:
        """Whether the job's state speaks of this attempt."""
        if self.current == self.attempt_id:
            return True
        record = queries.job(connection, self.external_task_id)  # written by an older version, perhaps
        return (
            record is not None and record.attempt is not None and record.attempt.attempt_id == self.attempt_id
        )


class Newest(NamedTuple):
    """The newest attempt of a job, where there is one (`number` is not None), for the one that comes next."""

    state: JobState
    number: int | None
    fingerprint_parts: str | None
    earlier_parts: str | None
    code: int | None


def stand_of(connection: sqlite3.Connection, identity: str) -> Stand:
    """Raises IllegalTransition when the ledger has no such attempt."""
    row = connection.execute(
        "SELECT attempt_id, external_task_id, state, current, fingerprint_parts, earlier_parts"
        " FROM attempts JOIN jobs USING (external_task_id) WHERE attempt_id = ?",
        (identity,),
    ).fetchone()
    if row is None:
        raise IllegalTransition(f"The ledger has no attempt {identity!r}.")
    known, key, state, current, parts, earlier_parts = row
    return Stand(known, key, _STATES[state], current, parts, earlier_parts)


def newest_of(connection: sqlite3.Connection, external_task_id: str) -> Newest:
    """Raises IllegalTransition when the ledger has no such job."""
    row = connection.execute(
        "SELECT state, number, fingerprint_parts, earlier_parts, code FROM jobs LEFT JOIN attempts"
        " USING (external_task_id) WHERE external_task_id = ? ORDER BY number DESC LIMIT 1",
        (external_task_id,),
    ).fetchone()
    if row is None:
        raise IllegalTransition(f"The ledger has no job {external_task_id!r}.")
    state, number, parts, earlier_parts, code = row
    return Newest(_STATES[state], number, parts, earlier_parts, code)


def attempt_of(connection: sqlite3.Connection, identity: str) -> AttemptRecord:
    """Raises IllegalTransition when the ledger has no such attempt."""
    row = connection.execute(f"{ATTEMPTS} WHERE attempt_id = ?", (identity,)).fetchone()
    if row is None:
        raise IllegalTransition(f"The ledger has no attempt {identity!r}.")
    return AttemptRecord.from_row(row)
