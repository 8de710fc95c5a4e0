from __future__ import annotations

import random

import pytest

from manifest_runner.errors import GarbledReply, RequestPhase, ServiceError, ServiceRefused, TransportFault
from manifest_runner.service import next_delay, repeat_safely


def refused(code: int, status: int, retry_after: float | None = None) -> ServiceRefused:
    return ServiceRefused("no", code=code, http_status=status, retry_after=retry_after)


def garbled(status: int, retry_after: float | None = None) -> GarbledReply:
    return GarbledReply("html", http_status=status, retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (refused(5000, 500), True),
        (refused(5001, 503), True),
        (refused(1302, 429), True),
        (refused(1303, 429), True),
        (refused(1000, 401), False),
        (refused(1004, 401), False),
        (ServiceRefused("no", code=1004, http_status=401, renewed=True), True),
        (refused(1102, 429), False),
        (refused(1200, 400), False),
        (refused(1203, 404), False),
        (garbled(200), True),
        (garbled(502), True),
        (garbled(429), True),
        (garbled(408), True),
        (garbled(302), False),
        (garbled(404), False),
        (TransportFault("x", phase=RequestPhase.NOT_SENT), True),
        (TransportFault("x", phase=RequestPhase.MAYBE_SENT), True),
        (ServiceError("something new"), False),
    ],
)
def test_what_is_worth_another_try(error: ServiceError, passes: bool) -> None:
    assert (next_delay(error, 1, random.Random(1)) is not None) is passes


@pytest.mark.parametrize(("tries", "longest"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (10_000, 30)])
def test_waits_grow_and_are_spread(tries: int, longest: float) -> None:
    delays = [next_delay(garbled(502), tries, random.Random(seed)) for seed in range(50)]
    assert all(longest / 2 <= delay <= longest for delay in delays)
    assert len(set(delays)) > 40


@pytest.mark.parametrize("error", [refused(1302, 429, 20.0), garbled(503, 20.0)])
def test_retry_after_is_a_floor(error: ServiceError) -> None:
    assert next_delay(error, 1, random.Random(1)) == 20.0


def test_retry_after_shortens_no_wait_and_has_a_cap() -> None:
    assert next_delay(refused(1302, 429, 0.0), 6, random.Random(1)) >= 15
    assert next_delay(refused(1302, 429, 1e9), 1, random.Random(1)) == 60


class Call:
    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)

    async def __call__(self) -> object:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def repeat(call: Call, limit: int) -> tuple[object, list[float]]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return await repeat_safely(call, limit=limit, sleep=sleep, rng=random.Random(1)), waits


async def test_a_call_is_repeated_until_it_goes_well() -> None:
    answer, waits = await repeat(Call(garbled(502), refused(5000, 500), "here"), limit=5)
    assert answer == "here"
    assert len(waits) == 2 and waits[0] <= 1 < waits[1] <= 2


async def test_the_last_error_is_raised_as_it_is() -> None:
    call = Call(garbled(502), garbled(503), garbled(504), "never")
    with pytest.raises(GarbledReply) as caught:
        await repeat(call, limit=3)
    assert caught.value.http_status == 504
    assert call.outcomes == ["never"]


async def test_what_can_not_pass_is_raised_at_once() -> None:
    call = Call(refused(1000, 401), "never")
    with pytest.raises(ServiceRefused):
        await repeat(call, limit=9)
    assert call.outcomes == ["never"]


async def test_an_error_of_ours_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        await repeat_safely(Call(ZeroDivisionError()), limit=3)
