"""The limit over time in the ledger: the first value, what lasts, and no more rows than a report can use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from manifest_runner.errors import LedgerError
from manifest_runner.ledger import Ledger, limits, open_ledger
from manifest_runner.runner.limit_log import LimitLog


@pytest.fixture
def ledger(tmp_path: Path):
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        yield ledger


def kept(ledger: Ledger) -> list[tuple[int, int, str]]:
    rows = ledger.read(lambda connection: list(limits.limits_of(connection, "c")))
    return [(row.limit, row.used, row.why) for row in rows]


async def test_the_first_value_and_the_last(ledger):
    async with LimitLog(ledger, "c", least_seconds=60) as log:
        log(50, 0, "a start")
        await asyncio.sleep(0.05)
        for limit in range(49, 4, -1):
            log(limit, limit + 1, "refused")
    assert kept(ledger) == [(50, 0, "a start"), (5, 6, "refused")]


async def test_changes_that_last_are_all_kept(ledger):
    async with LimitLog(ledger, "c", least_seconds=0.001) as log:
        for limit in range(5, 9):
            log(limit, limit, "one more")
            async with asyncio.timeout(5):
                while not kept(ledger) or kept(ledger)[-1][0] != limit:  # noqa: ASYNC110 - the ledger tells nobody
                    await asyncio.sleep(0.005)
    assert [limit for limit, _, _ in kept(ledger)] == [5, 6, 7, 8]


async def test_nothing_is_written_where_nothing_changed(ledger):
    async with LimitLog(ledger, "c"):
        pass
    assert kept(ledger) == []


async def test_a_ledger_that_broke_is_others_to_tell(ledger):
    async with LimitLog(ledger, "c") as log:
        with pytest.raises(LedgerError):
            await ledger.write(lambda connection: connection.execute("SELECT * FROM nowhere"))
        log(5, 0, "a start")
