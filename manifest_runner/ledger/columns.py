"""How a job's values are written into the ledger's columns; `records` reads them back."""

from __future__ import annotations

import json

from manifest_runner.models import Job, Units, units_text


def paid_columns(job: Job) -> tuple[str, int]:
    """`mode`, `watermark`: what the job pays for."""
    return job.mode, int(job.watermark)


def free_columns(job: Job) -> tuple[str, str]:
    """`tags`, `vars`: what only the report shows."""
    return json.dumps(list(job.tags)), json.dumps(dict(job.vars))


def units_column(units: Units | None) -> str | None:
    return units_text(units) if units is not None else None
