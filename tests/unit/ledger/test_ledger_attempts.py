"""Intent, answer, ending: what each step of an attempt writes, and the numbers that attempts get."""

import sqlite3
import time
from dataclasses import replace
from decimal import Decimal

import pytest

from manifest_runner.ledger import queries, results, writes
from manifest_runner.ledger.transitions import IllegalTransition
from manifest_runner.models import Job, JobState, Mode, ServiceStatus

INTENT = writes.Intent(
    job=Job(external_task_id="a", image="a.png", sound_file="a.mp3", output="a.mp4"),
    fingerprint="1:abc",
    fingerprint_parts={},
    settle_seconds=90.0,
    units_estimated=None,
    units_reserved=Decimal(5),
    why="it is due",
)


def test_the_first_intent_carries_the_jobs_own_id(steps):
    steps.enrol("a")
    attempt = steps.intend("a", reserved="5.2", fingerprint="1:f", settle=75.0)
    assert (attempt.attempt_id, attempt.number, attempt.posts) == ("a", 1, 1)
    assert (attempt.fingerprint, attempt.fingerprint_parts) == ("1:f", {"image": "aa"})
    assert (attempt.units_reserved, attempt.settle_seconds) == (Decimal("5.2"), 75.0)
    assert attempt.intent_at == attempt.sent_at
    assert (attempt.task_id, attempt.ended_at, attempt.units_deducted) == (None, None, None)
    assert steps.state("a") is JobState.SUBMITTING


def test_sending_again_what_was_surely_not_created_is_the_same_attempt(connection, steps):
    steps.enrol("a")
    first = steps.intend("a", settle=90.0)
    writes.not_created(connection, "a", JobState.PENDING, "no connection was made")
    time.sleep(0.005)  # the times have milliseconds

    again = steps.intend("a", settle=30.0, reserved="9", fingerprint="1:edited")

    assert (again.attempt_id, again.number, again.posts) == ("a", 1, 2)
    assert again.intent_at == first.intent_at, "older tasks than the very first intent can't be ours"
    assert again.sent_at > first.sent_at
    assert again.settle_seconds == 90.0, "the longest wait that any of its POSTs asks for"
    assert (again.units_reserved, again.fingerprint) == (Decimal(9), "1:edited")
    assert len(steps.record("a").attempts) == 1


def test_after_a_recorded_failure_comes_an_id_of_its_own(connection, steps):
    steps.enrol("a")
    steps.fail("a")
    assert steps.intend("a").attempt_id == "a-r2"
    writes.not_created(
        connection, "a-r2", JobState.REJECTED, "1301 content policy", code=1301, request_id="q"
    )
    third = steps.intend("a")
    assert (third.attempt_id, third.number) == ("a-r3", 3)
    assert [attempt.attempt_id for attempt in steps.record("a").attempts] == ["a", "a-r2", "a-r3"]
    assert steps.record("a").attempts[1].code == 1301


def test_a_next_id_that_another_job_has_is_passed_over(steps):
    steps.enrol("x", "x-r2", "x-r3")
    steps.fail("x")
    assert steps.intend("x").attempt_id == "x-r4"
    assert steps.intend("x-r2").attempt_id == "x-r2"


def test_two_attempts_can_never_share_an_id(connection, steps):
    steps.enrol("x")
    steps.fail("x")
    taken = steps.intend("x")
    steps.enrol("x-r2")
    connection.execute("UPDATE jobs SET state = 'pending' WHERE external_task_id = 'x-r2'")
    with pytest.raises(sqlite3.IntegrityError):
        steps.intend("x-r2")
    assert steps.record("x").attempt == taken


@pytest.mark.parametrize("state", ["submitting", "running", "rendered", "conflict"])
def test_no_intent_from_a_state_that_may_still_hold_a_task(connection, steps, state):
    steps.enrol("a")
    connection.execute("UPDATE jobs SET state = ?", (state,))
    with pytest.raises(IllegalTransition):
        steps.intend("a")
    assert steps.record("a").attempts == ()


def test_an_intent_for_a_job_that_is_not_there(steps):
    with pytest.raises(IllegalTransition, match="no job"):
        steps.intend("ghost")


