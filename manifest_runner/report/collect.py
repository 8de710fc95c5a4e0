"""The ledger of one campaign as a report: totals at hand, lines read again whenever they are asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from manifest_runner.errors import UsageError
from manifest_runner.ledger import SpeechRecord, queries
from manifest_runner.ledger.limits import LimitRecord, LimitSpan, limit_span, limits_of
from manifest_runner.ledger.speeches import each_speech, speeches_for
from manifest_runner.models import Rates, Units, utc_now
from manifest_runner.report.lines import NOTHING, JobLine, line_of
from manifest_runner.report.tally import FailureGroup, Tally, Totals

CHUNK = 500  # jobs at once


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignReport:
    """One campaign at one moment. `jobs()` reads the lines anew, in the manifest's order, a few at a time."""

    campaign: str
    service: str
    manifest: str
    generated_at: datetime
    rates: Rates
    totals: Totals
    failures: tuple[FailureGroup, ...]
    var_names: tuple[str, ...]
    slots: tuple[LimitRecord, ...]  # the newest changes of the limit
    slot_span: LimitSpan | None
    jobs: Callable[[], Iterator[JobLine]]
    ledger_id: str  # tells the report of one ledger from that of another


@contextmanager
def collect(
    connection: sqlite3.Connection,
    campaign: str,
    *,
    rates: Rates,
    manifest_name: str,
    service: str,
) -> Iterator[CampaignReport]:
    """The report of a campaign, good within the `with`.

    One read transaction spans it: what the lines say adds up to the totals even while a runner goes on writing.
    Raises UsageError for a campaign that the ledger doesn't have.
    """
    connection.execute("BEGIN")
    try:
        tally = Tally()
        for line in _lines(connection, campaign):
            tally.add(line)
        for speech in each_speech(connection, campaign):
            tally.add_speech(speech)
        totals = tally.totals()
        if not totals.jobs:
            raise _unknown_campaign(connection, campaign)
        yield CampaignReport(
            campaign=campaign,
            service=service,
            manifest=manifest_name,
            generated_at=utc_now(),
            rates=rates,
            totals=totals,
            failures=tally.failures(),
            var_names=tally.var_names(),
            slots=limits_of(connection, campaign),
            slot_span=limit_span(connection, campaign),
            jobs=lambda: _lines(connection, campaign),
            ledger_id=queries.ledger_id(connection),
        )
    finally:
        connection.execute("ROLLBACK")


def _lines(connection: sqlite3.Connection, campaign: str) -> Iterator[JobLine]:
    records = queries.jobs(connection, campaign)
    while some := list(islice(records, CHUNK)):
        spoken = speeches_for(connection, [record.external_task_id for record in some])
        speech_units = _speech_units(spoken)
        for record in some:
            yield line_of(record, speech_units.get(record.external_task_id, NOTHING))


def _speech_units(spoken: Iterable[SpeechRecord]) -> dict[str, Units | None]:
    """By job, what its texts cost; None where the service gave no figure for one of them."""
    by_job: dict[str, Units | None] = {}
    for speech in spoken:
        if speech.external_task_id is None:
            continue  # made by a version that did not keep for whom
        before = by_job.get(speech.external_task_id, NOTHING)
        known = speech.units_deducted or NOTHING
        by_job[speech.external_task_id] = None if before is None or speech.units_reserved else before + known
    return by_job


def _unknown_campaign(connection: sqlite3.Connection, campaign: str) -> UsageError:
    known = queries.campaigns(connection)
    return UsageError(
        f"The ledger has no jobs of a campaign {campaign!r}.",
        mend=f"It has: {', '.join(known)}." if known else "It holds no jobs yet: run a campaign first.",
    )
