"""What a real run would cost, by its plan and by its rehearsal, and where its budget would end it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from planning_kit import planned

from manifest_runner.media import DEFAULT_RATES, JobMedia
from manifest_runner.models import Job, Speech
from manifest_runner.runner.forecast import Rehearsed, forecast
from manifest_runner.runner.plan import Plan


def spoken(key: str, text: str) -> Job:
    speech = Speech(text=text, voice_id="v", voice_language="en")
    return Job(external_task_id=key, image="a.png", output=f"{key}.mp4", speech=speech)


def plan(*jobs: Job) -> Plan:
    media = {job.external_task_id: JobMedia(image=None, audio=None, fingerprint_parts={}) for job in jobs}
    return planned(jobs, media, {})


def made(units: str, seconds: str = "3.2") -> Rehearsed:
    return Rehearsed(video=True, seconds=Decimal(seconds), units=Decimal(units))


REFUSED = Rehearsed(video=False, seconds=None, units=Decimal(0))


def test_the_sum_of_the_plan_and_of_the_previews():
    sent = plan(spoken("a", "x" * 60), spoken("b", "x" * 60), spoken("c", "y" * 60))
    found = forecast(sent, {"a": made("1.2"), "b": made("1.2"), "c": REFUSED}, None)
    assert (found.videos, found.previews) == (3, 2)
    assert found.low == sum(step.estimate.low for step in sent.steps())
    assert found.high == sum(step.estimate.high for step in sent.steps())
    assert found.rehearsed == Decimal("2.45"), "two videos, and their common text once"
    assert (found.affordable, found.left, found.stops) == (None, None, False)


def test_the_budget_holds_the_worst_case_of_each_call():
    both = plan(spoken("a", "x" * 60), spoken("b", "x" * 60))
    known = {"a": made("1.2"), "b": made("1.2")}
    # a: 0.05 for the text, 1.6 set aside, 1.2 spent; b: 1.6 set aside, and no text any more.
    for budget, sent, left in (
        ("1.64", 0, "1.64"),
        ("1.65", 1, "0.4"),
        ("2.84", 1, "1.59"),
        ("2.85", 2, "0.4"),
    ):
        found = forecast(both, known, Decimal(budget))
        assert (found.affordable, found.left) == (sent, Decimal(left)), budget
        assert found.stops is (sent < 2)


def test_a_refused_row_costs_nothing_and_needs_its_worst_case_all_the_same():
    one = plan(spoken("a", "x" * 60))
    worst = one.high
    assert forecast(one, {"a": REFUSED}, worst - Decimal("0.01")).stops
    found = forecast(one, {"a": REFUSED}, worst)
    assert (found.stops, found.left) == (False, worst - DEFAULT_RATES.speech)


def test_what_was_not_rehearsed_yet_is_counted_as_planned():
    one = plan(spoken("a", "x" * 60))
    found = forecast(one, {}, Decimal(100))
    assert (found.previews, found.rehearsed) == (0, 0)
    assert found.left == 100 - one.expected


def test_nothing_to_send():
    found = forecast(plan(), {}, Decimal(5))
    assert (found.videos, found.low, found.high, found.left, found.stops) == (0, 0, 0, 5, False)


def test_a_recording_behind_a_url_is_held_back_with_the_longest_it_can_be():
    job = replace(spoken("a", "x"), speech=None, sound_file="https://example.com/a.mp3")
    looked_at = JobMedia(image=None, audio=None, fingerprint_parts={})
    by_url = planned([job], {"a": replace(looked_at, sound_passed_on=True)}, {})
    assert forecast(by_url, {"a": made("1.2")}, Decimal(100)).affordable == 0
    assert forecast(plan(job), {"a": made("1.2")}, Decimal(100)).affordable == 1
