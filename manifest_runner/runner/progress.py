"""How far a run has come, read from the ledger: bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

from tqdm import tqdm

from manifest_runner.ledger import Ledger, queries
from manifest_runner.models import JobState, Units, units_text

LOOK_SECONDS = 0.5
LINE_SECONDS = 10.0
SETTLED = (
    JobState.DONE,
    JobState.FAILED,
    JobState.REJECTED,
    JobState.CONFLICT,
    JobState.EXPIRED,
)


class Progress:
    """Shows a campaign's progress on standard error until cancelled."""

    def __init__(self, ledger: Ledger, campaign: str, *, expected_units: Units) -> None:
        self._ledger = ledger
        self._campaign = campaign
        self._expected_units = expected_units
        self._bytes = 0

    def received(self, count: int) -> None:
        """So many bytes of video came in."""
        self._bytes += count

    async def run(self) -> None:
        if sys.stderr.isatty():
            await self._bars()
        else:
            await self._lines()

    async def _bars(self) -> None:
        counts, units = self._look()
        with (
            tqdm(total=sum(counts.values()), desc="Jobs", unit="job", leave=False) as jobs,
            tqdm(
                total=float(max(self._expected_units, units)),
                desc="Units",
                bar_format="{desc}: {n:.1f} of about {total:.1f} |{bar}|",
                leave=False,
            ) as spent,
            tqdm(desc="Downloads", unit="B", unit_scale=True, leave=False) as downloads,
        ):
            while True:
                counts, units = self._look()
                jobs.n = sum(counts.get(state, 0) for state in SETTLED)
                jobs.set_postfix_str(_under_way(counts))
                spent.n = float(units)
                spent.refresh()
                downloads.update(self._bytes - downloads.n)
                await asyncio.sleep(LOOK_SECONDS)

    async def _lines(self) -> None:
        while True:
            await asyncio.sleep(LINE_SECONDS)
            counts, units = self._look()
            settled = sum(counts.get(state, 0) for state in SETTLED)
            print(  # noqa: T201 - this is the display
                f"{settled} of {sum(counts.values())} jobs ended; {_under_way(counts)}; {units_text(units)} units; "
                f"{self._bytes / 1e6:.1f} MB fetched",
                file=sys.stderr,
                flush=True,
            )

    def _look(self) -> tuple[dict[JobState, int], Decimal]:
        counts = self._ledger.read(queries.counts, self._campaign)
        return counts, self._ledger.read(queries.spend, self._campaign).deducted


def _under_way(counts: dict[JobState, int]) -> str:
    at_service = counts.get(JobState.SUBMITTING, 0) + counts.get(JobState.RUNNING, 0)
    return f"{at_service} at the service, {counts.get(JobState.RENDERED, 0)} to fetch"
