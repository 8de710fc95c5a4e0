"""A plan carried out from the command line: asked about first, shown while it goes, told at the end."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from manifest_runner.cli.campaign import Campaign, load_campaign, look_at_media, notices
from manifest_runner.cli.service import account_of, environment, is_elsewhere, open_service
from manifest_runner.cli.terminal import say
from manifest_runner.errors import Interrupted, ManifestRunnerError, NeedsPerson
from manifest_runner.models import JobState, ServiceName, Units, units_text

if TYPE_CHECKING:
    from manifest_runner.ledger import Ledger
    from manifest_runner.runner.conduct import Outcome
    from manifest_runner.runner.decide import Retry
    from manifest_runner.runner.plan import Step
    from manifest_runner.runner.run import RunOptions, Service

F = TypeVar("F", bound=Callable[..., Any])


RUN_OPTIONS = ("create_timeout", "task_timeout", "same_account", "take_over", "yes", "as_json")


def run_options(command: F) -> F:
    """What every command that sends something can be told about how."""
    for decorate in reversed(
        (
            click.option(
                "--create-timeout",
                type=click.FloatRange(0.1, 3600),
                default=60.0,
                show_default=True,
                metavar="SECONDS",
                help="What a create call may take; an answer that was lost is waited out half as long again.",
            ),
            click.option(
                "--task-timeout",
                type=click.FloatRange(1),
                default=3600.0,
                show_default=True,
                metavar="SECONDS",
                help="How long a task may take before this run no longer waits for it.",
            ),
            click.option(
                "--same-account",
                is_flag=True,
                help="The key was changed, but it is of the account that earlier runs used.",
            ),
            click.option(
                "--take-over",
                is_flag=True,
                help="The runner that the ledger names does not run any more, though we can't know.",
            ),
            click.option(
                "--yes", is_flag=True, help="Don't ask before something that costs is sent from a terminal."
            ),
            click.option(
                "--json", "as_json", is_flag=True, help="Print report.json to standard output at the end."
            ),
        )
    ):
        command = decorate(command)
    return command


def carry(
    options: dict[str, Any],
    *,
    retry: Sequence[Retry] = (),
    retry_ids: Sequence[str] = (),
    choose: Callable[[Sequence[Step]], Sequence[Step]] | None = None,
) -> int:
    """Plan the campaign that the command's `options` name, carry the plan out (or what `choose` takes of it), and
    return the exit code."""
    flags = {name: options.pop(name) for name in RUN_OPTIONS}
    campaign = load_campaign(
        **options
    )  # a manifest that is wrong is told of before the rest is even imported

    from manifest_runner.ledger import open_ledger, queries
    from manifest_runner.runner.run import RunOptions
    from manifest_runner.runner.survey import enrol, survey
    from manifest_runner.service import Timeouts

    how = RunOptions(
        timeouts=Timeouts(create_seconds=flags["create_timeout"]),
        task_timeout=flags["task_timeout"],
        same_account=flags["same_account"],
    )
    variables = environment()
    remote = is_elsewhere(campaign.manifest, options["base_url"], variables)
    found = look_at_media(campaign.manifest, quiet=flags["as_json"], remote_service=remote)
    account = account_of(campaign.manifest, options["base_url"], variables)
    with open_ledger(campaign.ledger, account=account, take_over=flags["take_over"]) as ledger:
        steps = ledger.read(
            lambda connection: survey(
                campaign.manifest, found, connection, campaign.out, retry=retry, retry_ids=retry_ids
            )
        )
        enrol(ledger, campaign.manifest.campaign, campaign.manifest.jobs, steps)
        chosen = choose(steps) if choose else steps
        committed = ledger.read(queries.spend, campaign.manifest.campaign).committed
        ask_first(campaign, chosen, committed, yes=flags["yes"])
        outcome = work(campaign, chosen, ledger, how, options["base_url"], variables)
        outcome.problems += altered(steps)
        return tell(campaign, ledger, account, outcome, as_json=flags["as_json"])


def ask_first(campaign: Campaign, steps: Sequence[Step], committed: Units, *, yes: bool) -> None:
    """On a terminal, before something that costs money is sent: what, about how much, and whether it shall be.

    `committed` is what the campaign has spent or holds back so far.
    """
    from manifest_runner.runner.decide import Action

    manifest = campaign.manifest
    sending = [step for step in steps if step.action in (Action.SEND, Action.RESOLVE)]
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
    if not click.confirm(f"Send {count} for {cost_range(steps)} ({budget})?", err=True):
        raise Interrupted("Nothing was sent.", mend="The jobs stay as they are.")


def altered(steps: Sequence[Step]) -> list[str]:
    """What is to be said of videos that are done, but no longer the files that were fetched."""
    from manifest_runner.runner.decide import Action

    return [
        f"{step.external_task_id}: {step.why}"
        for step in steps
        if step.action is Action.HOLD
        and step.record is not None
        and step.record.state is JobState.DONE
        and not step.changed
    ]


def cost_range(steps: Sequence[Step]) -> str:
    """`about 2.8 to 4.4 units`, of everything that the plan may send."""
    costs = [step.estimate for step in steps if step.estimate]
    low, high = (
        units_text(sum(units, Decimal(0)))
        for units in ((cost.low for cost in costs), (cost.high for cost in costs))
    )
    return f"about {high} units" if low == high else f"about {low} to {high} units"


def work(  # noqa: PLR0917 - called once, in this order
    campaign: Campaign,
    steps: Sequence[Step],
    ledger: Ledger,
    how: RunOptions,
    asked: str | None,
    variables: dict[str, str],
) -> Outcome:
    """Carry the plan out; no service is asked, and no sandbox started, when there is nothing to do."""
    from manifest_runner.runner.conduct import Outcome
    from manifest_runner.runner.decide import Action

    todo = [step for step in steps if step.action not in (Action.SKIP, Action.HOLD)]
    if not todo:
        return Outcome()
    try:
        with open_service(campaign, asked, variables) as service:
            _announce(campaign, todo, service)
            return asyncio.run(_with_progress(campaign, steps, ledger, service, how))
    except ManifestRunnerError as error:
        return Outcome(stopped=error)


async def _with_progress(
    campaign: Campaign, steps: Sequence[Step], ledger: Ledger, service: Service, how: RunOptions
) -> Outcome:
    from dataclasses import replace

    from manifest_runner.runner.progress import Progress
    from manifest_runner.runner.run import carry_out

    costs = [step.estimate for step in steps if step.estimate]
    expected = sum((cost.high if cost.expected is None else cost.expected for cost in costs), Decimal(0))
    progress = Progress(ledger, campaign.manifest.campaign, expected_units=expected)
    showing = asyncio.create_task(progress.run())
    try:
        return await carry_out(
            campaign.manifest,
            steps,
            ledger=ledger,
            service=service,
            folder=campaign.out,
            options=replace(how, received=progress.received),
        )
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


def _announce(campaign: Campaign, todo: Sequence[Step], service: Service) -> None:
    counts = Counter(step.action.value for step in todo)
    what = ", ".join(f"{count} to {action}" for action, count in counts.items())
    manifest = campaign.manifest
    where = "the sandbox (free)" if service.local else f"{manifest.service.name} at {service.base_url}"
    budget = f", budget {units_text(manifest.budget_units)}" if manifest.budget_units is not None else ""
    cost = f", {cost_range(todo)}{budget}" if counts["send"] else ""
    say(f"{manifest.campaign} on {where}: {what}{cost}.", err=True)


def tell(campaign: Campaign, ledger: Ledger, account: str, outcome: Outcome, *, as_json: bool) -> int:
    """Write the reports, say what happened, and return the exit code."""
    from manifest_runner.ledger import queries
    from manifest_runner.media import DEFAULT_RATES
    from manifest_runner.report import collect, summary_lines, write_json, write_reports
    from manifest_runner.runner.run import exit_code

    name = campaign.manifest.campaign
    unfinished = ledger.read(queries.unfinished, name)
    if outcome.stopped is not None:
        say(f"Stopped: {outcome.stopped}", err=True)
    with ledger.read(
        collect,
        name,
        rates=DEFAULT_RATES,
        manifest_name=campaign.manifest.path.name,
        service=account,
    ) as report:
        try:
            files = write_reports(report, campaign.out)
        except NeedsPerson as error:  # the same full disk, perhaps, that the run met: both are told
            files, outcome.stopped = None, outcome.stopped or error
            say(f"! {error}", err=True)
        if as_json:
            write_json(report, sys.stdout)
        else:
            say("\n".join(summary_lines(report, files)))
    say(calls_line(outcome, unfinished), err=as_json)
    for problem in outcome.problems:
        say(f"! {problem}", err=True)
    return exit_code(outcome, unfinished)


def calls_line(outcome: Outcome, unfinished: int) -> str:
    """How many paid calls left in this run, and what is known of them. Those that made no task cost nothing."""
    spoken = f" {_calls(outcome.speech_calls, 'text-to-speech')} made." if outcome.speech_calls else ""
    if outcome.create_calls:
        line = f"{_calls(outcome.create_calls, 'create')} made in this run"
        if outcome.tasks_created != outcome.create_calls:
            line += f"; {outcome.tasks_created} of them made a task"
        if outcome.calls_in_doubt:
            line += (
                f"; of {outcome.calls_in_doubt} it is not known yet, and it may be billed: the next run asks"
            )
        return f"{line}.{spoken}"
    if not unfinished:
        return f"Nothing was left to send: every job is done. No create call was made.{spoken}"
    return f"No create call was made in this run.{spoken}"


def _calls(count: int, kind: str) -> str:
    return f"{count} {kind} call{'' if count == 1 else 's'}"
