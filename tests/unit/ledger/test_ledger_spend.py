"""What a campaign has cost: exact, with the unknown counted as unknown and the worst case reserved."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifest_runner.ledger import queries, speeches, writes
from manifest_runner.ledger.transitions import IllegalTransition
from manifest_runner.models import JobState

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def made(connection, key, units, seconds="3.2"):
    return speeches.made(
        connection,
        key,
        audio_id=f"audio-{key}",
        seconds=Decimal(seconds),
        units=units,
        request_id="q",
        made_at=NOW,
    )


def ask(connection, campaign, *, job="a", units="0.05"):
    speeches.asked(connection, "k", campaign, external_task_id=job, call_units=Decimal(units))


def test_nothing_was_spent_yet(connection, steps):
    steps.enrol("a")
    assert queries.spend(connection, "spring") == queries.Spend(
        deducted=Decimal(0), unknown_tasks=0, reserved=Decimal(0)
    )


def test_tenths_add_up_exactly(connection, steps):
    ids = [f"job-{number}" for number in range(10)]
    steps.enrol(*ids)
    for key in ids:
        steps.run(key, units="0.1")
    assert queries.spend(connection, "spring").deducted == Decimal("1.0")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(figures=st.lists(st.decimals(min_value=0, max_value=10**6, places=4), min_size=1, max_size=6))
def test_any_figures_add_up_exactly(connection, steps, figures):
    connection.execute("DELETE FROM attempts")
    connection.execute("DELETE FROM jobs")
    ids = [f"job-{number}" for number in range(len(figures))]
    steps.enrol(*ids)
    for key, figure in zip(ids, figures, strict=True):
        steps.run(key, units=str(figure))
    assert queries.spend(connection, "spring").deducted == sum(figures)


def test_what_is_in_flight_is_reserved_at_its_high_estimate(connection, steps):
    steps.enrol("submitting", "running", "done")
    steps.intend("submitting", reserved="5")
    steps.accept(steps.intend("running", reserved="7.5"))
    steps.run("done", units="4.4", reserved="100")
    spend = queries.spend(connection, "spring")
    assert (spend.deducted, spend.reserved, spend.unknown_tasks) == (Decimal("4.4"), Decimal("12.5"), 0)
    assert spend.committed == Decimal("16.9")


def test_an_ended_task_without_a_figure_is_unknown_and_stays_reserved(connection, steps):
    steps.enrol("silent", "failed")
    steps.run("silent", units=None, reserved="5")
    steps.fail("failed", units=None)
    spend = queries.spend(connection, "spring")
    assert (spend.deducted, spend.reserved, spend.unknown_tasks) == (Decimal(0), Decimal(10), 2)


def test_a_failed_attempt_stays_counted_when_the_next_is_in_flight(connection, steps):
    steps.enrol("a")
    steps.fail("a", units=None)
    steps.intend("a", reserved="6")
    spend = queries.spend(connection, "spring")
    assert (spend.reserved, spend.unknown_tasks) == (Decimal(11), 1)


@pytest.mark.parametrize("to", [JobState.PENDING, JobState.REJECTED])
def test_a_create_that_made_nothing_reserves_nothing(connection, steps, to):
    steps.enrol("a")
    steps.intend("a")
    writes.not_created(connection, "a", to, "refused")
    assert queries.spend(connection, "spring").committed == 0


def test_other_campaigns_are_not_in_it(connection, steps):
    steps.enrol("a", campaign="spring")
    steps.enrol("b", campaign="autumn")
    steps.run("b", units="4.4")
    ask(connection, "autumn")
    made(connection, "k", Decimal("0.05"))
    assert queries.spend(connection, "spring").committed == 0
    assert queries.spend(connection, "autumn").deducted == Decimal("4.45")


def test_a_speech_that_was_made(connection):
    ask(connection, "spring")
    assert speeches.speech(connection, "k").calls_lost == 1, "until it is answered it may have been billed"
    record = made(connection, "k", Decimal("0.05"))
    assert (record.audio_id, record.seconds, record.made_at) == ("audio-k", Decimal("3.2"), NOW)
    assert (record.calls, record.calls_lost, record.units_deducted) == (1, 0, Decimal("0.05"))
    assert speeches.speeches_of(connection, "spring") == [record]


def test_a_lost_answer_stays_counted_when_the_next_call_is_answered(connection):
    ask(connection, "spring")
    ask(connection, "spring")
    record = made(connection, "k", Decimal("0.05"))
    assert (record.calls, record.calls_lost) == (2, 1)


def test_a_call_that_reached_nobody_is_not_lost(connection):
    ask(connection, "spring")
    speeches.not_made(connection, "k")
    record = speeches.speech(connection, "k")
    assert (record.calls_lost, record.audio_id, record.units_deducted) == (0, None, None)


@pytest.mark.parametrize(
    ("first", "second", "total"),
    [
        (Decimal("0.05"), Decimal("0.05"), Decimal("0.1")),
        (Decimal("0.05"), None, Decimal("0.05")),
        (None, Decimal("0.05"), Decimal("0.05")),
        (None, None, None),
    ],
)
def test_what_a_text_made_twice_cost(connection, first, second, total):
    for units in (first, second):
        ask(connection, "spring")
        made(connection, "k", units)
    assert speeches.speech(connection, "k").units_deducted == total


def test_an_answer_to_a_speech_that_was_not_asked_for(connection):
    with pytest.raises(IllegalTransition, match="no question is open"):
        made(connection, "k", Decimal("0.05"))
    assert speeches.speech(connection, "k") is None


def test_what_a_lost_or_figureless_call_may_have_cost_is_held_back(connection):
    ask(connection, "spring")
    ask(connection, "spring")
    assert queries.spend(connection, "spring").reserved == Decimal("0.1")
    made(connection, "k", None)
    assert queries.spend(connection, "spring").reserved == Decimal("0.1"), "one lost, one without a figure"
    assert queries.spend(connection, "spring").deducted == 0


def test_a_figure_frees_what_was_held_back_for_its_call(connection):
    ask(connection, "spring")
    made(connection, "k", Decimal("0.04"))
    spend = queries.spend(connection, "spring")
    assert (spend.deducted, spend.reserved) == (Decimal("0.04"), 0)


def test_a_text_is_shown_with_the_job_it_was_first_made_for_at_the_newest_price(connection):
    ask(connection, "spring", job="first", units="0.05")
    ask(connection, "spring", job="second", units="0.07")
    record = speeches.speech(connection, "k")
    assert (record.external_task_id, record.call_units) == ("first", Decimal("0.07"))
    assert record.units_reserved == Decimal("0.14"), "two calls without an answer"


def test_a_refused_call_holds_nothing_back(connection):
    ask(connection, "spring")
    speeches.not_made(connection, "k")
    assert queries.spend(connection, "spring").reserved == 0


@pytest.mark.parametrize("figures", [(None, Decimal("0.05")), (Decimal("0.05"), None)])
def test_a_call_without_a_figure_is_not_hidden_by_one_with_a_figure(connection, figures):
    for units in figures:
        ask(connection, "spring")
        made(connection, "k", units)
    assert queries.spend(connection, "spring").committed == Decimal("0.10")


def test_equal_figures_in_other_spellings_are_each_counted(connection, steps):
    """Equal figures are counted together, by their text."""
    ids = [f"job-{number}" for number in range(6)]
    steps.enrol(*ids)
    for key, units in zip(ids, ("1.1", "1.1", "1.10", "2", "0.7", "1.1"), strict=True):
        steps.run(key, units=units)
    assert queries.spend(connection, "spring").deducted == Decimal("7.1")


def test_texts_of_one_price_are_each_counted(connection):
    for number in range(5):
        key = f"text-{number}"
        speeches.asked(connection, key, "spring", external_task_id="a", call_units=Decimal("0.05"))
        if number % 2:
            made(connection, key, Decimal("0.05"))
    spend = queries.spend(connection, "spring")
    assert (spend.deducted, spend.reserved) == (Decimal("0.10"), Decimal("0.15"))
