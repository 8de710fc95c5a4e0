"""When to repeat a call that is safe to repeat: look-ups, lists, downloads. Never a create."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from manifest_runner.errors import GarbledReply, ServiceError, ServiceRefused, TransportFault
from manifest_runner.service.codes import Decision, decision_for
from manifest_runner.service.headers import LONGEST_RETRY_AFTER

LOOK_UP_TRIES = 8  # some two minutes, of a question that costs nothing
_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
_PASSING = (Decision.TRY_AGAIN, Decision.SLOW_DOWN, Decision.HOLD_BACK)
_PASSING_HTTP = (408, 425, 429)

Result = TypeVar("Result")


def next_delay(error: ServiceError, tries: int, rng: random.Random) -> float | None:
    """Seconds until the next try after `tries` failed ones (from 1); None when repeating can't help.

    Exponential from 1 s to 30 s, drawn from the upper half, so that many clients spread and none hurries. A
    Retry-After is a floor, at most a minute.
    """
    if not _passes(error):
        return None
    longest = min(_FIRST_SECONDS * 2 ** min(tries - 1, 10), _LONGEST_SECONDS)
    delay = rng.uniform(longest / 2, longest)
    asked = error.retry_after if isinstance(error, ServiceRefused | GarbledReply) else None
    return max(delay, min(asked or 0.0, LONGEST_RETRY_AFTER))


def _passes(error: ServiceError) -> bool:
    match error:
        case ServiceRefused():
            return error.renewed or decision_for(error.code, error.http_status) in _PASSING
        case GarbledReply(http_status=status):
            # A broken success or a gateway's own page passes; a redirect or a gateway's refusal stays.
            return 200 <= status < 300 or status >= 500 or status in _PASSING_HTTP
        case TransportFault():
            return True
        case _:
            return False


async def repeat_safely(
    call: Callable[[], Awaitable[Result]],
    *,
    limit: int | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    rng: random.Random | None = None,
) -> Result:
    """Calls up to `limit` times (LOOK_UP_TRIES); the last error is raised as it is. For calls that create nothing."""
    limit = LOOK_UP_TRIES if limit is None else limit
    rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
    tries = 1
    while True:
        try:
            return await call()
        except ServiceError as error:
            delay = next_delay(error, tries, rng)
            if delay is None or tries >= limit:
                raise
        await sleep(delay)
        tries += 1
