"""The budget is never passed, and what was not spent is spent on others."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from manifest_runner.errors import BudgetReached
from manifest_runner.runner.budget import Budget


async def test_without_a_limit_everything_fits():
    budget = Budget(None, Decimal(0))
    await budget.reserve("a", Decimal(10**9))
    assert budget.committed == 10**9


async def test_a_reservation_gives_way_to_what_was_deducted():
    budget = Budget(Decimal("10"), Decimal("4"))
    await budget.reserve("a", Decimal("4.8"))
    budget.settle("a", Decimal("4.4"))
    assert budget.committed == Decimal("8.4")


async def test_no_figure_counts_as_the_worst_case():
    budget = Budget(Decimal("10"), Decimal(0))
    await budget.reserve("a", Decimal("4.8"))
    budget.settle("a", None)
    assert budget.committed == Decimal("4.8")


async def test_a_job_waits_while_others_may_turn_out_cheaper():
    budget = Budget(Decimal("10"), Decimal(0))
    await budget.reserve("a", Decimal("8"))
    waiting = asyncio.create_task(budget.reserve("b", Decimal("4")))
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.settle("a", Decimal("6"))
    await asyncio.wait_for(waiting, 10)
    assert budget.committed == Decimal("10")


async def test_reached_when_nothing_is_in_flight_that_could_free_some():
    budget = Budget(Decimal("10"), Decimal(0))
    await budget.reserve("a", Decimal("8"))
    waiting = asyncio.create_task(budget.reserve("b", Decimal("4")))
    await asyncio.sleep(0)
    budget.settle("a", Decimal("8"))
    with pytest.raises(BudgetReached) as reached:
        await waiting
    assert reached.value.exit_code == 5
    assert "8 are spent" in str(reached.value)


async def test_what_an_earlier_run_left_in_flight_is_settled_like_the_rest():
    budget = Budget(Decimal("10"), Decimal("7"), {"old": Decimal("5")})
    assert budget.committed == 7
    budget.settle("old", Decimal("1"))
    assert budget.committed == 3


async def test_released_is_as_if_never_reserved():
    budget = Budget(Decimal("5"), Decimal(0))
    await budget.reserve("a", Decimal("5"))
    budget.release("a")
    await budget.reserve("b", Decimal("5"))
    assert budget.committed == 5


async def test_a_call_that_may_have_arrived_is_held_back_for_its_own_job_alone():
    budget = Budget(Decimal("10"), Decimal("5"), {"a": Decimal("5")})
    waiting = asyncio.create_task(budget.reserve("b", Decimal("6")))
    await asyncio.sleep(0)
    assert not waiting.done()
    await budget.reserve(
        "a", Decimal("5")
    )  # it had not arrived: sent again, within what was held back for it
    assert budget.committed == 5
    budget.release("a")
    await asyncio.wait_for(waiting, 10)


async def test_reached_though_something_is_held_back_for_the_job_itself():
    budget = Budget(Decimal("10"), Decimal("5"), {"a": Decimal("5")})
    with pytest.raises(BudgetReached):
        await budget.reserve("a", Decimal("11"))


async def test_nothing_is_hoped_of_a_reservation_whose_job_waits_for_its_own_turn():
    budget = Budget(Decimal("10"), Decimal("8"), {"late": Decimal("8")}, dormant={"late"})
    with pytest.raises(BudgetReached):
        await budget.reserve("a", Decimal("4"))
    await budget.reserve("late", Decimal("8"))
    budget.settle("late", Decimal("1"))
    await budget.room_for("a", Decimal("4"))
    assert budget.committed == 1


async def test_when_nothing_more_is_sent_nobody_waits_any_longer():
    budget = Budget(Decimal("10"), Decimal("8"), {"b": Decimal("8")})
    asking = asyncio.create_task(budget.room_for("a", Decimal("4")))
    await asyncio.sleep(0)
    budget.close()
    with pytest.raises(BudgetReached):
        await asking


async def test_what_is_given_up_counts_only_where_an_earlier_call_may_have_arrived():
    budget = Budget(Decimal(10), Decimal(3), in_flight={"a": Decimal(1), "b": Decimal(1)})
    budget.give_up("a", may_be_owed=False)
    assert (budget.committed, budget.spent) == (Decimal(2), Decimal(1))
    budget.give_up("b", may_be_owed=True)
    assert (budget.committed, budget.spent) == (Decimal(2), Decimal(2))
