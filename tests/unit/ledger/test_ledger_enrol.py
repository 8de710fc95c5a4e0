"""What becomes of a manifest's rows that the ledger doesn't know, knows, or has sent."""

from decimal import Decimal

import pytest

from manifest_runner.ledger import enrolment, queries, writes
from manifest_runner.models import JobState, Location, Mode


def test_a_new_row_is_pending_with_all_its_values(connection, steps):
    steps.enrol(
        "a", estimate="8.8", mode=Mode.PRO, watermark=True, tags=("intro", "ünï"), vars={"first_name": "Ana"}
    )
    record = steps.record("a")
    assert (record.state, record.mode, record.watermark) == (JobState.PENDING, Mode.PRO, True)
    assert (record.tags, record.vars) == (("intro", "ünï"), {"first_name": "Ana"})
    assert (record.units_estimated, record.output, record.attempts) == (Decimal("8.8"), "a.mp4", ())
    [event] = queries.events_of(connection, "a")
    assert (event.from_state, event.to_state) == (None, JobState.PENDING)


def test_enrolling_again_changes_nothing(connection, steps):
    steps.enrol("a", "b")
    before = (list(queries.jobs(connection, "spring")), queries.events_of(connection, "a"))
    steps.enrol("a", "b")
    assert (list(queries.jobs(connection, "spring")), queries.events_of(connection, "a")) == before


def test_a_row_that_was_not_sent_follows_the_manifest_in_everything(steps):
    steps.enrol("a")
    steps.enrol(
        "a", estimate=None, mode=Mode.PRO, watermark=True, output="new.mp4", tags=("t",), vars={"k": "v"}
    )
    record = steps.record("a")
    assert (record.mode, record.watermark, record.output) == (Mode.PRO, True, "new.mp4")
    assert (record.units_estimated, record.tags, record.vars) == (None, ("t",), {"k": "v"})


def test_a_row_in_flight_keeps_what_was_paid_for(steps):
    steps.enrol("a")
    steps.intend("a")
    steps.enrol("a", estimate="99", mode=Mode.PRO, watermark=True, output="new.mp4", tags=("t",))
    record = steps.record("a")
    assert (record.mode, record.watermark, record.units_estimated) == (Mode.STD, False, Decimal("4.4"))
    assert (record.output, record.tags) == ("new.mp4", ("t",))


def test_a_done_row_keeps_its_file_and_where_it_lies(steps):
    steps.enrol("a")
    steps.run("a")
    steps.enrol("a", mode=Mode.PRO, output="new.mp4", tags=("t",))
    record = steps.record("a")
    assert (record.output, record.file, record.mode, record.tags) == ("a.mp4", "a.mp4", Mode.STD, ("t",))


def test_rows_take_the_order_of_the_newest_manifest(connection, steps):
    steps.enrol("a", "b", "c")
    steps.enrol("c", "a", "b")
    assert [record.external_task_id for record in queries.jobs(connection, "spring")] == ["c", "a", "b"]


def test_an_id_that_another_jobs_later_attempt_has_is_a_conflict(connection, steps):
    steps.enrol("x")
    steps.fail("x")
    assert steps.intend("x").attempt_id == "x-r2"

    steps.enrol("x-r2")

    record = steps.record("x-r2")
    assert record.state is JobState.CONFLICT
    assert "job 'x'" in record.why
    assert [event.to_state for event in queries.events_of(connection, "x-r2")] == [
        JobState.PENDING,
        JobState.CONFLICT,
    ]


def test_withdrawing_forgets_only_what_was_never_sent_and_is_not_named(connection, steps):
    steps.enrol("named", "unsent", "sent", "back-to-pending")
    steps.run("sent")
    attempt = steps.intend("back-to-pending")
    writes.not_created(connection, attempt.attempt_id, JobState.PENDING, "no connection was made")
    steps.enrol("elsewhere", campaign="autumn")

    enrolment.withdraw(connection, "spring", steps.jobs("named"))

    assert {record.external_task_id for record in queries.jobs(connection, "spring")} == {
        "named",
        "sent",
        "back-to-pending",
    }
    assert steps.state("elsewhere") is JobState.PENDING


@pytest.mark.parametrize("campaign", ["spring", "autumn"])
def test_ids_of_other_campaigns_are_told_apart(connection, steps, campaign):
    steps.enrol("a", campaign="spring")
    steps.enrol("b", campaign="autumn")
    other = {"spring": {"b": "autumn"}, "autumn": {"a": "spring"}}
    briefs = queries.briefs(connection, ["a", "b", "c"])
    elsewhere = {key: brief.campaign for key, brief in briefs.items() if brief.campaign != campaign}
    assert elsewhere == other[campaign]


