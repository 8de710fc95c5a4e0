"""`manifest-runner plan`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import chain, islice
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import campaign_options, ledger_if_any, load_campaign
from manifest_runner.cli.costing import units_range
from manifest_runner.cli.looking import media_on_the_way, media_options
from manifest_runner.cli.noticing import Noticed, warning_lines
from manifest_runner.cli.problems import problems_kept
from manifest_runner.cli.renaming import renaming_lines, renaming_value
from manifest_runner.cli.selecting import planned, selecting_options, taken_from
from manifest_runner.cli.service import account_of, environment, is_elsewhere, service_line
from manifest_runner.cli.terminal import say
from manifest_runner.models import units_text

if TYPE_CHECKING:
    from manifest_runner.runner.plan import Plan
    from manifest_runner.runner.step import Step

LINES_AT_ONCE = 200
SHOWN = 50  # of each action: no screen holds more, and a sheet may have a hundred thousand rows
SIGNS = {"send": "+", "resolve": "?", "watch": "~", "fetch": "<", "restore": "=", "skip": " ", "hold": "!"}


@click.command("plan")
@campaign_options
@selecting_options
@media_options
@click.option(
    "--retry",
    multiple=True,
    type=click.Choice(["failed", "rejected", "expired", "changed"]),
    help="Plan to send these again, as new attempts that are paid anew. Can be given several times.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help=f"Show every job. Else what is done is only counted, and so is what goes beyond {SHOWN} of a kind.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(retry: tuple[str, ...], as_json: bool, everything: bool, skip_urls: bool, **options: Any) -> int:
    """Show what a run would do with each job of MANIFEST, and what it would cost. Sends nothing."""
    from manifest_runner.ledger import queries
    from manifest_runner.runner.decide import Retry
    from manifest_runner.runner.renamed import renamed
    from manifest_runner.runner.survey import survey

    selection = taken_from(options)
    campaign = load_campaign(**options)
    manifest = campaign.manifest
    variables = environment()
    remote = is_elsewhere(manifest, options["base_url"], variables)
    account = account_of(manifest, options["base_url"], variables)
    noticed = Noticed(manifest)
    with ledger_if_any(campaign.ledger, account) as connection:
        if connection is not None:  # from here on one and the same ledger, whatever a run beside us writes
            connection.execute("BEGIN")
        with (
            media_on_the_way(
                manifest, quiet=as_json, remote_service=remote, skip_urls=skip_urls, noticed=noticed
            ) as (found, way),
            problems_kept(campaign),
        ):
            kinds = [Retry(kind) for kind in retry]
            plan = planned(
                selection,
                manifest,
                connection,
                lambda only: survey(
                    manifest, found, connection, campaign.out, retry=kinds, way=way, only=only
                ),
            )
        left = manifest.budget_units
        if left is not None and connection is not None:
            left -= queries.spend(connection, manifest.campaign).committed
        ids = renamed(plan, connection, manifest.campaign)
        if as_json:
            head = {
                "campaign": manifest.campaign,
                "service": account,
                **budget_value(plan, left),
                **renaming_value(ids),
            }
            lines = plan_json(plan, head, everything=everything)
        else:
            lines = chain(
                plan_lines(plan, everything=everything, hint=" (`--all` shows every job)"),
                renaming_lines(ids, manifest.campaign),
                budget_lines(plan, left),
                warning_lines(found, plan),
                noticed.lines(),
                [service_line(manifest, account)],
            )
        while some := list(islice(lines, LINES_AT_ONCE)):
            say("\n".join(some))
    return 0


def plan_json(plan: Plan, head: Mapping[str, Any], *, everything: bool) -> Iterator[str]:
    """The plan for `--json`, line by line; units are decimal text, and estimates. `head` comes before it.

    `counts` are of all jobs; `steps` has those that are done only when `everything` is asked for.
    """
    value: dict[str, Any] = {
        **head,
        "counts": _counts(plan),
        "units_estimated": {"low": units_text(plan.low), "high": units_text(plan.high)},
        "steps": [],
    }
    start, _, end = json.dumps(value, indent=2).rpartition("[]")
    yield f"{start}["
    before = ""
    for step in plan.steps() if everything else plan.not_done():
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


def plan_lines(plan: Plan, *, everything: bool = False, hint: str = "") -> Iterator[str]:
    """The plan for people: a line for each of the first jobs that are not done (of `everything`: for every job), then
    the sum. `hint`: how to see the others."""
    width = plan.longest_id(everything=everything)
    if everything:
        for step in plan.steps():
            yield from _step_lines(step, width)
    else:
        for action, first, more in plan.heads(SHOWN):
            for step in first:
                yield from _step_lines(step, width)
            if more:
                yield f"{SIGNS[action]} ... and {more:,} more to {action}{hint}"
    counted = _counts(plan).items()
    yield (
        ", ".join(f"{count:,} {'done' if action == 'skip' else f'to {action}'}" for action, count in counted)
        + "."
    )
    if any(action.costs and count for action, count in plan.counts.items()):
        yield f"Estimated cost of what is sent: {units_range(plan.low, plan.high)} units (an estimate, not a bill)."
    else:
        yield "Nothing would be sent: this run costs nothing."


def _counts(plan: Plan) -> dict[str, int]:
    """Of each action that occurs."""
    counts = {action.value: count for action, count in plan.counts.items()}
    return {name: counts[name] for name in SIGNS if counts.get(name)}


def _step_lines(step: Step, width: int) -> Iterator[str]:
    yield f"{SIGNS[step.action]} {step.action.value:<7} {step.external_task_id:<{width}}  {_cost(step)}{step.why}"
    yield from (f"{'':<10}{name}: {what}" for name, what in _fitting(step).items())


def budget_lines(plan: Plan, left: Decimal | None) -> list[str]:
    """What the budget says to it. `left` is what is not spent or held back yet; None without a budget."""
    if left is None or plan.high <= left:
        return []
    surely, units = "will" if plan.low > left else "may", units_text(max(left, Decimal(0)))
    return [
        f"The budget has {units} units left: the run {surely} stop before all of it is sent. By the estimates it is "
        f"enough for {_within(plan, left):,} of {_sent(plan):,} to send, the first in the order above."
    ]


def budget_value(plan: Plan, left: Decimal | None) -> dict[str, Any]:
    """The same for `--json`."""
    if left is None:
        return {"budget_units_left": None, "within_budget": None}
    return {
        "budget_units_left": units_text(max(left, Decimal(0))),
        "within_budget": _sent(plan) if plan.high <= left else _within(plan, left),
    }


def _sent(plan: Plan) -> int:
    from manifest_runner.runner.decide import Action

    return plan.counts[Action.SEND]


def _within(plan: Plan, left: Decimal) -> int:
    """How many of what is sent the budget lets through, at what they are likely to cost."""
    from manifest_runner.runner.decide import Action
    from manifest_runner.runner.forecast import spent_in_turn

    return spent_in_turn(plan.steps(Action.SEND), left)[0]


def _cost(step: Step) -> str:
    if step.estimate is None:
        return ""
    if step.estimate.expected is None:
        return f"up to {units_text(step.estimate.high)} units (length unknown): "
    return f"{units_range(step.estimate.low, step.estimate.high)} units: "


def _fitting(step: Step) -> dict[str, str]:
    """What will be done to the media before they are sent."""
    return step.media.fitting if step.media and step.action.costs else {}


def _likely(step: Step) -> str | None:
    return (
        units_text(step.estimate.expected) if step.estimate and step.estimate.expected is not None else None
    )
