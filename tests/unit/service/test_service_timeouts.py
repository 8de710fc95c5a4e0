from __future__ import annotations

import pytest

from manifest_runner.errors import UsageError
from manifest_runner.service import Timeouts
from manifest_runner.service.timeouts import too_slow

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
    [(0, 59, False), (0, 61, True), (61 * 1024 - 1, 61, True), (61 * 1024, 61, False), (10**9, 7200, False)],
)
def test_a_download_has_to_move(received: int, elapsed: float, crawls: bool) -> None:
    assert too_slow(received, elapsed) is crawls
