"""What a run does with a job, from its row and its record: the whole table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from planning_kit import planned

from manifest_runner.ledger import AttemptRecord, JobRecord
from manifest_runner.media import DEFAULT_RATES, AudioFacts, JobMedia
from manifest_runner.models import Job, JobState, Mode, Speech
from manifest_runner.runner.decide import Action, Retry
from manifest_runner.runner.step import Step

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
SENT = {"image": "a", "sound_file": "b", "prompt": "c"}
EDITED = {**SENT, "prompt": "other"}


def job(key: str = "welcome", mode: Mode = Mode.STD) -> Job:
    return Job(external_task_id=key, image="a.png", sound_file="a.mp3", output=f"{key}.mp4", mode=mode)


def facts(parts: dict[str, str] = SENT, seconds: str = "3") -> JobMedia:
    audio = AudioFacts(
        container="mp3",
        codec="mp3",
        seconds=Decimal(seconds),
        channels=1,
        sample_rate=44100,
        bytes=1000,
        sha256="0" * 64,
    )
    return JobMedia(image=None, audio=audio, fingerprint_parts=parts)


def record(state: JobState, key: str = "welcome", *, sent: bool = True) -> JobRecord:
    attempt = AttemptRecord(
        attempt_id=key,
        external_task_id=key,
        number=1,
        fingerprint="1:x",
        fingerprint_parts=SENT,
        intent_at=NOON,
        sent_at=NOON,
        posts=1,
        settle_seconds=90.0,
        units_reserved=Decimal("1.2"),
        key_id=None,
        task_id="123",
        accepted_at=NOON,
        service_status=None,
        service_message=None,
        code=None,
        request_id=None,
        ended_at=None,
        video_seconds=None,
        units_deducted=None,
    )
    return JobRecord(
        external_task_id=key,
        campaign="c",
        position=0,
        state=state,
        mode=Mode.STD,
        watermark=False,
        output="old.mp4",
        tags=(),
        vars={},
        units_estimated=None,
        queued_at=NOON,
        why="because",
        file="old.mp4" if state is JobState.DONE else None,
        watermark_file=None,
        sha256=None,
        bytes=None,
        fetched_at=None,
        listed=True,
        line=None,
        changed=(),
        attempts=(attempt,) if sent else (),
    )


def make_plan(*args: Any, **kwargs: Any) -> list[Step]:
    """A plan's steps, all of them."""
    return list(planned(*args, **kwargs).steps())


def ended(record: JobRecord, days_before_noon: int = 0) -> JobRecord:
    """The record with its attempt's end."""
    at = NOON - timedelta(days=days_before_noon)
    return record._replace(attempts=(record.attempts[0]._replace(ended_at=at),))


@pytest.mark.parametrize(
    ("state", "edited", "retry", "missing", "action"),
    [
        (JobState.PENDING, False, (), False, Action.SEND),
        (JobState.SUBMITTING, False, (), False, Action.RESOLVE),
        (JobState.SUBMITTING, True, (), False, Action.RESOLVE),
        (JobState.RUNNING, True, (Retry.CHANGED,), False, Action.WATCH),
        (JobState.RENDERED, True, (Retry.CHANGED,), False, Action.FETCH),
        (JobState.DONE, False, (), False, Action.SKIP),
        (JobState.DONE, False, (Retry.CHANGED,), False, Action.SKIP),
        (JobState.DONE, True, (), False, Action.HOLD),
        (JobState.DONE, True, (Retry.CHANGED,), False, Action.SEND),
        (JobState.DONE, False, (), True, Action.FETCH),
        (JobState.DONE, True, (), True, Action.FETCH),
        (JobState.FAILED, False, (), False, Action.HOLD),
        (JobState.FAILED, True, (Retry.REJECTED,), False, Action.HOLD),
        (JobState.FAILED, False, (Retry.FAILED,), False, Action.SEND),
        (JobState.REJECTED, False, (), False, Action.HOLD),
        (JobState.REJECTED, True, (), False, Action.SEND),
        (JobState.REJECTED, False, (Retry.REJECTED,), False, Action.SEND),
        (JobState.CONFLICT, False, tuple(Retry), False, Action.HOLD),
        (JobState.EXPIRED, False, (), False, Action.HOLD),
        (JobState.EXPIRED, False, (Retry.EXPIRED,), False, Action.SEND),
    ],
)
def test_every_state(state, edited, retry, missing, action):
    steps = make_plan(
        [job()],
        {"welcome": facts(EDITED if edited else SENT)},
        {"welcome": record(state)},
        missing_files=["welcome"] if missing else [],
        retry=retry,
        rates=DEFAULT_RATES,
    )
    assert [step.action for step in steps] == [action]
    assert steps[0].changed == (("prompt",) if edited else ())
    if edited and action is not Action.RESOLVE:
        assert "prompt" in steps[0].why or missing


