"""A survey over manifest, media, ledger and output folder: one pass, and nothing kept of what is done."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.errors import ManifestError
from manifest_runner.ledger import Ledger, open_ledger, queries, results, writes
from manifest_runner.media import Preflight, preflight
from manifest_runner.models import Job, JobState, Manifest, ServiceStatus, Speech, utc_now
from manifest_runner.runner.decide import Action, Retry
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.survey import enrol, survey

VIDEO = b"a video"


class Desk:
    """A campaign of jobs whose media are behind URLs, so that there is nothing to probe."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder, self.ledger = folder, ledger
        self.out = folder / "out"
        self.out.mkdir()

    def jobs(self, *keys: str, **fields: object) -> list[Job]:
        return [
            Job(
                external_task_id=key,
                image="https://example.com/a.png",
                sound_file="https://example.com/a.mp3",
                output=f"{key}.mp4",
                **fields,  # type: ignore[arg-type]
            )
            for key in keys
        ]

    def plan(self, jobs: Sequence[Job], **options: object) -> Plan:
        manifest, found = self._with_media(jobs)
        return self.ledger.read(
            lambda connection: survey(manifest, found, connection, self.out, **options)  # type: ignore[arg-type]
        )

    def _with_media(self, jobs: Sequence[Job]) -> tuple[Manifest, Preflight]:
        manifest = Manifest(path=self.folder / "c.yaml", campaign="c", jobs=jobs)
        return manifest, preflight(jobs, self.folder)

    def enrol(self, jobs: Sequence[Job]) -> None:
        enrol(self.ledger, "c", jobs, self.plan(jobs))

    def send(self, job: Job) -> str:
        media = preflight([job], self.folder).of(job)
        assert media is not None
        intent = writes.Intent(
            job=job,
            fingerprint=media.fingerprint,
            fingerprint_parts=media.fingerprint_parts,
            settle_seconds=1.0,
            units_estimated=None,
            units_reserved=Decimal(1),
            why="test",
        )
        return self.ledger.write_now(writes.intend, intent).attempt_id

    def accept(self, job: Job) -> str:
        attempt = self.send(job)
        acceptance = writes.Acceptance(
            attempt_id=attempt, task_id="1", status=ServiceStatus.SUBMITTED, request_id=None, why="test"
        )
        self.ledger.write_now(writes.accepted, acceptance)
        return attempt

    def finish(self, job: Job, *, status: ServiceStatus = ServiceStatus.SUCCEED) -> str:
        attempt = self.accept(job)
        ending = writes.Ending(
            attempt_id=attempt,
            status=status,
            message=None,
            video_seconds=None,
            units_deducted=Decimal("1.2"),
            request_id=None,
            ended_at=utc_now(),
        )
        self.ledger.write_now(writes.ended, ending)
        return attempt

    def fetch(self, job: Job) -> None:
        attempt = self.finish(job)
        (self.out / job.output).write_bytes(VIDEO)
        keeping = results.Keeping(
            attempt_id=attempt,
            file=job.output,
            watermark_file=None,
            sha256="ab" * 32,
            bytes=len(VIDEO),
            video_seconds=Decimal(3),
        )
        self.ledger.write_now(results.kept, keeping)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        yield Desk(tmp_path, ledger)


def actions(plan: Plan) -> dict[str, Action]:
    return {step.external_task_id: step.action for step in plan.steps()}


def test_what_is_done_is_counted_and_its_records_are_not_read(desk, monkeypatch):
    jobs = desk.jobs("a", "b", "c")
    desk.enrol(jobs)
    for job in jobs[:2]:
        desk.fetch(job)
    read: list[str] = []
    real = queries.jobs_of

    def spy(connection: sqlite3.Connection, ids: Sequence[str]) -> object:
        read.extend(ids)
        return real(connection, ids)

    monkeypatch.setattr(queries, "jobs_of", spy)
    plan = desk.plan(jobs)
    assert (plan.counts, len(plan)) == ({Action.SKIP: 2, Action.SEND: 1}, 3)
    assert read == ["c"]
    assert [step.external_task_id for step in plan.not_done()] == ["c"]


def test_a_done_jobs_step_is_made_when_it_is_asked_for(desk):
    jobs = desk.jobs("a", "b")
    desk.enrol(jobs)
    desk.fetch(jobs[0])
    moved = [replace(jobs[0], output="moved.mp4"), jobs[1]]
    (step,) = desk.plan(moved).steps(Action.SKIP)
    assert step.record is not None
    assert (step.record.state, step.job) == (JobState.DONE, moved[0])
    assert "stays at a.mp4" in step.why


