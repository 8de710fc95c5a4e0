"""A plan carried out from the command line: asked about first (`asking`), shown while it goes, told at the end
(`telling`)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from manifest_runner.cli.asking import ask_first, cost_range
from manifest_runner.cli.campaign import (
    Campaign,
    advance,
    load_campaign,
    look_at_media,
    problems_kept,
    warning_lines,
)
from manifest_runner.cli.service import account_of, environment, is_elsewhere, open_service
from manifest_runner.cli.telling import altered, tell
from manifest_runner.cli.terminal import say
from manifest_runner.errors import Interrupted, LedgerError, ManifestRunnerError
from manifest_runner.models import units_text

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
    # What URLs lead to is for `validate`, `plan` and `rehearse` to say: here it would keep paid results waiting.
    found = look_at_media(campaign.manifest, quiet=flags["as_json"], remote_service=remote, skip_urls=True)
    account = account_of(campaign.manifest, options["base_url"], variables)
    with open_ledger(campaign.ledger, account=account, take_over=flags["take_over"]) as ledger:
        with problems_kept(campaign):
            steps = ledger.read(
                lambda connection: survey(
                    campaign.manifest, found, connection, campaign.out, retry=retry, retry_ids=retry_ids
                )
            )
        for line in warning_lines(found, steps):
            say(line, err=True)
        enrol(ledger, campaign.manifest.campaign, campaign.manifest.jobs, steps)
        chosen = choose(steps) if choose else steps
        committed = ledger.read(queries.spend, campaign.manifest.campaign).committed
        ask_first(campaign, chosen, committed, yes=flags["yes"])
        opening = open_service(campaign, options["base_url"], variables)
        outcome = work(campaign, chosen, ledger, how, opening)
        outcome.problems += altered(steps)
        return tell(campaign, ledger, account, outcome, as_json=flags["as_json"])


def work(
    campaign: Campaign,
    steps: Sequence[Step],
    ledger: Ledger,
    how: RunOptions,
    opening: AbstractContextManager[Service],
) -> Outcome:
    """Carry the plan out at the service that `opening` gives, and write the captions that are missing.

    The service is not entered when there is nothing to do: then nobody is asked, and no sandbox started.
    """
    outcome = _work(campaign, steps, ledger, how, opening)
    if not isinstance(outcome.stopped, Interrupted | LedgerError):
        try:
            outcome.problems += _write_captions(campaign, ledger)
        except ManifestRunnerError as error:  # the videos are here all the same, and are reported
            if outcome.stopped is None:
                outcome.stopped = error
            else:
                outcome.problems.append(str(error))
    return outcome


def _write_captions(campaign: Campaign, ledger: Ledger) -> list[str]:
    from tqdm import tqdm

    from manifest_runner.runner.captions import caption_all

    with tqdm(desc="Captions", unit="video", disable=None, leave=False) as bar:
        return caption_all(
            campaign.manifest.jobs, ledger, campaign.out, progress=lambda count: advance(bar, count)
        )


def _work(
    campaign: Campaign,
    steps: Sequence[Step],
    ledger: Ledger,
    how: RunOptions,
    opening: AbstractContextManager[Service],
) -> Outcome:
    from manifest_runner.runner.conduct import Outcome
    from manifest_runner.runner.decide import Action

    todo = [step for step in steps if step.action not in (Action.SKIP, Action.HOLD)]
    if not todo:
        return Outcome()
    try:
        with opening as service:
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