def test_a_row_the_ledger_never_saw_is_new_and_estimated():
    (step,) = make_plan([job(mode=Mode.PRO)], {"welcome": facts(seconds="3.2")}, {}, rates=DEFAULT_RATES)
    assert (step.action, step.why) == (Action.SEND, "new")
    assert step.estimate.high == Decimal("3.2")  # four begun seconds at 0.8


def test_what_is_under_way_is_brought_home_although_its_row_is_gone():
    records = {
        state: record(state, key=state)
        for state in (
            JobState.SUBMITTING,
            JobState.RUNNING,
            JobState.RENDERED,
            JobState.DONE,
            JobState.FAILED,
        )
    }
    steps = make_plan([], {}, records, rates=DEFAULT_RATES)
    assert {step.external_task_id: step.action for step in steps} == {
        "rendered": Action.FETCH,
        "running": Action.WATCH,
        "submitting": Action.RESOLVE,
    }
    assert all("no longer names it" in step.why and step.job is None for step in steps)


def test_paid_results_come_first_and_then_the_longest():
    jobs = [job("short"), job("long"), job("fetch"), job("same-as-long")]
    media = {
        "short": facts(seconds="3"),
        "long": facts(seconds="30"),
        "fetch": facts(),
        "same-as-long": facts(seconds="30"),
    }
    steps = make_plan(jobs, media, {"fetch": record(JobState.RENDERED, "fetch")}, rates=DEFAULT_RATES)
    assert [step.external_task_id for step in steps] == ["fetch", "long", "same-as-long", "short"]


def test_a_done_job_is_fetched_to_where_it_was():
    done = record(JobState.DONE)
    (step,) = make_plan(
        [job()], {"welcome": facts()}, {"welcome": done}, missing_files=["welcome"], rates=DEFAULT_RATES
    )
    assert step.output == done.output == "old.mp4"


def test_without_facts_nothing_counts_as_changed():
    (step,) = make_plan([job()], {}, {"welcome": record(JobState.DONE)}, rates=DEFAULT_RATES)
    assert step.action is Action.SKIP
    (unsent,) = make_plan(
        [job()],
        {"welcome": facts()},
        {"welcome": record(JobState.PENDING)._replace(attempts=())},
        rates=DEFAULT_RATES,
    )
    assert unsent.changed == ()


@pytest.mark.parametrize(
    ("text", "language", "speed", "low", "expected", "high"),
    [
        ("x" * 150, "en", "1.0", "2.45", "4.45", "8.45"),  # 6, 10.5 and 20.75 seconds at 0.4, and the call
        ("x" * 150, "en", "2.0", "1.25", "2.45", "4.45"),
        ("好" * 90, "zh", "1.0", "4.45", "8.45", "12.85"),
        ("Hi", "en", "1.0", "0.85", "0.85", "1.25"),  # never shorter than the service's shortest
    ],
)
def test_a_text_is_estimated_by_its_length(text, language, speed, low, expected, high):
    speech = Speech(text=text, voice_id="v", voice_language=language, voice_speed=Decimal(speed))
    spoken = replace(job(), sound_file=None, speech=speech)
    (step,) = make_plan([spoken], {}, {}, rates=DEFAULT_RATES)
    assert (step.estimate.low, step.estimate.expected, step.estimate.high) == tuple(
        map(Decimal, (low, expected, high))
    )


@pytest.mark.parametrize(
    ("age", "retry", "action"),
    [
        (timedelta(days=1), (), Action.FETCH),
        (timedelta(days=30) - timedelta(seconds=1), (), Action.FETCH),
        (timedelta(days=30), (), Action.HOLD),
        (timedelta(days=1), (Retry.CHANGED, Retry.FAILED, Retry.REJECTED), Action.FETCH),
        (timedelta(days=1), (Retry.EXPIRED,), Action.SEND),
        (timedelta(days=31), (Retry.EXPIRED,), Action.SEND),
    ],
)
def test_an_expired_result_is_asked_for_again_as_long_as_it_may_be_there(age, retry, action):
    expired = ended(record(JobState.EXPIRED))
    (step,) = make_plan(
        [job()],
        {"welcome": facts()},
        {"welcome": expired},
        retry=retry,
        rates=DEFAULT_RATES,
        now=NOON + age,
    )
    assert step.action is action
    assert step.why.startswith("because")
    assert ("asked for once more, which costs nothing" in step.why) == (action is Action.FETCH)
    assert ("--retry expired" in step.why) == (action is Action.HOLD)
    assert (step.estimate is not None) == (action is Action.SEND), "only what is sent costs"