@pytest.mark.parametrize(
    ("content", "action"),
    [(None, Action.FETCH), (b"another", Action.SKIP), (b"longer than it was", Action.HOLD)],
)
def test_the_file_of_a_done_job_is_looked_at(desk, content, action):
    """By its size: whether another file of the same size lies there is for nobody to see at a glance."""
    (job,) = desk.jobs("a")
    desk.enrol([job])
    desk.fetch(job)
    (desk.out / "a.mp4").unlink()
    if content is not None:
        (desk.out / "a.mp4").write_bytes(content)
    assert actions(desk.plan([job])) == {"a": action}


def test_a_folder_in_a_videos_place_is_no_video(desk):
    (job,) = desk.jobs("a")
    desk.enrol([job])
    desk.fetch(job)
    (desk.out / "a.mp4").unlink()
    (desk.out / "a.mp4").mkdir()
    assert actions(desk.plan([job])) == {"a": Action.FETCH}


def test_an_edit_of_a_done_job_is_seen_and_enrolled(desk):
    jobs = desk.jobs("a", "b")
    desk.enrol(jobs)
    for job in jobs:
        desk.fetch(job)
    edited = [jobs[0], replace(jobs[1], prompt="other")]
    plan = desk.plan(edited)
    (step,) = plan.not_done()
    assert (step.external_task_id, step.action, step.changed) == ("b", Action.HOLD, ("prompt",))
    enrol(desk.ledger, "c", edited, plan)
    records = desk.ledger.read(queries.jobs_of, ["a", "b"])
    assert [records[key].changed for key in ("a", "b")] == [(), ("prompt",)]


def test_what_is_under_way_and_not_named_any_more_is_in_it(desk):
    jobs = desk.jobs("named", "running", "unsent", "done")
    desk.enrol(jobs)
    desk.accept(jobs[1])
    desk.fetch(jobs[3])
    plan = desk.plan(jobs[:1])
    steps = {step.external_task_id: step for step in plan.steps()}
    assert {key: step.action for key, step in steps.items()} == {
        "named": Action.SEND,
        "running": Action.WATCH,
    }
    assert steps["running"].job is None
    assert plan.withdraws
    enrol(desk.ledger, "c", jobs[:1], plan)
    assert desk.ledger.read(queries.job, "unsent") is None
    assert not desk.plan(jobs[:1]).withdraws


def test_the_order_is_priority_then_length(desk):
    def spoken(key: str, letters: int, priority: int = 0) -> Job:
        speech = Speech(text="x" * letters, voice_id="v", voice_language="en")
        return replace(desk.jobs(key)[0], sound_file=None, speech=speech, priority=priority)

    jobs = [
        spoken("short", 100),
        spoken("long", 900),
        spoken("alike", 100),
        spoken("urgent", 100, priority=5),
        spoken("longer and urgent", 900, priority=5),
        spoken("late", 900, priority=-5),
    ]
    order = [step.external_task_id for step in desk.plan(jobs).steps(Action.SEND)]
    assert order == ["longer and urgent", "urgent", "long", "short", "alike", "late"]


def test_a_step_that_the_ledger_has_overtaken_is_left_out(desk):
    """Between the plan and its step another attempt may have been recorded: a second one is never begun by it."""
    (job,) = desk.jobs("a")
    desk.enrol([job])
    plan = desk.plan([job])
    desk.accept(job)
    assert list(plan.steps(Action.SEND)) == []
    assert [step.action for step in plan.steps()] == [Action.WATCH]


def test_only_some_of_it(desk):
    jobs = desk.jobs("a", "b", "c")
    desk.enrol(jobs)
    for job in jobs[:2]:
        desk.finish(job, status=ServiceStatus.FAILED)
    plan = desk.plan(jobs, retry=[Retry.FAILED], retry_ids=["b"])
    assert actions(plan) == {"a": Action.HOLD, "b": Action.SEND, "c": Action.SEND}
    chosen = plan.only(lambda step: step.external_task_id == "b")
    assert actions(chosen) == {"b": Action.SEND}
    assert chosen.counts == {Action.SEND: 1}
    assert 0 < chosen.high < plan.high
    assert plan.named(["a", "nobody"]).keys() == {"a"}


def test_ids_of_other_campaigns_and_of_later_attempts_are_refused(desk):
    jobs = desk.jobs("a")
    desk.enrol(jobs)
    desk.finish(jobs[0], status=ServiceStatus.FAILED)
    desk.send(jobs[0])
    with pytest.raises(ManifestError) as refused:
        desk.plan([*jobs, *desk.jobs("a-r2")])
    assert "later attempt of the job 'a'" in str(refused.value)
    other = Manifest(path=desk.folder / "o.yaml", campaign="other", jobs=jobs)
    with pytest.raises(ManifestError) as refused:
        desk.ledger.read(lambda c: survey(other, preflight(jobs, desk.folder), c, desk.out))
    assert "belongs to the campaign 'c'" in str(refused.value)


