"""When a job that was surely not created is sent again, and how often. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why a create call made nothing although it may next time."""

    NO_SLOT = "no_slot"  # 1303: the account's slots are taken, perhaps by another program
    TOO_FAST = "too_fast"  # 1302
    NO_CONNECTION = "no_connection"
    TOKEN_RENEWED = "token_renewed"  # noqa: S105 - names a cause: the token was refused, and is a new one now
    NOT_FOUND = "not_found"  # its answer was lost, and two look-ups say that it never arrived


@dataclass(frozen=True, slots=True)
class _Bound:
    tries: int | None  # None: whoever waits has another bound
    first: float  # seconds
    longest: float  # seconds


_BOUNDS = {
    Cause.NO_SLOT: _Bound(None, 1.0, 30.0),
    Cause.TOO_FAST: _Bound(30, 1.0, 60.0),
    Cause.NO_CONNECTION: _Bound(6, 0.5, 15.0),
    Cause.TOKEN_RENEWED: _Bound(3, 0.0, 1.0),
    Cause.NOT_FOUND: _Bound(3, 0.0, 0.0),
}


def wait_before_again(
    cause: Cause, times: int, rng: random.Random, asked: float | None = None
) -> float | None:
    """Seconds until the next try after this has happened `times` times in a row, or None to give up for now.

    `asked` is what the service's Retry-After said, capped where it was read. The wait is exponential with full
    jitter above half, so that many jobs that were refused together don't come back together.
    """
    bound = _BOUNDS[cause]
    if bound.tries is not None and times >= bound.tries:
        return None
    wait = min(bound.longest, bound.first * 2.0 ** min(times - 1, 16))
    jittered = wait * rng.uniform(0.5, 1.0) if times > 1 else wait
    return max(jittered, asked or 0.0)
