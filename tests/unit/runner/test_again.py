"""When to send again what was surely not created."""

from __future__ import annotations

import random

import pytest

from manifest_runner.runner.again import Cause, wait_before_again

RNG = random.Random(7)


@pytest.mark.parametrize(
    ("cause", "tries"),
    [(Cause.TOO_FAST, 30), (Cause.NO_CONNECTION, 6), (Cause.NOT_FOUND, 3)],
)
def test_each_cause_has_its_bound(cause, tries):
    assert wait_before_again(cause, tries - 1, RNG) is not None
    assert wait_before_again(cause, tries, RNG) is None


def test_slots_are_waited_for_as_long_as_whoever_waits_says():
    waits = [wait_before_again(Cause.NO_SLOT, times, RNG) for times in range(1, 1000)]
    assert waits[0] == 1.0
    assert all(15.0 <= wait <= 30.0 for wait in waits[10:])
    assert None not in waits


def test_the_wait_grows_and_is_spread():
    fifth = {round(wait_before_again(Cause.TOO_FAST, 5, random.Random(seed)), 6) for seed in range(20)}
    assert len(fifth) > 10
    assert all(8.0 <= wait <= 16.0 for wait in fifth)


def test_what_the_service_asks_for_is_a_floor():
    assert wait_before_again(Cause.TOO_FAST, 1, RNG, asked=42.0) == 42.0
    assert wait_before_again(Cause.NOT_FOUND, 1, RNG) == 0.0
