"""`manifest-runner plan`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import (
    campaign_options,
    ledger_if_any,
    load_campaign,
    look_at_media,
    media_options,
    notices,
    problems_kept,
    warning_lines,
)
from manifest_runner.cli.service import account_of, environment, is_elsewhere
from manifest_runner.cli.terminal import say
from manifest_runner.models import units_text

if TYPE_CHECKING:
    from manifest_runner.runner.plan import Step

SIGNS = {"send": "+", "resolve": "?", "watch": "~", "fetch": "<", "restore": "=", "skip": " ", "hold": "!"}


@click.command("plan")
@campaign_options
@media_options
@click.option(
    "--retry",
    multiple=True,
    type=click.Choice(["failed", "rejected", "expired", "changed"]),
    help="Plan to send these again, as new attempts that are paid anew. Can be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(retry: tuple[str, ...], as_json: bool, skip_urls: bool, **options: Any) -> int:
    """Show what a run would do with each job of MANIFEST, and what it would cost. Sends nothing."""
    from manifest_runner.ledger import queries
    from manifest_runner.runner.decide import Retry
    from manifest_runner.runner.survey import survey

    campaign = load_campaign(**options)
    variables = environment()
    remote = is_elsewhere(campaign.manifest, options["base_url"], variables)
    found = look_at_media(campaign.manifest, quiet=as_json, remote_service=remote, skip_urls=skip_urls)
    account = account_of(campaign.manifest, options["base_url"], variables)
    with ledger_if_any(campaign.ledger, account) as connection, problems_kept(campaign):
        steps = survey(
            campaign.manifest, found, connection, campaign.out, retry=[Retry(kind) for kind in retry]
        )
        spent = queries.spend(connection, campaign.manifest.campaign).committed if connection else Decimal(0)
    left = campaign.manifest.budget_units - spent if campaign.manifest.budget_units is not None else None
    if as_json:
        say(json.dumps(plan_value(campaign.manifest.campaign, account, steps, left), indent=2))
        return 0
    lines = [*plan_lines(steps), *budget_lines(steps, left), *warning_lines(found, steps)]
    for line in [*lines, *notices(campaign.manifest)]:
        say(line)
    say(f"The service: {account}.")
    return 0


def plan_value(campaign: str, service: str, steps: Sequence[Step], left: Decimal | None) -> dict[str, Any]:
    """The plan for `--json`; units are decimal text, and estimates."""
    return {
        "campaign": campaign,
        "service": service,
        "budget_units_left": units_text(max(left, Decimal(0))) if left is not None else None,
        "counts": dict(Counter(step.action.value for step in steps)),
        "units_estimated": _range(steps),
        "steps": [
            {
                "external_task_id": step.external_task_id,
                "action": step.action.value,
                "why": step.why,
                "changed": list(step.changed),
                "output": step.output,
                "fitting": _fitting(step),
                "units_estimated": _likely(step),
                "units_low": units_text(step.estimate.low) if step.estimate else None,
                "units_high": units_text(step.estimate.high) if step.estimate else None,
            }
            for step in steps
        ],
    }


def plan_lines(steps: Sequence[Step]) -> list[str]:
    """The plan for people: a line a job, then the sum."""
    width = max((len(step.external_task_id) for step in steps), default=0)
    lines = []
    for step in steps:
        lines.append(
            f"{SIGNS[step.action]} {step.action.value:<7} {step.external_task_id:<{width}}  {_cost(step)}{step.why}"
        )
        lines += [f"{'':<10}{name}: {what}" for name, what in _fitting(step).items()]
    counts = Counter(step.action.value for step in steps)
    units = _range(steps)
    lines.append(", ".join(f"{counts[action]} to {action}" for action in SIGNS if counts[action]) + ".")
    lines.append(
        f"Estimated cost of what is sent: {units['low']} to {units['high']} units (an estimate, not a bill)."
        if counts["send"] or counts["resolve"]
        else "Nothing would be sent: this run costs nothing."
    )
    return lines


def budget_lines(steps: Sequence[Step], left: Decimal | None) -> list[str]:
    """What the budget says to it. `left` is what is not spent or held back yet; None without a budget."""
    low, high = (Decimal(units) for units in _range(steps).values())
    if left is None or high <= left:
        return []
    surely, units = "will" if low > left else "may", units_text(max(left, Decimal(0)))
    return [f"The budget has {units} units left: the run {surely} stop before all of it is sent."]


def _cost(step: Step) -> str:
    if step.estimate is None:
        return ""
    low, high = units_text(step.estimate.low), units_text(step.estimate.high)
    if step.estimate.expected is None:
        return f"up to {high} units (length unknown): "
    return f"{low} to {high} units: " if low != high else f"{high} units: "


def _fitting(step: Step) -> dict[str, str]:
    """What will be done to the media before they are sent."""
    return step.media.fitting if step.media and step.action.costs else {}


def _likely(step: Step) -> str | None:
    return (
        units_text(step.estimate.expected) if step.estimate and step.estimate.expected is not None else None
    )


def _range(steps: Sequence[Step]) -> dict[str, str]:
    low = sum((step.estimate.low for step in steps if step.estimate), Decimal(0))
    high = sum((step.estimate.high for step in steps if step.estimate), Decimal(0))
    return {"low": units_text(low), "high": units_text(high)}
