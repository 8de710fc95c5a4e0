"""The service's error codes: what each means and what follows from it. One table, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Decision(StrEnum):
    """What follows from an answer."""

    DONE = "done"  # go on
    STOP_RUN = "stop_run"  # every job would meet the same: a person first
    RENEW_TOKEN = "renew_token"  # noqa: S105 - no password: a new token, the call once more, then stop
    CHECK_CLOCK = "check_clock"  # a token by the service's clock, the call once more, then stop
    PAUSE_CAMPAIGN = "pause_campaign"  # the account can't pay: jobs stay pending
    FAIL_JOB = "fail_job"  # this job is refused for good, the others go on
    NOT_THERE = "not_there"  # a look-up's "no such task"
    SLOW_DOWN = "slow_down"  # fewer requests a second, then again
    HOLD_BACK = "hold_back"  # no slot free: fewer tasks at once, then again
    TRY_AGAIN = "try_again"  # later; a create only after the id was looked up


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """One row of the sheet. `http_statuses` are those it is documented with."""

    number: int
    http_statuses: tuple[int, ...]
    decision: Decision
    meaning: str
    mend: str


_KEY = "Check the key in your environment or .env file against the one in the service's console."
_CLOCK = "Set this computer's clock (switch time synchronisation on), then run again."
_PAY = "Settle it in the service's console, then run again: jobs that were not sent are still pending."
_ROW = "Mend this job's row in the manifest, then run again."
_BUG = "Please report this as a bug of manifest-runner."
_WAIT = "Nothing to do: it is tried again."

_SHEET = (
    (0, (200,), Decision.DONE, "done", ""),
    (1000, (401,), Decision.STOP_RUN, "the service does not accept the key", _KEY),
    (
        1001,
        (401,),
        Decision.STOP_RUN,
        "the call reached the service without its key",
        f"{_KEY} A proxy may strip it.",
    ),
    (1002, (401,), Decision.STOP_RUN, "the key is not in a form the service reads", _KEY),
    (1003, (401,), Decision.CHECK_CLOCK, "the token is not valid yet by the service's clock", _CLOCK),
    (1004, (401,), Decision.RENEW_TOKEN, "the token has expired by the service's clock", _CLOCK),
    (1100, (429,), Decision.STOP_RUN, "something is wrong with the account", "See the service's console."),
    (1101, (429,), Decision.PAUSE_CAMPAIGN, "the account is in arrears", _PAY),
    (1102, (429,), Decision.PAUSE_CAMPAIGN, "the resource pack is empty or has expired", _PAY),
    (
        1103,
        (403,),
        Decision.STOP_RUN,
        "the account has no right to this",
        "Ask for access in the service's console.",
    ),
    (1200, (400,), Decision.FAIL_JOB, "a parameter is wrong", _ROW),
    (1201, (400,), Decision.FAIL_JOB, "a parameter is wrong, or its value can't be used", _ROW),
    (1202, (404,), Decision.STOP_RUN, "the service has no such call", _BUG),
    (1203, (404,), Decision.NOT_THERE, "the service has no such thing", _ROW),
    (1300, (400,), Decision.FAIL_JOB, "the platform's policy does not allow it", _ROW),
    (1301, (400,), Decision.FAIL_JOB, "the content check does not allow it", _ROW),
    (1302, (429,), Decision.SLOW_DOWN, "too many requests in a short time", _WAIT),
    (1303, (429,), Decision.HOLD_BACK, "all of the account's slots are taken", _WAIT),
    (
        1304,
        (429,),
        Decision.STOP_RUN,
        "this address is not on the account's white list",
        "Add it in the console.",
    ),
    (5000, (500, 503, 504), Decision.TRY_AGAIN, "an error inside the service", _WAIT),
    (5001, (500, 503, 504), Decision.TRY_AGAIN, "the service is being maintained", _WAIT),
    (5002, (500, 503, 504), Decision.TRY_AGAIN, "something inside the service took too long", _WAIT),
)

CODES = MappingProxyType(
    {
        number: Code(number=number, http_statuses=statuses, decision=decision, meaning=meaning, mend=mend)
        for number, statuses, decision, meaning, mend in _SHEET
    }
)

_CLASSES = (
    (range(1000, 1100), Decision.STOP_RUN),  # authentication
    (range(1100, 1200), Decision.PAUSE_CAMPAIGN),  # the account
    (range(5000, 6000), Decision.TRY_AGAIN),  # the service's own troubles
)
_BY_HTTP = {401: Decision.STOP_RUN, 403: Decision.STOP_RUN, 429: Decision.SLOW_DOWN}


def decision_for(code: int, http_status: int, *, creating: bool = False) -> Decision:
    """What follows from an envelope with this code. `creating` for the calls that make something.

    For a create this says what to do once it is *known* that nothing was made; whether that is known is
    `judge_create`'s to say, and it trusts no code that this table doesn't have.
    """
    if code == 0:  # success has to be said twice: by the code and by HTTP
        return Decision.DONE if 200 <= http_status < 300 else Decision.TRY_AGAIN
    if creating and code == 1203:
        return Decision.FAIL_JOB
    row = CODES.get(code)
    return row.decision if row else _undocumented(code, http_status)


def _undocumented(code: int, http_status: int) -> Decision:
    """By the code's class; where that says nothing, by HTTP; where nothing does, a person decides."""
    for numbers, decision in _CLASSES:
        if code in numbers:
            return decision
    if http_status >= 500:
        return Decision.TRY_AGAIN
    if http_status in _BY_HTTP:
        return _BY_HTTP[http_status]
    if code in range(1200, 1400) or 400 <= http_status < 500:
        return Decision.FAIL_JOB
    return Decision.STOP_RUN


def meaning_of(code: int) -> str:
    row = CODES.get(code)
    return row.meaning if row else "a code that the documentation does not have"


def mend_for(code: int) -> str:
    row = CODES.get(code)
    return row.mend if row else "Give the service's support the request id."
