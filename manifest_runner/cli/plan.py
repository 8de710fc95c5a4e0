"""`manifest-runner plan`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, islice
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import (
    campaign_options,
    ledger_if_any,
    load_campaign,
    media_on_the_way,
    media_options,
    problems_kept,
)
from manifest_runner.cli.noticing import Noticed, warning_lines
from manifest_runner.cli.service import account_of, environment, is_elsewhere
from manifest_runner.cli.terminal import say
from manifest_runner.models import units_text

if TYPE_CHECKING:
    from manifest_runner.runner.plan import Plan, Step

LINES_AT_ONCE = 200
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
@click.option(
    "--all", "everything", is_flag=True, help="Show what is done as well, which is only counted else."
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(retry: tuple[str, ...], as_json: bool, everything: bool, skip_urls: bool, **options: Any) -> int:
    """Show what a run would do with each job of MANIFEST, and what it would cost. Sends nothing."""
    from manifest_runner.ledger import queries
    from manifest_runner.runner.decide import Retry
    from manifest_runner.runner.survey import survey

    campaign = load_campaign(**options)
    manifest = campaign.manifest
    variables = environment()
    remote = is_elsewhere(manifest, options["base_url"], variables)
    account = account_of(manifest, options["base_url"], variables)
    noticed = Noticed(manifest)
    with ledger_if_any(campaign.ledger, account) as connection:
        with (
            media_on_the_way(
                manifest, quiet=as_json, remote_service=remote, skip_urls=skip_urls, noticed=noticed
            ) as (found, way),
            problems_kept(campaign),
        ):
            kinds = [Retry(kind) for kind in retry]
            plan = survey(manifest, found, connection, campaign.out, retry=kinds, way=way)
        left = manifest.budget_units
        if left is not None and connection is not None:
            left -= queries.spend(connection, manifest.campaign).committed
        if as_json:
            lines = plan_json(manifest.campaign, account, plan, left, everything=everything)
        else:
            lines = chain(
                plan_lines(plan, everything=everything),
                budget_lines(plan, left),
                warning_lines(found, plan),
                noticed.lines(),
                [f"The service: {account}."],
            )
        while some := list(islice(lines, LINES_AT_ONCE)):
            say("\n".join(some))
    return 0


def plan_json(
    campaign: str, service: str, plan: Plan, left: Decimal | None, *, everything: bool
) -> Iterator[str]:
    """The plan for `--json`, line by line; units are decimal text, and estimates.

    `counts` are of all jobs; `steps` has those that are done only when `everything` is asked for.
    """
    value: dict[str, Any] = {
        "campaign": campaign,
        "service": service,
        "budget_units_left": units_text(max(left, Decimal(0))) if left is not None else None,
        "counts": _counts(plan),
        "units_estimated": {"low": units_text(plan.low), "high": units_text(plan.high)},
        "steps": [],
    }
    head, _, end = json.dumps(value, indent=2).rpartition("[]")
    yield f"{head}["
    before = ""
    for step in _shown(plan, everything=everything):
        if before:
            yield f"{before},"
        before = indent(json.dumps(step_value(step), indent=2), "    ")
    yield f"{before}\n  ]{end}" if before else f"  ]{end}"


def step_value(step: Step) -> dict[str, Any]:
    return {
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


def plan_lines(plan: Plan, *, everything: bool = False) -> Iterator[str]:
    """The plan for people: a line a job that is not done (or of `everything`), then the sum."""
    width = plan.longest_id(everything=everything)
    for step in _shown(plan, everything=everything):
        yield f"{SIGNS[step.action]} {step.action.value:<7} {step.external_task_id:<{width}}  {_cost(step)}{step.why}"
        yield from (f"{'':<10}{name}: {what}" for name, what in _fitting(step).items())
    counted = _counts(plan).items()
    yield (
        ", ".join(f"{count:,} {'done' if action == 'skip' else f'to {action}'}" for action, count in counted)
        + "."
    )
    if any(action.costs and count for action, count in plan.counts.items()):
        low, high = units_text(plan.low), units_text(plan.high)
        yield f"Estimated cost of what is sent: {low} to {high} units (an estimate, not a bill)."
    else:
        yield "Nothing would be sent: this run costs nothing."


def _counts(plan: Plan) -> dict[str, int]:
    """Of each action that occurs."""
    counts = {action.value: count for action, count in plan.counts.items()}
    return {name: counts[name] for name in SIGNS if counts.get(name)}


def _shown(plan: Plan, *, everything: bool) -> Iterator[Step]:
    return plan.steps() if everything else plan.not_done()


def budget_lines(plan: Plan, left: Decimal | None) -> list[str]:
    """What the budget says to it. `left` is what is not spent or held back yet; None without a budget."""
    if left is None or plan.high <= left:
        return []
    surely, units = "will" if plan.low > left else "may", units_text(max(left, Decimal(0)))
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
