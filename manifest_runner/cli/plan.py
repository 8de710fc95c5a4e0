"""`manifest-runner plan`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import campaign_options, ledger_if_any, load_campaign, look_at_media
from manifest_runner.models import units_text

if TYPE_CHECKING:
    from manifest_runner.runner.plan import Step

SIGNS = {"send": "+", "resolve": "?", "watch": "~", "fetch": "<", "skip": " ", "hold": "!"}


@click.command("plan")
@campaign_options
@click.option(
    "--retry",
    multiple=True,
    type=click.Choice(["failed", "rejected", "expired", "changed"]),
    help="Plan to send these again, as new attempts that are paid anew. Can be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(retry: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Show what a run would do with each job of MANIFEST, and what it would cost. Sends nothing."""
    from manifest_runner.runner.plan import Retry
    from manifest_runner.runner.run import survey

    campaign = load_campaign(**options)
    found = look_at_media(campaign.manifest, quiet=as_json)
    with ledger_if_any(campaign.ledger) as connection:
        steps = survey(
            campaign.manifest, found, connection, campaign.out, retry=[Retry(kind) for kind in retry]
        )
    if as_json:
        click.echo(json.dumps(plan_value(campaign.manifest.campaign, steps), indent=2))
    else:
        for line in plan_lines(steps):
            click.echo(line)
    return 0


def plan_value(campaign: str, steps: Sequence[Step]) -> dict[str, Any]:
    """The plan for `--json`; units are decimal text, and estimates."""
    return {
        "campaign": campaign,
        "counts": dict(Counter(step.action.value for step in steps)),
        "units_estimated": _range(steps),
        "steps": [
            {
                "external_task_id": step.external_task_id,
                "action": step.action.value,
                "why": step.why,
                "changed": list(step.changed),
                "output": step.output,
                "units_estimated": (
                    units_text(step.estimate.expected)
                    if step.estimate and step.estimate.expected is not None
                    else None
                ),
            }
            for step in steps
        ],
    }


def plan_lines(steps: Sequence[Step]) -> list[str]:
    """The plan for people: a line a job, then the sum."""
    width = max((len(step.external_task_id) for step in steps), default=0)
    lines = [
        f"{SIGNS[step.action]} {step.action.value:<7} {step.external_task_id:<{width}}  {_cost(step)}{step.why}"
        for step in steps
    ]
    counts = Counter(step.action.value for step in steps)
    units = _range(steps)
    lines.append(", ".join(f"{counts[action]} to {action}" for action in SIGNS if counts[action]) + ".")
    lines.append(
        f"Estimated cost of what is sent: {units['low']} to {units['high']} units (an estimate, not a bill)."
        if counts["send"] or counts["resolve"]
        else "Nothing would be sent: this run costs nothing."
    )
    return lines


def _cost(step: Step) -> str:
    if step.estimate is None:
        return ""
    if step.estimate.expected is None:
        return f"up to {units_text(step.estimate.high)} units (length unknown): "
    return f"about {units_text(step.estimate.expected)} units: "


def _range(steps: Sequence[Step]) -> dict[str, str]:
    low = sum((step.estimate.low for step in steps if step.estimate), Decimal(0))
    high = sum((step.estimate.high for step in steps if step.estimate), Decimal(0))
    return {"low": units_text(low), "high": units_text(high)}
