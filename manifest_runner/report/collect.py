"""The ledger of one campaign as a report: totals at hand, lines read again whenever they are asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from manifest_runner.errors import UsageError
from manifest_runner.ledger import queries
from manifest_runner.ledger.speeches import speeches_of
from manifest_runner.models import Units, utc_now
from manifest_runner.report.lines import JobLine, line_of
from manifest_runner.report.tally import FailureGroup, Tally, Totals


class RatesLike(Protocol):
    """Estimated prices: units a second of video for the modes, units a call for speech."""

    @property
    def std(self) -> Units: ...

    @property
    def pro(self) -> Units: ...

    @property
    def speech(self) -> Units: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignReport:
    """One campaign at one moment. `jobs()` reads the lines anew, in the manifest's order, a few at a time."""

    campaign: str
    service: str
    manifest: str
    generated_at: datetime
    rates: RatesLike
    totals: Totals
    failures: tuple[FailureGroup, ...]
    var_names: tuple[str, ...]
    jobs: Callable[[], Iterator[JobLine]]


@contextmanager
def collect(
    connection: sqlite3.Connection,
    campaign: str,
    *,
    rates: RatesLike,
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
        totals = tally.totals(speeches_of(connection, campaign))
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
            jobs=lambda: _lines(connection, campaign),
        )
    finally:
        connection.execute("ROLLBACK")


def _lines(connection: sqlite3.Connection, campaign: str) -> Iterator[JobLine]:
    return map(line_of, queries.jobs(connection, campaign))


def _unknown_campaign(connection: sqlite3.Connection, campaign: str) -> UsageError:
    known = queries.campaigns(connection)
    return UsageError(
        f"The ledger has no jobs of a campaign {campaign!r}.",
        mend=f"It has: {', '.join(known)}." if known else "It holds no jobs yet: run a campaign first.",
    )
