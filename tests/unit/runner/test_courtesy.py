"""Who stands aside while create calls are on their way."""

from __future__ import annotations

import asyncio

import pytest

from manifest_runner.runner import courtesy as courtesy_module
from manifest_runner.runner.courtesy import Courtesy


@pytest.fixture(autouse=True)
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courtesy_module, "MOST", 60)


async def test_nobody_waits_where_nobody_goes_first():
    await asyncio.wait_for(Courtesy().after_you(), 10)


async def test_whoever_can_wait_waits_for_the_last_of_those_who_go_first():
    courtesy = Courtesy()
    with courtesy.going_first():
        with courtesy.going_first():
            waiting = asyncio.create_task(courtesy.after_you())
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 10)


async def test_nobody_is_held_up_for_long_where_calls_never_cease(monkeypatch):
    monkeypatch.setattr(courtesy_module, "MOST", 0.02)
    courtesy = Courtesy()
    with courtesy.going_first():
        await asyncio.wait_for(courtesy.after_you(), 10)


async def test_a_call_that_fails_goes_first_no_more():
    courtesy = Courtesy()
    try:
        with courtesy.going_first():
            raise RuntimeError("lost")
    except RuntimeError:
        await asyncio.wait_for(courtesy.after_you(), 10)
