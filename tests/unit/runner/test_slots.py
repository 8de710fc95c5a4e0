"""Slots: the limit holds, the line is fair, a refusal lowers it and quiet raises it."""

from __future__ import annotations

import asyncio

import pytest

from manifest_runner.errors import NeedsPerson
from manifest_runner.runner.slots import Slots


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_than_the_ceiling_and_first_come_first_served():
    slots, order = Slots(2), []

    async def work(name: int) -> None:
        with await slots.take():
            order.append(name)
            assert slots.used <= 2
            await asyncio.sleep(0.001)

    await asyncio.gather(*(work(name) for name in range(8)))
    assert order == list(range(8))
    assert slots.used == 0


async def test_a_slot_is_freed_once_however_often_it_is_said():
    slots = Slots(1)
    slot = await slots.take()
    slot.free()
    slot.free()
    with slot:
        pass
    assert slots.used == 0


async def test_what_the_service_has_already_counts_past_the_limit():
    slots = Slots(1)
    first, second = slots.occupy(), slots.occupy()
    waiting = asyncio.create_task(slots.take())
    first.free()
    await turn()
    assert not waiting.done()
    second.free()
    assert (await waiting) is not None


async def test_too_many_lowers_the_limit_to_what_is_in_flight_and_quiet_raises_it_again():
    slots = Slots(4, quiet_seconds=0.01)
    held = [await slots.take() for _ in range(3)]
    slots.too_many()
    assert slots.limit == 2
    held.pop().free()
    waiting = asyncio.create_task(slots.take())
    await turn()
    assert not waiting.done(), "two are in flight, and two is the limit"
    await asyncio.wait_for(waiting, 1)
    await asyncio.sleep(0.05)
    assert slots.limit == 4
    slots.close()


async def test_the_limit_never_falls_below_one():
    slots = Slots(3)
    await slots.take()
    slots.too_many()
    assert slots.limit == 1
    slots.close()


async def test_a_cancelled_wait_takes_nothing_with_it():
    slots = Slots(1)
    held = await slots.take()
    waiting = asyncio.create_task(slots.take())
    handed_over = asyncio.create_task(slots.take())
    await turn()
    waiting.cancel()
    await turn()
    held.free()
    handed_over.cancel()  # in the same moment as the slot is handed to it
    await turn()
    assert slots.used == 0
    assert await slots.take()


async def test_when_every_slot_is_lost_whoever_waits_is_told():
    slots = Slots(2)
    one, two = await slots.take(), await slots.take()
    waiting = asyncio.create_task(slots.take())
    await turn()
    one.keep()
    await turn()
    assert not waiting.done()
    two.keep()
    two.free()
    assert slots.used == 2, "a slot that was kept stays taken"
    with pytest.raises(NeedsPerson):
        await waiting
    with pytest.raises(NeedsPerson):
        await slots.take()


async def test_a_slot_can_be_taken_again():
    slots = Slots(1)
    slot = await slots.take()
    slot.free()
    await slot.take_again()
    assert slots.used == 1
    slot.free()
    assert slots.used == 0
