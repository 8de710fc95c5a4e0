"""Plans whose ledger and media are mappings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from manifest_runner.ledger import JobRecord
from manifest_runner.media import DEFAULT_RATES, JobMedia
from manifest_runner.models import Job, Rates, utc_now
from manifest_runner.runner.decide import Retry
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.step import Terms, is_open, orphan_of, step_of


def planned(
    jobs: Sequence[Job],
    media: Mapping[str, JobMedia],
    records: Mapping[str, JobRecord],
    *,
    missing_files: Collection[str] = (),
    altered_files: Collection[str] = (),
    retry: Collection[Retry] = (),
    rates: Rates = DEFAULT_RATES,
    now: datetime | None = None,
) -> Plan:
    """A plan whose ledger is a mapping, made as `survey` makes it."""
    terms = Terms(rates=rates, now=now or utc_now(), retry=retry)
    plan = Plan(
        jobs,
        lambda job: media.get(job.external_task_id),
        lambda ids: {key: records[key] for key in ids if key in records},
        terms,
    )
    for position, one in enumerate(jobs):
        key = one.external_task_id
        seen = {"missing": key in missing_files, "altered": key in altered_files}
        plan.take(position, step_of(one, media.get(key), records.get(key), terms, **seen), **seen)
    for record in records.values():
        if record.external_task_id not in {one.external_task_id for one in jobs} and is_open(record):
            plan.take_orphan(orphan_of(record, terms.now))
    return plan
