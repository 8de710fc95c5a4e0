"""Create calls go first: what can wait stands aside while a job with a slot is on its way to the service.

A slot that stands empty costs hours; a download that begins a moment later costs nothing. Tasks of one length end
together, and on a machine of few cores their successors' calls would take turns with downloads and encoders.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MOST = 0.1  # seconds that anybody stands aside: where calls never cease, nothing is held up for long


class Courtesy:
    """`going_first` around a create call, `after_you` before what can wait."""

    def __init__(self) -> None:
        self._calls = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def going_first(self) -> Iterator[None]:
        """Within it others stand aside."""
        self._calls += 1
        self._none.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._none.set()

    async def after_you(self) -> None:
        """Back when nobody goes first any more, or has for long enough."""
        if self._none.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(MOST):
                await self._none.wait()
