"""Rows that ask for what another id was paid for, and videos that no row names any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from test_survey import Desk

from manifest_runner.ledger import open_ledger, writes
from manifest_runner.models import Job, JobState, Mode, ServiceStatus
from manifest_runner.runner.decide import Action, Retry
from manifest_runner.runner.renamed import NAMED, Renamed, Twin, renamed


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        yield Desk(tmp_path, ledger)


def looked(desk: Desk, jobs: Sequence[Job], campaign: str = "c", **options: object) -> Renamed:
    plan = desk.plan(jobs, **options)
    return desk.ledger.read(lambda connection: renamed(plan, connection, campaign))


def pairs(found: Renamed) -> list[tuple[str, str]]:
    return [(twin.external_task_id, twin.paid_as) for twin in found.twins]


def unlike(desk: Desk, *keys: str) -> list[Job]:
    """Jobs of which each asks for something else."""
    return [replace(job, prompt=f"as {job.external_task_id}") for job in desk.jobs(*keys)]


def called(job: Job, key: str) -> Job:
    return replace(job, external_task_id=key, output=f"{key}.mp4")


def test_nothing_is_found_before_anything_was_sent(desk):
    assert looked(desk, desk.jobs("a", "b")) == Renamed()
    plan = desk.plan(desk.jobs("a"))
    assert renamed(plan, None, "c") == Renamed()


def test_renamed_rows_are_found_with_what_they_were_paid_as(desk):
    jobs = unlike(desk, "a", "b", "c")
    desk.enrol(jobs)
    for job in jobs:
        desk.fetch(job)
    edited = [called(jobs[0], "x"), called(jobs[1], "y"), jobs[2], *unlike(desk, "new")]
    found = looked(desk, edited)
    assert (found.gone, tuple(found.first_gone)) == (2, ("a", "b"))
    assert list(found.twins) == [
        Twin(external_task_id="x", paid_as="a", campaign="c", file="a.mp4"),
        Twin(external_task_id="y", paid_as="b", campaign="c", file="b.mp4"),
    ]
    sent = {step.external_task_id: step.estimate for step in desk.plan(edited).steps(Action.SEND)}
    assert (found.low, found.high) == (sent["x"].low + sent["y"].low, sent["x"].high + sent["y"].high)
    desk.enrol(edited)  # as a run does before it asks
    assert pairs(looked(desk, edited)) == [("x", "a"), ("y", "b")]


@pytest.mark.parametrize(
    "edit",
    [{"prompt": "else"}, {"mode": Mode.PRO}, {"watermark": True}, {"image": "https://example.com/b.png"}],
)
def test_a_row_that_asks_for_something_else_is_new(desk, edit):
    (job,) = desk.jobs("a")
    desk.enrol([job])
    desk.fetch(job)
    found = looked(desk, [replace(called(job, "x"), **edit)])
    assert (found.gone, pairs(found)) == (1, [])


def test_rows_of_one_manifest_that_are_alike_are_none_of_it(desk):
    (job,) = desk.jobs("a")
    desk.enrol([job])
    desk.fetch(job)
    assert looked(desk, [job, called(job, "x")]) == Renamed()


def test_ids_that_moved_by_a_row_are_found(desk):
    jobs = unlike(desk, "a", "b")
    desk.enrol(jobs)
    for job in jobs:
        desk.fetch(job)
    moved = [replace(jobs[0], prompt="a new first row"), called(jobs[0], "b"), called(jobs[1], "c")]
    assert pairs(looked(desk, moved)) == [("c", "b")], "its row asks for something else now"
    assert pairs(looked(desk, moved, retry=[Retry.CHANGED])) == [("b", "a"), ("c", "b")]


def test_what_is_under_way_counts_as_paid_and_has_no_file_yet(desk):
    jobs = unlike(desk, "a", "b")
    desk.enrol(jobs)
    desk.accept(jobs[0])
    desk.send(jobs[1])
    found = looked(desk, [called(jobs[0], "x"), called(jobs[1], "y")])
    assert found.gone == 0
    assert [(*pair, twin.file) for pair, twin in zip(pairs(found), found.twins, strict=True)] == [
        ("x", "a", None),
        ("y", "b", None),
    ]


def test_what_was_never_made_is_not_paid(desk):
    jobs = unlike(desk, "failed", "refused", "pending")
    desk.enrol(jobs)
    desk.finish(jobs[0], status=ServiceStatus.FAILED)
    refusal = desk.send(jobs[1])
    desk.ledger.write_now(lambda c: writes.not_created(c, refusal, JobState.REJECTED, "no", code=1201))
    found = looked(desk, [called(job, f"{job.external_task_id}-x") for job in jobs])
    assert found == Renamed()


def test_a_file_of_a_later_attempt_is_not_taken_for_the_earlier_ones(desk):
    (job,) = desk.jobs("a")
    desk.enrol([job])
    desk.fetch(job)
    desk.fetch(replace(job, prompt="else"))
    found = looked(desk, [called(job, "x"), called(replace(job, prompt="else"), "y")])
    assert [(twin.paid_as, twin.file) for twin in found.twins] == [("a", None), ("a", "a.mp4")]


def test_what_another_campaign_of_the_ledger_has_is_named_with_it(desk):
    (job,) = desk.jobs("a")
    desk.enrol([job])
    desk.fetch(job)
    desk.ledger.write_now(lambda c: c.execute("UPDATE jobs SET campaign = 'earlier'"))
    found = looked(desk, [called(job, "x")])
    assert (found.gone, found.twins[0].campaign) == (0, "earlier")


def test_a_task_that_was_found_for_its_earlier_row_counts_for_that(desk):
    (job,) = desk.jobs("a")
    later = replace(job, prompt="else")
    desk.enrol([job])
    attempt = desk.send(job)
    desk.ledger.write_now(lambda c: writes.not_created(c, attempt, JobState.PENDING, "given up"))
    desk.send(later)
    taken = writes.Acceptance(
        attempt_id=attempt,
        task_id="1",
        status=ServiceStatus.SUBMITTED,
        request_id=None,
        why="test",
        found=True,
    )
    desk.ledger.write_now(writes.accepted, taken)
    assert pairs(looked(desk, [called(job, "x"), called(later, "y")])) == [("x", "a")]


def test_the_jobs_that_are_gone_are_counted_and_a_few_are_named(desk):
    jobs = desk.jobs(*(f"job-{number}" for number in range(NAMED + 2)))
    desk.enrol(jobs)
    for job in jobs:
        desk.fetch(job)
    found = looked(desk, [])
    assert (found.gone, len(found.first_gone)) == (NAMED + 2, NAMED)
    desk.enrol(desk.jobs("other"))
    assert looked(desk, jobs[2:]).gone == 2, "also when an earlier run has taken them off the list"


def test_a_call_that_came_to_nothing_before_an_edit_is_not_paid(desk):
    jobs = unlike(desk, "failed", "refused")
    desk.enrol(jobs)
    desk.finish(jobs[0], status=ServiceStatus.FAILED)
    refusal = desk.send(jobs[1])
    desk.ledger.write_now(lambda c: writes.not_created(c, refusal, JobState.REJECTED, "no", code=1201))
    for job in jobs:
        desk.fetch(replace(job, prompt=f"better {job.prompt}"))
    found = looked(desk, [called(job, f"{job.external_task_id}-x") for job in jobs])
    assert (found.gone, pairs(found)) == (2, [])


def test_a_video_that_nobody_has_any_more_saves_nothing(desk):
    (job,) = desk.jobs("a")
    desk.enrol([job])
    desk.finish(job)
    desk.ledger.write_now(lambda c: c.execute("UPDATE jobs SET state = 'expired'"))
    assert looked(desk, [called(job, "x")]) == Renamed()


def test_jobs_that_the_manifest_names_hide_none_that_is_gone(desk):
    jobs = unlike(desk, "a", "b")
    desk.enrol(jobs)
    desk.fetch(jobs[0])
    desk.accept(jobs[1])
    assert looked(desk, jobs[1:]).gone == 1


def test_a_part_of_a_plan_knows_what_the_manifest_names(desk):
    (job,) = desk.jobs("a")
    desk.enrol([job])
    desk.fetch(job)
    part = desk.plan([job, called(job, "x")]).only(lambda step: step.action is Action.SEND)
    assert desk.ledger.read(lambda connection: renamed(part, connection, "c")) == Renamed()


@pytest.mark.parametrize("state", [JobState.REJECTED, JobState.PENDING])
def test_an_edit_that_came_to_nothing_takes_nothing_from_what_was_paid_before(desk, state):
    (job,) = desk.jobs("a")
    desk.enrol([job])
    desk.fetch(job)
    refusal = desk.send(replace(job, prompt="an edit"))
    desk.ledger.write_now(lambda c: writes.not_created(c, refusal, state, "no", code=1201))
    assert pairs(looked(desk, [called(job, "x")])) == [("x", "a")]


def test_a_call_that_was_given_up_and_may_still_arrive_counts_as_paid(desk):
    (job,) = desk.jobs("a")
    desk.enrol([job])
    attempt = desk.send(job)
    desk.ledger.write_now(lambda c: writes.not_created(c, attempt, JobState.PENDING, "given up"))
    assert pairs(looked(desk, [called(job, "x")])) == [("x", "a")]


def test_what_a_run_beside_sent_after_the_plan_was_made_is_not_taken_for_another_id(desk):
    (job,) = desk.jobs("a")
    plan = desk.plan([job])
    desk.enrol([job])
    desk.accept(job)
    assert desk.ledger.read(lambda connection: renamed(plan, connection, "c")) == Renamed()
