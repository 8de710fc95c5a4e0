"""`manifest-runner run`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import (
    Campaign,
    account_of,
    campaign_options,
    environment,
    load_campaign,
    look_at_media,
    service_address,
)
from manifest_runner.errors import ManifestRunnerError, NeedsPerson
from manifest_runner.models import JobState, ServiceName

if TYPE_CHECKING:
    from manifest_runner.ledger import Ledger
    from manifest_runner.runner.conduct import Outcome
    from manifest_runner.runner.plan import Step
    from manifest_runner.runner.run import RunOptions, Service


@click.command("run")
@campaign_options
@click.option(
    "--retry",
    multiple=True,
    type=click.Choice(["failed", "rejected", "expired", "changed"]),
    help="Send these again, as new attempts that are paid anew. Can be given several times.",
)
@click.option(
    "--create-timeout",
    type=click.FloatRange(0.1, 3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="What a create call may take; an answer that was lost is waited out half as long again.",
)
@click.option(
    "--task-timeout",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a task may take before this run no longer waits for it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print report.json to standard output at the end.")
def command(
    retry: tuple[str, ...], create_timeout: float, task_timeout: float, as_json: bool, **options: Any
) -> int:
    """Make the videos of MANIFEST: send what was not sent, go on with what was, fetch what is ready, and report.

    Running the same command again goes on where it was and sends nothing twice.
    """
    from manifest_runner.ledger import open_ledger
    from manifest_runner.runner.plan import Retry
    from manifest_runner.runner.run import RunOptions, enrol, survey
    from manifest_runner.service import Timeouts

    campaign = load_campaign(**options)
    found = look_at_media(campaign.manifest, quiet=as_json)
    variables = environment()
    account = account_of(campaign.manifest, options["base_url"], variables)
    with open_ledger(campaign.ledger, account=account) as ledger:
        steps = ledger.read(
            lambda connection: survey(
                campaign.manifest, found, connection, campaign.out, retry=[Retry(kind) for kind in retry]
            )
        )
        enrol(ledger, campaign.manifest.campaign, campaign.manifest.jobs, steps)
        how = RunOptions(timeouts=Timeouts(create_seconds=create_timeout), task_timeout=task_timeout)
        outcome = _work(campaign, steps, ledger, how, options["base_url"], variables)
        return _tell(campaign, ledger, account, outcome, as_json=as_json)


def _work(  # noqa: PLR0917 - called once, in this order
    campaign: Campaign,
    steps: Sequence[Step],
    ledger: Ledger,
    how: RunOptions,
    asked: str | None,
    variables: dict[str, str],
) -> Outcome:
    """Carry the plan out; no service is asked, and no sandbox started, when there is nothing to do."""
    from manifest_runner.runner.conduct import Outcome
    from manifest_runner.runner.plan import Action

    todo = [step for step in steps if step.action not in (Action.SKIP, Action.HOLD)]
    if not todo:
        return Outcome()
    try:
        with _service(campaign, asked, variables) as service:
            _announce(campaign, todo, service)
            return asyncio.run(_with_progress(campaign, steps, ledger, service, how))
    except ManifestRunnerError as error:
        return Outcome(stopped=error)


@contextlib.contextmanager
def _service(campaign: Campaign, asked: str | None, variables: dict[str, str]) -> Iterator[Service]:
    """The service the manifest names; a sandbox without an address is started for this run."""
    from manifest_runner.runner.run import Service
    from manifest_runner.service import credentials_from

    manifest = campaign.manifest
    if manifest.service.name is ServiceName.SANDBOX and not (asked or manifest.service.base_url):
        from manifest_runner.sandbox import start_sandbox

        with start_sandbox(campaign.state / "sandbox", slots=manifest.concurrency) as sandbox:
            yield Service(
                base_url=sandbox.base_url, credentials=credentials_from(sandbox.environment), local=True
            )
        return
    address = service_address(manifest, asked, variables)
    yield Service(base_url=address, credentials=credentials_from(variables))


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
    where = (
        "the sandbox (free)"
        if campaign.manifest.service.name is ServiceName.SANDBOX
        else f"{campaign.manifest.service.name} at {service.base_url}"
    )
    click.echo(f"{campaign.manifest.campaign} on {where}: {what}.", err=True)


def _tell(campaign: Campaign, ledger: Ledger, account: str, outcome: Outcome, *, as_json: bool) -> int:
    """Write the reports, say what happened, and return the exit code."""
    import sys

    from manifest_runner.ledger import queries
    from manifest_runner.media import DEFAULT_RATES
    from manifest_runner.report import collect, summary_lines, write_json, write_reports
    from manifest_runner.runner.run import exit_code

    name = campaign.manifest.campaign
    states = ledger.read(queries.counts, name)
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
            click.echo(f"! {error}", err=True)
        if as_json:
            write_json(report, sys.stdout)
        else:
            click.echo("\n".join(summary_lines(report, files)))
    click.echo(_calls(outcome.create_calls, states), err=as_json)
    for problem in outcome.problems:
        click.echo(f"! {problem}", err=True)
    if outcome.stopped is not None:
        click.echo(f"Stopped: {outcome.stopped}", err=True)
    return exit_code(outcome, states)


def _calls(calls: int, states: dict[JobState, int]) -> str:
    if calls:
        return f"{calls} create call{'' if calls == 1 else 's'} made in this run."
    if set(states) == {JobState.DONE}:
        return "Nothing was left to send: every job is done. No create call was made."
    return "No create call was made in this run."