def test_sending_a_done_job_again_forgets_the_old_file_when_the_service_has_the_new_task(steps):
    steps.enrol("a")
    steps.run("a")
    attempt = steps.intend("a", mode=Mode.PRO, watermark=True, output="new.mp4", estimate="8.8")
    assert steps.record("a").file is not None, "nothing new comes of it as yet"
    steps.accept(attempt)
    record = steps.record("a")
    assert (record.mode, record.watermark, record.output) == (Mode.PRO, True, "new.mp4")
    assert record.units_estimated == Decimal("8.8")
    assert [record.file, record.watermark_file, record.sha256, record.bytes, record.fetched_at] == [None] * 5
    assert record.attempts[0].units_deducted == Decimal("4.4"), "what the first one cost stays known"


def test_an_answered_create(connection, steps):
    steps.enrol("a")
    attempt = steps.accept(steps.intend("a"), task_id="868123456789012345")
    assert steps.state("a") is JobState.RUNNING
    assert (attempt.task_id, attempt.service_status) == ("868123456789012345", ServiceStatus.SUBMITTED)
    assert attempt.accepted_at is not None
    assert queries.events_of(connection, "a")[-1].request_id == "req-1"


@pytest.mark.parametrize("to", [JobState.PENDING, JobState.REJECTED, JobState.CONFLICT])
def test_a_create_that_made_nothing(connection, steps, to):
    steps.enrol("a")
    steps.intend("a")
    writes.not_created(connection, "a", to, "1200: image is too small", code=1200, request_id="req-7")
    record = steps.record("a")
    assert (record.state, record.why) == (to, "1200: image is too small")
    assert (record.attempt.code, record.attempt.request_id) == (1200, "req-7")
    last = queries.events_of(connection, "a")[-1]
    assert (last.attempt_id, last.code, last.request_id) == ("a", 1200, "req-7")


def test_the_services_own_status_is_kept_beside_ours(connection, steps):
    steps.enrol("a")
    steps.accept(steps.intend("a"))
    writes.status_seen(connection, "a", ServiceStatus.UNKNOWN, "warming up")
    record = steps.record("a")
    assert record.state is JobState.RUNNING
    assert (record.attempt.service_status, record.attempt.service_message) == (
        ServiceStatus.UNKNOWN,
        "warming up",
    )


def test_a_task_that_succeeded_is_rendered_until_its_video_is_kept(connection, steps):
    steps.enrol("a")
    attempt = steps.accept(steps.intend("a"))
    steps.end(attempt, units="4.4")
    record = steps.record("a")
    assert record.state is JobState.RENDERED
    assert (record.attempt.units_deducted, record.attempt.video_seconds) == (Decimal("4.4"), Decimal("11.3"))

    steps.keep(attempt)
    record = steps.record("a")
    assert record.state is JobState.DONE
    assert (record.file, record.sha256, record.bytes) == ("a.mp4", "ab" * 32, 1234)
    assert record.fetched_at is not None
    assert record.attempt.video_seconds == Decimal("11.32"), "measured here beats what the service said"
    assert [event.to_state.value for event in queries.events_of(connection, "a")] == [
        "pending",
        "submitting",
        "running",
        "rendered",
        "done",
    ]


@pytest.mark.parametrize(("message", "why"), [("content risk", "content risk"), (None, "no reason given")])
def test_a_task_that_failed(steps, message, why):
    steps.enrol("a")
    steps.fail("a", units=None, message=message)
    record = steps.record("a")
    assert record.state is JobState.FAILED
    assert why in record.why
    assert (record.attempt.service_message, record.attempt.units_deducted) == (message, None)


def test_an_ending_that_is_told_once_more_changes_nothing(connection, steps):
    steps.enrol("a")
    attempt = steps.run("a")
    before = steps.record("a")

    with pytest.raises(IllegalTransition, match="No ending of 'a' is awaited"):
        steps.end(attempt)

    assert steps.record("a") == before


def test_an_ending_of_an_attempt_that_the_job_no_longer_speaks_of(connection, steps):
    steps.enrol("a")
    first = steps.fail("a")
    steps.accept(steps.intend("a"))

    with pytest.raises(IllegalTransition, match="No ending of 'a' is awaited"):
        steps.end(first)

    assert steps.state("a") is JobState.RUNNING


