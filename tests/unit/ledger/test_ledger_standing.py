"""Where a campaign stands, counted, and what has moved since."""

from __future__ import annotations

from decimal import Decimal

import pytest

from manifest_runner.errors import LedgerError
from manifest_runner.ledger import speeches
from manifest_runner.ledger.standing import CHUNK, moves_after, named_count, standing
from manifest_runner.models import JobState


def test_the_counts_are_of_the_jobs_that_the_manifest_names(connection, steps):
    assert (standing(connection, "spring").by_state, standing(connection, "spring").event) == ({}, 0)
    steps.enrol("a", "b", "gone")
    steps.enrol("x", campaign="autumn")
    steps.run("a")
    connection.execute("UPDATE jobs SET listed = 0 WHERE external_task_id = 'gone'")
    now = standing(connection, "spring")
    assert now.by_state == {JobState.DONE: 1, JobState.PENDING: 1}
    assert moves_after(connection, "spring", now.event) == []


def test_moves_say_what_is_known_of_their_attempt(connection, steps):
    steps.enrol("a")
    before = standing(connection, "spring").event
    steps.run("a")
    moves = moves_after(connection, "spring", before)
    assert [move.to_state for move in moves] == ["submitting", "running", "rendered", "done"]
    assert {move.attempt_id for move in moves} == {"a"}
    last = moves[-1]
    assert (last.units_deducted, last.units_estimated, last.units_reserved) == (
        Decimal("4.4"),
        Decimal("4.4"),
        Decimal(5),
    )
    assert (last.video_seconds, last.task_id) == (Decimal("11.32"), "868123456789012345")
    assert moves_after(connection, "spring", moves[0].seq, most=2) == moves[1:3]
    assert moves_after(connection, "autumn", 0) == []


def test_named_ids_are_counted_and_no_others(connection, steps):
    ids = [f"job-{number}" for number in range(CHUNK + 7)]
    steps.enrol(*ids, "other")
    steps.enrol("elsewhere", campaign="autumn")
    steps.run("job-3")
    connection.execute(
        """UPDATE jobs SET changed = '["prompt"]' WHERE external_task_id IN ('job-3', 'other')"""
    )
    found = named_count(connection, "spring", iter([*ids, "never seen", "elsewhere"]))
    assert found.by_state == {JobState.PENDING: CHUNK + 6, JobState.DONE: 1}
    assert found.changed == 1


def test_each_look_costs_what_is_new(connection, steps):
    """The plan that SQLite makes must look ids and events up, and never go through the campaign."""

    def plan_of(ask) -> str:
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        ask()
        connection.set_trace_callback(None)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()
        return " / ".join(row["detail"] for row in rows)

    steps.enrol("a")
    for ask in (
        lambda: named_count(connection, "spring", ["a"]),
        lambda: moves_after(connection, "spring", 0),
        lambda: speeches.speeches_for(connection, ["a"]),
    ):
        plan = plan_of(ask)
        assert "jobs_by" not in plan, plan
        for table in ("jobs", "j", "e", "a", "speeches"):
            assert f"SCAN {table} " not in f"{plan} ", plan


def test_a_value_that_no_run_writes_is_told_as_that(connection, steps):
    steps.enrol("a")
    connection.execute("UPDATE events SET at = 'noon'")
    with pytest.raises(LedgerError, match="no run writes"):
        moves_after(connection, "spring", 0)


def test_texts_are_found_by_their_jobs(connection, steps):
    steps.enrol("a", "b")
    for key, job in (("k1", "a"), ("k2", "b"), ("k3", "a")):
        speeches.asked(connection, key, "spring", external_task_id=job, call_units=Decimal("0.05"))
    assert [one.key for one in speeches.speeches_for(connection, ["a", "c"])] == ["k1", "k3"]
    assert {one.key for one in speeches.each_speech(connection, "spring")} == {"k1", "k2", "k3"}
    assert list(speeches.each_speech(connection, "autumn")) == []
