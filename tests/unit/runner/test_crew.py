"""Work side by side: done when all of it is, and never silent about what went wrong."""

from __future__ import annotations

import asyncio

from manifest_runner.errors import LedgerError
from manifest_runner.runner.crew import Crew
from manifest_runner.runner.stop import Stop


async def test_it_is_done_when_the_work_and_what_it_spawned_is():
    crew, over = Crew(Stop()), []

    async def work(depth: int) -> None:
        await asyncio.sleep(0)
        if depth:
            crew.spawn(work(depth - 1))
        over.append(depth)

    await asyncio.wait_for(crew.done(), 10)  # nothing to do yet
    crew.spawn(work(5))
    await asyncio.wait_for(crew.done(), 10)
    assert over == [5, 4, 3, 2, 1, 0]
    assert len(crew) == 0


async def test_what_is_ours_is_the_reason_and_what_nobody_foresaw_is_a_bug():
    for error, code in ((LedgerError("disk full."), 4), (KeyError("surprise"), 1)):
        stop = Stop()
        crew = Crew(stop)

        async def work(raised: Exception = error) -> None:
            raise raised

        crew.spawn(work())
        await asyncio.wait_for(crew.done(), 10)
        assert stop.reason.exit_code == code


async def test_what_is_cancelled_is_no_trouble():
    stop = Stop()
    crew = Crew(stop)
    crew.spawn(asyncio.sleep(60))
    await asyncio.gather(*crew.cancel(), return_exceptions=True)
    assert (stop.reason, len(crew)) == (None, 0)
