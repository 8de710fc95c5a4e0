"""The slots' limit over time, written to the ledger: no oftener than a report can use, however it flaps."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from manifest_runner.errors import LedgerError
from manifest_runner.ledger import Ledger, limits

LEAST_SECONDS = 1.0  # between two rows
MANY_ROWS, MANY_LEAST_SECONDS = 600, 30.0  # after so many, so far apart


class LimitLog:
    """`async with LimitLog(...) as log`, then `log(limit, used, why)` at each change. Of changes that come too close
    together the last is kept."""

    def __init__(self, ledger: Ledger, campaign: str, *, least_seconds: float = LEAST_SECONDS) -> None:
        self._ledger = ledger
        self._campaign = campaign
        self._least_seconds = least_seconds
        self._rows = 0
        self._latest: tuple[int, int, str] | None = None
        self._news = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def __call__(self, limit: int, used: int, why: str) -> None:
        self._latest = (limit, used, why)
        self._news.set()

    async def __aenter__(self) -> Self:
        self._writing = asyncio.create_task(self._write_on())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._write()

    async def _write_on(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.shield(self._write())
            await asyncio.sleep(self._least_seconds if self._rows < MANY_ROWS else MANY_LEAST_SECONDS)

    async def _write(self) -> None:
        """A ledger that can't be written is told of by whoever has something to lose."""
        if self._latest is None:
            return
        (limit, used, why), self._latest = self._latest, None
        self._rows += 1
        try:
            await self._ledger.write(limits.limit_changed, self._campaign, limit, used, why)
        except LedgerError:
            return