def test_a_result_that_is_gone_before_it_was_fetched(connection, steps):
    steps.enrol("a")
    steps.end(steps.accept(steps.intend("a")))
    results.expired(connection, "a", "the service answers 404 for it")
    assert (steps.state("a"), steps.record("a").why) == (JobState.EXPIRED, "the service answers 404 for it")


def test_a_video_that_was_deleted_here_is_fetched_again_by_the_same_attempt(connection, steps):
    steps.enrol("a")
    attempt = steps.run("a")
    steps.keep(attempt)
    assert (steps.state("a"), len(steps.record("a").attempts)) == (JobState.DONE, 1)
    assert [event.to_state for event in queries.events_of(connection, "a")][-2:] == [JobState.DONE] * 2


def test_an_expired_result_may_turn_up_after_all(connection, steps):
    steps.enrol("a")
    attempt = steps.intend("a")
    steps.end(steps.accept(attempt))
    results.expired(connection, "a", "the service answers 404 for it")
    steps.keep(attempt)
    assert steps.state("a") is JobState.DONE


def test_a_task_that_look_ups_had_missed_is_taken_up_from_pending(connection, steps):
    steps.enrol("a")
    attempt = steps.intend("a")
    writes.not_created(connection, "a", JobState.PENDING, "asked twice, not there")
    assert steps.accept(attempt).task_id == "868123456789012345"
    assert (steps.state("a"), len(steps.record("a").attempts)) == (JobState.RUNNING, 1)


def test_an_attempt_keeps_which_key_sent_it_last(connection, steps):
    steps.enrol("a")
    intent = replace(INTENT, job=steps.job("a"))
    assert writes.intend(connection, replace(intent, key_id="first")).key_id == "first"
    writes.not_created(connection, "a", JobState.PENDING, "no slot")
    assert writes.intend(connection, replace(intent, key_id="second")).key_id == "second"


def test_an_id_that_the_account_had_before_anything_was_sent(connection, steps):
    steps.enrol("a")
    writes.foreign_id(connection, "a", "the account already has it")
    assert (steps.state("a"), steps.record("a").why) == (JobState.CONFLICT, "the account already has it")
    with pytest.raises(IllegalTransition, match="no job 'ghost'"):
        writes.foreign_id(connection, "ghost", "the account already has it")


def test_a_job_that_ended_stays_what_it_is_though_its_next_id_is_taken(connection, steps):
    steps.enrol("a")
    steps.run("a")
    before = steps.record("a")
    writes.foreign_id(connection, "a", "the account already has a-r2")
    assert steps.record("a") == before._replace(why="the account already has a-r2")


def test_a_note_leaves_the_job_where_it_is(connection, steps):
    steps.enrol("a")
    writes.note(connection, "a", "the account is in arrears", code=1101)
    assert (steps.state("a"), steps.record("a").why) == (JobState.PENDING, "the account is in arrears")
    last = queries.events_of(connection, "a")[-1]
    assert (last.from_state, last.to_state, last.code) == (JobState.PENDING, JobState.PENDING, 1101)


@pytest.mark.parametrize(
    "step",
    [
        lambda steps: steps.connection.execute("DELETE FROM attempts"),
        lambda steps: steps.connection.execute("UPDATE attempts SET attempt_id = 'other'"),
    ],
)
def test_an_answer_for_an_attempt_that_is_not_there(steps, step):
    steps.enrol("a")
    attempt = steps.intend("a")
    step(steps)
    with pytest.raises(IllegalTransition, match="no attempt 'a'"):
        steps.accept(attempt)
    assert steps.state("a") is JobState.SUBMITTING


def test_a_status_that_is_told_after_the_end_changes_nothing(connection, steps):
    steps.enrol("a")
    steps.run("a")
    writes.status_seen(connection, "a", ServiceStatus.PROCESSING, "at it")
    attempt = steps.record("a").attempt
    assert attempt is not None
    assert attempt.service_status is ServiceStatus.SUCCEED
