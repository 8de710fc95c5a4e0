"""The account's one resource pack, and the rule of one question a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from manifest_runner.models import Units
from manifest_runner.sandbox.refusals import TOO_FAST, Refusal

PACK_UNITS = Decimal(1_000_000)  # no rehearsal should end for want of pretended money
PACK_MONTHS = 1200


class OnceASecond:
    """Lets one call through and refuses the next (1302) until a second has passed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = float("-inf")

    def check(self) -> None:
        now = self._clock()
        if now < self._next:
            raise Refusal(TOO_FAST, "Requests are too fast: at most 1 a second here", retry_after=1)
        self._next = now + 1


def resource_packs(*, slots: int, opened_ms: int, deducted: Units) -> dict[str, object]:
    """The `data` of /account/costs. The pack's name carries the slots, as the service's own packs do."""
    remaining = max(PACK_UNITS - deducted, Decimal(0))
    lasts_ms = int(timedelta(days=30 * PACK_MONTHS).total_seconds() * 1000)
    pack = {
        "resource_pack_name": f"Sandbox-Video-{PACK_UNITS}Units-{slots}Con-{PACK_MONTHS}Months",
        "resource_pack_id": f"sandbox-{opened_ms}",
        "resource_pack_type": "decreasing_total",
        "total_quantity": float(PACK_UNITS),
        "remaining_quantity": float(remaining),  # the service sends a JSON number here
        "purchase_time": opened_ms,
        "effective_time": opened_ms,
        "invalid_time": opened_ms + lasts_ms,
        "status": "online" if remaining else "runOut",
    }
    return {"code": 0, "msg": "SUCCEED", "resource_pack_subscribe_infos": [pack]}