def test_by_the_clock_of_now_where_no_other_is_given():
    long_ago = record(JobState.EXPIRED).attempts[0]._replace(ended_at=datetime(2020, 1, 1, tzinfo=UTC))
    expired = record(JobState.EXPIRED)._replace(attempts=(long_ago,))
    (step,) = make_plan([job()], {"welcome": facts()}, {"welcome": expired}, rates=DEFAULT_RATES)
    assert step.action is Action.HOLD


def test_an_expired_job_whose_row_is_gone_is_left_alone():
    expired = ended(record(JobState.EXPIRED))
    assert make_plan([], {}, {"welcome": expired}, rates=DEFAULT_RATES, now=NOON) == []


def test_a_row_that_was_not_accepted_yet_has_not_changed():
    (step,) = make_plan(
        [job()], {"welcome": facts(EDITED)}, {"welcome": record(JobState.PENDING)}, rates=DEFAULT_RATES
    )
    assert (step.action, step.changed) == (Action.SEND, ())


def test_a_done_video_stays_where_it_is_when_its_output_changes():
    (step,) = make_plan(
        [job()], {"welcome": facts()}, {"welcome": record(JobState.DONE)}, rates=DEFAULT_RATES
    )
    assert step.action is Action.SKIP
    assert "welcome.mp4" in step.why
    assert "stays at old.mp4" in step.why
    unmoved = record(JobState.DONE)._replace(output="welcome.mp4", file="welcome.mp4")
    (step,) = make_plan([job()], {"welcome": facts()}, {"welcome": unmoved}, rates=DEFAULT_RATES)
    assert (step.action, step.why) == (Action.SKIP, "done")


def test_another_file_in_a_videos_place_is_left_to_a_person():
    (step,) = make_plan(
        [job()],
        {"welcome": facts()},
        {"welcome": record(JobState.DONE)},
        altered_files=["welcome"],
        rates=DEFAULT_RATES,
    )
    assert step.action is Action.HOLD
    assert "old.mp4 is no longer the file that was fetched" in step.why
    assert "unpaid" in step.why


@pytest.mark.parametrize(
    ("state", "retry", "action"),
    [(JobState.RENDERED, (), Action.FETCH), (JobState.DONE, (Retry.CHANGED,), Action.SEND)],
)
def test_another_file_holds_up_nothing_that_is_to_be_done_anyway(state, retry, action):
    (step,) = make_plan(
        [job()],
        {"welcome": facts(EDITED)},
        {"welcome": record(state)},
        altered_files=["welcome"],
        retry=retry,
        rates=DEFAULT_RATES,
    )
    assert step.action is action


def test_results_that_the_service_deletes_soonest_are_fetched_first():
    ages = {"new": 1, "oldest": 29, "old": 20}
    records = {key: ended(record(JobState.RENDERED, key), days) for key, days in ages.items()}
    steps = make_plan(
        [job(key) for key in ages], {}, records, rates=DEFAULT_RATES, now=NOON + timedelta(days=1)
    )
    assert [step.external_task_id for step in steps] == ["oldest", "old", "new"]
    assert "the service deletes it on 2026-11-03" in steps[0].why


def test_the_longest_are_sent_first():
    media = {"short": facts(seconds="3"), "long": facts(seconds="30"), "middle": facts(seconds="9")}
    steps = make_plan([job(key) for key in media], media, {}, rates=DEFAULT_RATES)
    assert [step.external_task_id for step in steps] == ["long", "middle", "short"]


def test_what_a_url_leads_to_today_is_likely_and_the_worst_is_held_back():
    """The service fetches it by itself, later: it can be another recording then."""
    seen = replace(facts(), sound_passed_on=True)
    (step,) = make_plan([job()], {"welcome": seen}, {}, rates=DEFAULT_RATES)
    assert step.estimate is not None
    assert (step.estimate.expected, step.estimate.high) == (Decimal("1.2"), Decimal(120))


def test_what_may_have_arrived_is_asked_about_before_longer_jobs_are_sent():
    """Its units are held back: others may wait for them."""
    jobs = [job("long"), job("late"), job("longer")]
    media = {"long": facts(seconds="60"), "late": facts(), "longer": facts(seconds="90")}
    plan = planned(jobs, media, {"late": record(JobState.PENDING, "late")})
    assert [step.external_task_id for step in plan.steps(Action.SEND)] == ["late", "longer", "long"]
