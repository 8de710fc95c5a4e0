"""How a job's values are written into the ledger's columns; `records` reads them back."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from functools import lru_cache

from manifest_runner.models import Job, Units, units_text, utc_text


def paid_columns(job: Job) -> tuple[str, int]:
    """`mode`, `watermark`: what the job pays for."""
    return job.mode, int(job.watermark)


def free_columns(job: Job) -> tuple[str, str]:
    """`tags`, `vars`: what only the report shows."""
    return json.dumps(list(job.tags)), json.dumps(dict(job.vars))


def units_column(units: Units | None) -> str | None:
    return units_text(units) if units is not None else None


def now_text() -> str:
    """This moment as `utc_text` has it. Each write asks, so most of the text is made once a second."""
    second, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_up_to(second)}{milliseconds:03}Z"


@lru_cache(maxsize=1)
def _up_to(second: int) -> str:
    return utc_text(datetime.fromtimestamp(second, UTC)).removesuffix("000Z")
