"""Reading while somebody writes, and reading much."""

from contextlib import closing

import pytest

from manifest_runner.errors import LedgerError
from manifest_runner.ledger import open_for_reading, queries
from manifest_runner.ledger.connection import open_for_writing
from manifest_runner.models import JobState


def test_jobs_are_read_in_chunks_in_the_manifests_order_with_their_attempts(connection, steps, monkeypatch):
    monkeypatch.setattr(queries, "CHUNK", 7)
    ids = [f"job-{number:03}" for number in range(50)]
    steps.enrol(*reversed(ids))
    steps.fail("job-020")
    steps.intend("job-020")
    found = list(queries.jobs(connection, "spring"))
    assert [record.external_task_id for record in found] == ids[::-1]
    assert {record.external_task_id: len(record.attempts) for record in found if record.attempts} == {
        "job-020": 2
    }


def test_jobs_that_share_a_position_are_each_read_once(connection, steps, monkeypatch):
    """Two manifests of one campaign number their rows alike."""
    monkeypatch.setattr(queries, "CHUNK", 2)
    for key in "edcba":
        steps.enrol(key)
    assert [record.external_task_id for record in queries.jobs(connection, "spring")] == list("abcde")


def test_counts_and_campaigns(connection, steps):
    steps.enrol("a", "b", "c", campaign="spring")
    steps.enrol("d", campaign="autumn")
    steps.run("a")
    assert queries.campaigns(connection) == ["autumn", "spring"]
    assert queries.counts(connection, "spring") == {JobState.DONE: 1, JobState.PENDING: 2}
    assert queries.counts(connection, "winter") == {}


def test_what_is_not_there_is_none(connection):
    assert queries.job(connection, "ghost") is None
    assert queries.owner(connection) is None
    assert queries.account(connection) is None


def test_a_reader_sees_each_commit_and_no_half_of_one(ledger_path, steps_on):
    with closing(open_for_writing(ledger_path)) as writing, open_for_reading(ledger_path) as reader:
        steps = steps_on(writing)
        writing.execute("BEGIN IMMEDIATE")
        steps.enrol("a", "b")
        assert queries.counts(reader, "spring") == {}
        writing.execute("COMMIT")
        assert queries.counts(reader, "spring") == {JobState.PENDING: 2}


def test_a_read_transaction_stays_at_its_moment_and_holds_up_no_writer(ledger_path, steps_on):
    with closing(open_for_writing(ledger_path)) as writing, open_for_reading(ledger_path) as reader:
        steps = steps_on(writing)
        steps.enrol("a")
        reader.execute("BEGIN")
        assert queries.counts(reader, "spring") == {JobState.PENDING: 1}
        steps.run("a")
        assert queries.counts(reader, "spring") == {JobState.PENDING: 1}
        reader.execute("ROLLBACK")
        assert queries.counts(reader, "spring") == {JobState.DONE: 1}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET queued_at = 'yesterday'",
        "UPDATE jobs SET queued_at = '2026-11-24T10:00:00'",
        "UPDATE jobs SET units_estimated = 'a lot'",
        "UPDATE jobs SET vars = '{'",
        "UPDATE jobs SET mode = 'ultra'",
        "UPDATE attempts SET units_deducted = 'NaN?'",
        "UPDATE attempts SET service_status = 'odd'",
        "UPDATE attempts SET fitted = 'x'",
        "UPDATE attempts SET clock_skew = 1e300",
    ],
)
def test_a_value_that_no_run_writes_is_told_and_is_no_bug(connection, steps, change):
    steps.enrol("a")
    steps.run("a")
    connection.execute(change)
    with pytest.raises(LedgerError, match="a value that no run writes") as told:
        queries.job(connection, "a")
    assert told.value.exit_code == 4
    assert "adopt --all" in told.value.mend
