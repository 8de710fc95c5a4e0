from __future__ import annotations

from collections.abc import Callable

import pytest

from manifest_runner.errors import UsageError
from manifest_runner.service import Timeouts
from manifest_runner.service.timeouts import DownloadClock, too_slow

MEGABYTE = 1024 * 1024


def test_a_create_may_take_its_time_and_the_upload_of_its_body() -> None:
    timeouts = Timeouts(create_seconds=60)
    assert timeouts.create_bound(0) == 60
    assert timeouts.create_bound(20 * MEGABYTE) == 60 + 80
    assert timeouts.settle_seconds(20 * MEGABYTE) == 1.5 * 140


@pytest.mark.parametrize("seconds", [0.1, 1, 60, 3600])
def test_connecting_over_tcp_and_tls_ends_before_the_whole_bound(seconds: float) -> None:
    create = Timeouts(create_seconds=seconds).create(MEGABYTE)
    assert 2 * create.connect < Timeouts(create_seconds=seconds).create_bound(MEGABYTE)
    assert create.write == create.read == Timeouts(create_seconds=seconds).create_bound(MEGABYTE)


def test_each_phase_of_each_kind_of_call_is_bounded() -> None:
    timeouts = Timeouts()
    for timeout in (timeouts.create(5), timeouts.reads(), timeouts.downloads()):
        assert None not in timeout.as_dict().values()


@pytest.mark.parametrize("seconds", [0, -1, 3601, float("nan"), float("inf")])
def test_senseless_times_are_refused(seconds: float) -> None:
    with pytest.raises(UsageError):
        Timeouts(create_seconds=seconds)


@pytest.mark.parametrize(
    ("received", "elapsed", "crawls"),
    [
        (0, 59.9, False),
        (0, 60, True),
        (60 * 16 * 1024 - 1, 60, True),
        (60 * 16 * 1024, 60, False),
        (80 * 2048, 80, True),
    ],
)
def test_a_download_has_to_move(received: int, elapsed: float, crawls: bool) -> None:
    assert too_slow(received, elapsed) is crawls


def given_up_after(rate: Callable[[int], int], seconds: int) -> tuple[int, str] | None:
    """When, and why, a download is given up that brings `rate(second)` bytes each second."""
    clock = DownloadClock(1000.0)
    for second in range(1, seconds + 1):
        objection = clock.objection(rate(second), 1000.0 + second)
        if objection is not None:
            return second, objection
    return None


def test_a_steady_download_may_take_an_hour_and_no_more() -> None:
    assert given_up_after(lambda _: MEGABYTE, 3600) is None
    assert given_up_after(lambda _: MEGABYTE, 3601) == (3601, "takes longer than 60 minutes")


def test_a_fast_beginning_buys_no_slow_rest() -> None:
    assert given_up_after(lambda second: 500 * MEGABYTE if second < 10 else 2048, 3600) == (
        120,
        "comes too slowly to go on waiting",
    )


def test_a_pause_within_a_minute_is_no_crawl() -> None:
    assert given_up_after(lambda second: MEGABYTE if second % 50 == 0 else 0, 600) is None
