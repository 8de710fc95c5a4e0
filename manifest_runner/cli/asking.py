"""What a person is asked before something is sent, and how a cost is said."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from manifest_runner.cli.campaign import Campaign
from manifest_runner.errors import Interrupted
from manifest_runner.models import ServiceName, Units, units_text

if TYPE_CHECKING:
    from manifest_runner.runner.plan import Plan


def ask_first(campaign: Campaign, plan: Plan, committed: Units, *, yes: bool) -> None:
    """On a terminal, before something that costs money is sent: what, about how much, and whether it shall be.

    `committed` is what the campaign has spent or holds back so far.
    """
    manifest = campaign.manifest
    sending = sum(count for action, count in plan.counts.items() if action.costs)
    if yes or not sending or manifest.service.name is ServiceName.SANDBOX or not sys.stdin.isatty():
        return
    budget = (
        f"the budget is {units_text(manifest.budget_units)}, of which {units_text(committed)} are spent or held back"
        if manifest.budget_units is not None
        else "no budget"
    )
    count = f"{sending} video{'' if sending == 1 else 's'}"
    where = f"{manifest.service.name} (paid)"
    if not click.confirm(f"Send {count} to {where} for {cost_range(plan)} ({budget})?", err=True):
        raise Interrupted("Nothing was sent.", mend="The jobs stay as they are.")


def cost_range(plan: Plan) -> str:
    """`about 2.8 to 4.4 units`, of everything that the plan may send."""
    low, high = units_text(plan.low), units_text(plan.high)
    return f"about {high} units" if low == high else f"about {low} to {high} units"