def test_a_video_is_not_put_where_anothers_lies(desk):
    jobs = desk.jobs("a")
    desk.enrol(jobs)
    desk.fetch(jobs[0])
    with pytest.raises(ManifestError) as refused:
        desk.plan([*jobs, replace(desk.jobs("b")[0], output="A.mp4")])
    assert "where the video of a lies" in str(refused.value)


def test_a_second_enrolment_of_the_same_rows_writes_nothing(desk):
    jobs = desk.jobs("a", "b", tags=("x",))
    desk.enrol(jobs)
    desk.fetch(jobs[0])
    before = desk.ledger.write_now(lambda connection: connection.total_changes)
    desk.enrol(jobs)
    after = desk.ledger.write_now(lambda connection: connection.total_changes)
    assert after == before
    desk.enrol([jobs[0], replace(jobs[1], tags=("y",))])
    assert desk.ledger.read(queries.jobs_of, ["b"])["b"].tags == ("y",)


class MadeAnew(Sequence[Job]):
    """Jobs of a large sheet, each made when it is asked for."""

    def __init__(self, desk: Desk, count: int) -> None:
        self._desk, self._count = desk, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place):
        if not 0 <= place < self._count:
            raise IndexError(place)
        return self._desk.jobs(f"job-{place:06d}")[0]


def test_memory_is_a_few_bytes_a_row(desk):
    def held(count: int) -> int:
        jobs = MadeAnew(desk, count)
        tracemalloc.start()
        plan = desk.plan(jobs)
        assert plan.counts == {Action.SEND: count}
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held

    held(500)  # what is made once
    few, many = held(1_000), held(6_000)
    assert (many - few) / 5_000 < 100


def test_the_first_of_each_action_and_how_many_more(desk):
    done = desk.jobs("a", "b", "c")
    desk.enrol(done)
    for job in done:
        desk.fetch(job)
    jobs = [*(replace(job, prompt="else") for job in done), *desk.jobs("s", "t", "u", "v")]
    heads = [
        (action, [step.external_task_id for step in first], more)
        for action, first, more in desk.plan(jobs).heads(2)
    ]
    assert heads == [(Action.SEND, ["s", "t"], 2), (Action.HOLD, ["a", "b"], 1)]
    assert list(desk.plan(done).heads(2)) == [], "what is done is only counted"


# -- of some rows --------------------------------------------------------------------------------------------------


def test_of_some_rows_the_others_keep_their_place_and_what_is_under_way_goes_on(desk):
    jobs = desk.jobs("running", "sent", "left", "done", "edited")
    desk.enrol(jobs)
    desk.accept(jobs[0])
    for job in jobs[3:]:
        desk.fetch(job)
    edited = [*jobs[:4], replace(jobs[4], prompt="other")]
    enrol(desk.ledger, "c", edited, desk.plan(edited))
    plan = desk.plan(edited, only={1, 3})
    assert {step.external_task_id: step.action for step in plan.steps()} == {
        "running": Action.WATCH,
        "sent": Action.SEND,
        "done": Action.SKIP,
    }
    assert (list(plan.places), plan.withdraws, plan.gone) == ([0, 1, 3], False, 0)
    assert list(plan.unnamed([job.external_task_id for job in jobs])) == []
    enrol(desk.ledger, "c", edited, plan)
    records = desk.ledger.read(queries.jobs_of, ["left", "edited"])
    assert {key: (record.listed, record.changed) for key, record in records.items()} == {
        "left": (True, ()),
        "edited": (True, ("prompt",)),
    }


def test_of_a_plan_some_rows_can_be_taken(desk):
    jobs = desk.jobs("running", "sent", "left", "done", "other")
    desk.enrol(jobs)
    desk.accept(jobs[0])
    for job in jobs[3:]:
        desk.fetch(job)
    plan = desk.plan(jobs).at({1, 3})
    assert sorted((step.external_task_id, step.action) for step in plan.steps()) == [
        ("done", Action.SKIP),
        ("running", Action.WATCH),
        ("sent", Action.SEND),
    ]
    assert (list(plan.places), plan.counts[Action.SKIP], len(list(plan.rows()))) == ([0, 1, 3], 1, 3)


def test_rows_that_are_not_meant_stop_nobody(desk):
    """An id that another campaign has, in a row that nobody selected."""
    ours, theirs = desk.jobs("ours", "theirs")
    enrol(desk.ledger, "other", [theirs], desk.plan([theirs]))
    with pytest.raises(ManifestError):
        desk.plan([ours, theirs])
    assert [step.external_task_id for step in desk.plan([ours, theirs], only={0}).steps()] == ["ours"]
