"""Where a job may go, pair by pair."""

import itertools

import pytest

from manifest_runner.ledger import queries
from manifest_runner.ledger.transitions import LEGAL, IllegalTransition, move
from manifest_runner.models import JobState

# Written out again, so that a change of the table has to be made twice and on purpose.
ALLOWED = {
    ("pending", "submitting"),
    ("pending", "running"),
    ("pending", "conflict"),
    ("submitting", "pending"),
    ("submitting", "running"),
    ("submitting", "rejected"),
    ("submitting", "conflict"),
    ("running", "rendered"),
    ("running", "failed"),
    ("rendered", "done"),
    ("rendered", "expired"),
    ("done", "done"),
    ("done", "submitting"),
    ("done", "expired"),
    ("failed", "submitting"),
    ("rejected", "submitting"),
    ("expired", "done"),
    ("expired", "submitting"),
    *((ended, "running") for ended in ("conflict", "done", "failed", "rejected", "expired")),  # adopted
    *((ended, "rendered") for ended in ("pending", "done", "failed", "rejected", "expired")),  # restored
    *((ended, "done") for ended in ("pending", "failed", "rejected")),  # restored, and its video is here
}
PAIRS = list(itertools.product(JobState, JobState))


def put(connection, state):
    connection.execute("UPDATE jobs SET state = ?, why = 'before' WHERE external_task_id = 'a'", (state,))


@pytest.mark.parametrize(("start", "to"), [pair for pair in PAIRS if pair in ALLOWED])
def test_a_legal_move_changes_the_state_and_writes_one_event(connection, steps, start, to):
    steps.enrol("a")
    put(connection, start)
    before = len(queries.events_of(connection, "a"))

    came_from = move(connection, "a", to, "because", attempt_id="a", code=1303, request_id="req-9")

    assert came_from is start
    assert (steps.record("a").state, steps.record("a").why) == (to, "because")
    events = queries.events_of(connection, "a")
    assert len(events) == before + 1
    last = events[-1]
    assert (last.from_state, last.to_state, last.why) == (start, to, "because")
    assert (last.attempt_id, last.code, last.request_id) == ("a", 1303, "req-9")


@pytest.mark.parametrize(("start", "to"), [pair for pair in PAIRS if pair not in ALLOWED])
def test_any_other_move_raises_and_writes_nothing(connection, steps, start, to):
    steps.enrol("a")
    put(connection, start)
    events = queries.events_of(connection, "a")

    with pytest.raises(IllegalTransition, match=f"from {start} to {to}"):
        move(connection, "a", to, "because")

    assert (steps.record("a").state, steps.record("a").why) == (start, "before")
    assert queries.events_of(connection, "a") == events


def test_every_state_has_a_row_in_the_table():
    assert set(LEGAL) == set(JobState)


def test_moving_a_job_that_is_not_there(connection):
    with pytest.raises(IllegalTransition, match="no job 'ghost'"):
        move(connection, "ghost", JobState.SUBMITTING, "because")
    assert queries.events_of(connection, "ghost") == []
