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
    slots.too_many(held[-1])
    assert slots.limit == 2
    held.pop().free()
    waiting = asyncio.create_task(slots.take())
    await turn()
    assert not waiting.done(), "two are in flight, and two is the limit"
    await asyncio.wait_for(waiting, 10)
    await asyncio.sleep(0.05)
    assert slots.limit == 4
    slots.close()


async def test_where_nothing_is_in_flight_one_call_at_a_time_finds_out():
    slots = Slots(3)
    refused = await slots.take()
    slots.too_many(refused)
    refused.free()
    assert slots.limit == 0
    probe = await slots.take()
    another = asyncio.create_task(slots.take())
    await turn()
    assert not another.done(), "one probe at a time"
    slots.passed()
    assert (slots.limit, another.done()) == (1, False)
    probe.free()
    await asyncio.wait_for(another, 10)
    slots.close()


async def test_calls_that_left_together_are_refused_together_and_count_once():
    slots = Slots(5, quiet_seconds=0.05)
    held = [await slots.take() for _ in range(5)]
    in_a_row = []
    for slot in held[:3]:
        in_a_row.append(slots.too_many(slot))
        slot.free()
    assert (in_a_row, slots.limit) == ([1, 1, 1], 2)
    probe = asyncio.create_task(slots.take())
    held[3].free()
    assert slots.too_many(await probe) == 2, "this one knew of the refusals"
    slots.passed()
    (await probe).free()
    assert slots.too_many(await slots.take()) == 1, "a call that passes ends the row"
    slots.close()


async def test_while_the_gate_is_closed_nobody_gets_a_slot():
    slots = Slots(2)
    slots.hold(0.05)
    slots.hold(0.01)  # the longer wait counts
    waiting = asyncio.create_task(slots.take())
    await asyncio.sleep(0.02)
    assert (waiting.done(), slots.wanted) == (False, True)
    await asyncio.wait_for(waiting, 10)
    assert not slots.wanted


async def test_who_was_refused_comes_before_all_who_came_later():
    slots, order = Slots(1), []
    first = await slots.take()

    async def wait(name: str, waiting) -> None:
        await waiting
        order.append(name)

    later = [asyncio.create_task(wait(name, slots.take())) for name in ("second", "third")]
    await turn()
    slots.hold(0.01)
    first.free()
    again = asyncio.create_task(wait("first", first.take_again()))
    await asyncio.wait_for(again, 10)
    for _ in later:
        slots._give_back()
        await turn()
    assert order == ["first", "second", "third"]


async def test_a_step_that_is_refused_again_is_tried_later_each_time():
    slots = Slots(10, quiet_seconds=10.0)
    held = [await slots.take() for _ in range(5)]
    quiets = []
    for _ in range(8):
        probe = slots.occupy()
        slots.too_many(probe)
        probe.free()
        quiets.append(slots._quiet())
    assert quiets == [10, 20, 40, 80, 160, 320, 600, 600]
    held.pop().free()
    probe = slots.occupy()
    slots.too_many(probe)
    assert (slots.limit, slots._quiet()) == (4, 10), "another step is another matter"
    slots.close()


async def test_without_a_ceiling_the_limit_creeps_up_as_long_as_it_holds_the_campaign_back():
    told = []
    slots = Slots(None, start=2, quiet_seconds=0.01, told=lambda *change: told.append(change))
    assert (slots.ceiling, slots.limit) == (None, 2)
    await slots.take()
    await asyncio.sleep(0.05)
    assert slots.limit == 2, "one slot is free"
    for _ in range(3):
        await asyncio.wait_for(slots.take(), 10)
    assert slots.limit >= 4
    slots.close()
    assert told[0] == (3, 2, "one more after a quiet while")
    assert [limit for limit, _, _ in told] == list(range(3, slots.limit + 1))


async def test_each_change_is_told():
    told = []
    slots = Slots(2, told=lambda *change: told.append(change))
    one, two = await slots.take(), await slots.take()
    slots.too_many(two)
    two.free()
    slots.too_many(one)
    one.free()
    slots.passed()
    assert [(limit, used) for limit, used, _ in told] == [(1, 2), (0, 1), (1, 0)]
    assert "1303" in told[0][2]
    slots.close()


async def test_no_timer_is_left_behind():
    slots = Slots(None, quiet_seconds=0.01)
    await slots.take()
    slots.hold(0.01)
    slots.close()
    limit = slots.limit
    for _ in range(limit):
        slots.occupy()
    await asyncio.sleep(0.05)
    assert slots.limit == limit


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


async def test_how_long_the_account_has_refused_counts_from_the_first_refusal_and_ends_with_a_pass():
    slots = Slots(2)
    assert slots.refused_for == 0
    slots.too_many(await slots.take())
    await asyncio.sleep(0.02)
    slots.too_many(await slots.take())
    assert slots.refused_for >= 0.02
    slots.passed()
    assert slots.refused_for == 0
    slots.close()


async def test_after_a_refusal_with_nothing_in_flight_one_call_at_a_time_may_try() -> None:
    slots = Slots(2)
    slot = await slots.take()
    slots.too_many(slot)
    slot.free()
    assert (slots.limit, slots.free) == (0, 1)
    await slots.take()
    assert slots.free == 0
    slots.close()
