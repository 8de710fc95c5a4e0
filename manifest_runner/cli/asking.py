"""What a person is asked before something is sent, and how a cost is said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from manifest_runner.cli.campaign import Campaign, notices
from manifest_runner.cli.terminal import say
from manifest_runner.errors import Interrupted
from manifest_runner.models import ServiceName, Units, units_text

if TYPE_CHECKING:
    from manifest_runner.runner.plan import Step


def ask_first(campaign: Campaign, steps: Sequence[Step], committed: Units, *, yes: bool) -> None:
    """On a terminal, before something that costs money is sent: what, about how much, and whether it shall be.

    `committed` is what the campaign has spent or holds back so far.
    """
    manifest = campaign.manifest
    sending = [step for step in steps if step.action.costs]
    for line in notices(manifest):
        say(line, err=True)
    if yes or not sending or manifest.service.name is ServiceName.SANDBOX or not sys.stdin.isatty():
        return
    budget = (
        f"the budget is {units_text(manifest.budget_units)}, of which {units_text(committed)} are spent or held back"
        if manifest.budget_units is not None
        else "no budget"
    )
    count = f"{len(sending)} video{'' if len(sending) == 1 else 's'}"
    where = f"{manifest.service.name} (paid)"
    if not click.confirm(f"Send {count} to {where} for {cost_range(steps)} ({budget})?", err=True):
        raise Interrupted("Nothing was sent.", mend="The jobs stay as they are.")


def cost_range(steps: Sequence[Step]) -> str:
    """`about 2.8 to 4.4 units`, of everything that the plan may send."""
    costs = [step.estimate for step in steps if step.estimate]
    low, high = (
        units_text(sum(units, Decimal(0)))
        for units in ((cost.low for cost in costs), (cost.high for cost in costs))
    )
    return f"about {high} units" if low == high else f"about {low} to {high} units"