def test_a_row_that_is_taken_out_and_put_back(connection, steps):
    steps.enrol("a", "b", location=Location(file="c.yaml", line=7))
    steps.run("a")
    enrolment.withdraw(connection, "spring", steps.jobs("b"))
    assert (steps.record("a").listed, steps.record("a").line) == (False, None)
    assert (steps.record("b").listed, steps.record("b").line) == (True, 7)
    assert queries.unfinished(connection, "spring") == 1, "only what is listed counts"
    steps.enrol("a", location=Location(file="c.yaml", line=9))
    assert (steps.record("a").listed, steps.record("a").line) == (True, 9)


def test_what_changed_in_the_row_since_it_was_sent_is_kept_until_it_is_sent_again(connection, steps):
    steps.enrol("a")
    steps.run("a")
    entry = enrolment.Enrolment(job=steps.job("a"), position=0, units_estimated=None, changed=("prompt",))
    enrolment.enrol(connection, "spring", [entry])
    assert steps.record("a").changed == ("prompt",)
    assert queries.unfinished(connection, "spring") == 1
    steps.intend("a")
    assert steps.record("a").changed == ()


def test_what_changed_is_forgotten_with_the_row_and_when_the_row_is_as_it_was(connection, steps):
    entry = enrolment.Enrolment(
        job=steps.job("a"), position=0, units_estimated=None, changed=("mode", "prompt")
    )
    steps.enrol("a", "b")
    steps.run("a")
    enrolment.enrol(connection, "spring", [entry])
    enrolment.withdraw(connection, "spring", steps.jobs("b"))
    assert (steps.record("a").listed, steps.record("a").changed) == (False, ())

    enrolment.enrol(connection, "spring", [entry])
    assert (steps.record("a").listed, steps.record("a").changed) == (True, ("mode", "prompt"))
    steps.enrol("a")
    assert steps.record("a").changed == ()


def test_withdrawing_takes_no_other_campaigns_job_off_its_list(connection, steps):
    steps.enrol("a", campaign="spring")
    steps.enrol("b", campaign="autumn", location=Location(file="c.yaml", line=3))
    steps.run("b")
    enrolment.withdraw(connection, "spring", [])
    assert (steps.record("b").listed, steps.record("b").line) == (True, 3)
    assert queries.job(connection, "a") is None


def test_what_is_unfinished_and_where_each_job_stands(connection, steps):
    steps.enrol("done", "failed", "pending", "gone")
    steps.run("done")
    steps.fail("failed")
    steps.fail("gone")
    enrolment.withdraw(connection, "spring", steps.jobs("done", "failed", "pending"))
    assert queries.unfinished(connection, "spring") == 2
    assert queries.unfinished(connection, "autumn") == 0
    assert {record.external_task_id: record.state for record in queries.jobs(connection, "spring")} == {
        "done": JobState.DONE,
        "failed": JobState.FAILED,
        "pending": JobState.PENDING,
        "gone": JobState.FAILED,
    }
    assert list(queries.jobs(connection, "autumn")) == []


def test_the_ids_of_later_attempts_are_known_by_whose_they_are(connection, steps):
    steps.enrol("a", "b")
    steps.fail("a")
    steps.intend("a")
    steps.intend("b")
    assert queries.later_attempts(connection, ["a", "a-r2", "a-r3", "b"]) == {"a-r2": "a"}
    assert queries.later_attempts(connection, ["b"]) == {}


def test_rows_that_are_as_they_were_are_not_written_again(connection, steps):
    steps.enrol("done", "pending", "failed")
    steps.run("done")
    steps.fail("failed")
    before = connection.total_changes
    steps.enrol("done", "pending", "failed")
    assert connection.total_changes == before
    steps.enrol("pending", "done", "failed", tags=("new",))
    assert connection.total_changes > before
    assert [record.external_task_id for record in queries.jobs(connection, "spring")] == [
        "pending",
        "done",
        "failed",
    ]
    assert {record.tags for record in queries.jobs(connection, "spring")} == {("new",)}


def test_many_rows_at_once_are_each_known_and_told(connection, steps):
    keys = [f"job-{number}" for number in range(1_500)]
    steps.enrol(*keys)
    assert queries.counts(connection, "spring") == {JobState.PENDING: 1_500}
    assert [event.why for event in queries.events_of(connection, "job-1499")] == ["read from the manifest"]
    enrolment.withdraw(connection, "spring", steps.jobs(*keys[1:]))
    assert queries.job(connection, "job-0") is None
    assert queries.listed(connection, "spring") == 1_499
