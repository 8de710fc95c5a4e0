"""How often to look: learned from what finished, whatever came in between."""

from __future__ import annotations

import random

import pytest

from manifest_runner.models import Mode
from manifest_runner.runner.pace import Pace, RenderTimes, Size, Stretch

PACE = Pace(shortest=1, longest=15)
QUICK = Pace(shortest=0.001, longest=15)


def learned(*took: float, seconds: float = 10.0, mode: Mode = Mode.STD) -> RenderTimes:
    times = RenderTimes()
    for one in took:
        times.learn(Size(mode, seconds), one)
    return times


@pytest.mark.parametrize(("age", "seconds"), [(-3, 1), (0, 1), (20, 1), (60, 3), (200, 10), (9999, 15)])
def test_before_anything_is_learned_the_oldest_task_decides(age, seconds):
    under_way = [(Size(), age), (Size(), min(age, 1.0))]
    assert RenderTimes().interval(PACE, under_way, wanted=True) == pytest.approx(seconds)


def test_the_time_depends_on_the_mode_and_on_the_seconds():
    times, rng = RenderTimes(), random.Random(3)
    for _ in range(40):
        seconds = rng.uniform(5, 60)
        times.learn(Size(Mode.STD, seconds), 20 + 2 * seconds + rng.gauss(0, 1))
        times.learn(Size(Mode.PRO, seconds), 30 + 4 * seconds + rng.gauss(0, 1))
    assert times.expected(Size(Mode.STD, 30)) == pytest.approx(80, abs=3)
    assert times.expected(Size(Mode.PRO, 30)) == pytest.approx(150, abs=3)
    assert times.expected(Size(Mode.PRO, None)) == pytest.approx(150, abs=3), "a usual length"


def test_outliers_bend_nothing():
    times, rng = RenderTimes(), random.Random(4)
    for number in range(40):
        seconds = rng.uniform(5, 60)
        times.learn(Size(Mode.STD, seconds), 3600 if number % 9 == 0 else 20 + 2 * seconds)
    assert times.expected(Size(Mode.STD, 30)) == pytest.approx(80, abs=4)


def test_a_mode_that_has_not_ended_yet_has_taught_nothing():
    assert learned(30, 30, 30).expected(Size(Mode.PRO, 10)) is None


def test_what_is_recent_counts():
    times = learned(*[10.0] * 100, *[50.0] * 40)
    assert times.expected(Size(Mode.STD, 10)) == pytest.approx(50)


@pytest.mark.parametrize(("wanted", "seconds"), [(True, 5.0), (False, 10.0)])
def test_a_share_of_the_time_it_takes(wanted, seconds):
    times = learned(200, 200, 200, 40)  # one was much quicker
    assert times.interval(PACE, [(Size(Mode.STD, 10), 100)], wanted=wanted) == pytest.approx(seconds)


def test_while_nothing_can_have_ended_there_is_nothing_to_look_for():
    times, size = learned(180, 200, 220), Size(Mode.STD, 10)
    assert times.earliest(size) == pytest.approx(0.9 * 180)
    assert times.interval(PACE, [(size, 0)], wanted=True) == 15, "in one go up to the bound"
    assert times.interval(PACE, [(size, 155)], wanted=True) == pytest.approx(7)
    assert times.interval(PACE, [(size, 170)], wanted=True) == 5
    assert times.interval(PACE, [(size, 0), (size, 170)], wanted=True) == 5, "any of them"


def test_one_or_two_ends_say_nothing_of_the_shortest():
    assert learned(180, 200).earliest(Size(Mode.STD, 10)) == 0


def test_tasks_that_end_at_once_are_looked_at_as_often_as_can_be():
    quick = Pace(shortest=0.02, longest=2)
    times = learned(0, 0, 0, 0)
    assert times.interval(quick, [(Size(Mode.STD, 10), 0)], wanted=True) == 0.02


def test_callbacks_stretch_the_looks_and_a_missed_one_shrinks_them_at_once():
    stretch = Stretch()
    for _ in range(3):
        stretch.looked()
    assert stretch.factor == 1
    for _ in range(10):
        stretch.hint(now=100.0)
        stretch.ended_by_hint()
        stretch.ended_by_hint()
        stretch.looked()
    assert stretch.factor == Stretch.MOST
    stretch.missed(now=101.0, late=0.5)
    assert stretch.factor == Stretch.MOST, "its callback may still be on its way"
    stretch.missed(now=101.0, late=9.0)
    assert stretch.factor == 1


@pytest.mark.parametrize(("now", "late"), [(101.0, None), (200.0, 1.0)])
def test_nor_do_callbacks_that_have_ceased_stretch_anything(now, late):
    stretch = Stretch()
    stretch.hint(now=100.0)
    stretch.ended_by_hint()
    stretch.looked()
    assert stretch.factor == 2
    stretch.missed(now=now, late=late)
    assert stretch.factor == 1


def taught(factor: float = 0.5, noise: tuple[float, ...] = (0.0,)) -> RenderTimes:
    times = RenderTimes()
    for number in range(16):
        seconds = 10.0 + number
        times.learn(Size(Mode.STD, seconds), 2.0 + factor * seconds + noise[number % len(noise)])
    return times


def test_where_jobs_wait_the_look_comes_when_a_task_has_most_likely_ended():
    times, size = taught(), Size(Mode.STD, 20.0)  # which takes 12 s
    under_way = [(size, 11.9), (size, 2.0), (size, 1.0)]
    assert times.interval(QUICK, under_way, wanted=True) == pytest.approx(0.1, abs=0.01)
    assert times.interval(QUICK, under_way, wanted=False) == pytest.approx(12 / 20, abs=0.01)


def test_however_many_ends_are_expected_looks_keep_their_distance():
    times, size = taught(), Size(Mode.STD, 20.0)
    assert times.interval(QUICK, [(size, 11.999)] * 3, wanted=True) == pytest.approx(12 / 40 / 6, abs=0.01)


def test_a_task_that_is_overdue_hurries_nobody():
    times, size = taught(), Size(Mode.STD, 20.0)
    assert times.interval(QUICK, [(size, 13.0)] * 3, wanted=True) == pytest.approx(12 / 40, abs=0.01)


def test_where_tasks_differ_the_look_waits_until_most_of_them_have_ended():
    times, size = taught(noise=(-2.0, 0.0, 0.0, 2.0)), Size(Mode.STD, 20.0)
    likely = times.likely(size)
    assert likely is not None
    assert 12.0 <= likely <= 14.2
    assert times.likely(Size(Mode.PRO, 20.0)) is None
