"""Room for prepared requests: bounded in bytes, one always allowed, nobody overtaken."""

from __future__ import annotations

import asyncio

from manifest_runner.runner.ahead import Ahead


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_bytes_than_are_allowed():
    ahead, most = Ahead(100), 0

    async def work(size: int) -> None:
        nonlocal most
        with await ahead.room_for(size):
            most = max(most, ahead.held)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(work(size) for size in [30, 60, 20, 90, 10, 50] * 5))
    assert most <= 100
    assert ahead.held == 0


async def test_one_that_is_larger_than_all_the_room_goes_alone():
    ahead = Ahead(100)
    small = await ahead.room_for(1)
    large = asyncio.create_task(ahead.room_for(500))
    await turn()
    assert not large.done()
    small.let_go()
    held = await large
    other = asyncio.create_task(ahead.room_for(1))
    await turn()
    assert not other.done()
    held.let_go()
    await other


async def test_a_large_one_is_not_overtaken_by_small_ones_for_ever():
    ahead = Ahead(100)
    first = await ahead.room_for(60)
    large = asyncio.create_task(ahead.room_for(90))
    small = asyncio.create_task(ahead.room_for(10))
    await turn()
    assert not large.done()
    assert not small.done()
    first.let_go()
    await asyncio.gather(large, small)
    assert ahead.held == 100


async def test_what_turns_out_smaller_makes_room():
    ahead = Ahead(100)
    held = await ahead.room_for(100)
    waiting = asyncio.create_task(ahead.room_for(70))
    await turn()
    assert not waiting.done()
    held.is_really(30)
    await waiting
    held.let_go()
    held.let_go()
    assert ahead.held == 70


async def test_a_cancelled_wait_takes_nothing_with_it():
    ahead = Ahead(100)
    held = await ahead.room_for(100)
    given_up, given = (asyncio.create_task(ahead.room_for(100)) for _ in range(2))
    third = asyncio.create_task(ahead.room_for(10))
    await turn()
    given_up.cancel()
    await turn()
    held.let_go()
    given.cancel()  # in the same moment as the room is given to it
    await third
    assert ahead.held == 10
