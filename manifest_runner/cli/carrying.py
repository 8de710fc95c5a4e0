"""A plan carried out from the command line: asked about first (`asking`), shown while it goes, told at the end
(`telling`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from manifest_runner.cli.asking import ask_first, cost_range
from manifest_runner.cli.callbacks import Callbacks
from manifest_runner.cli.campaign import Campaign, load_campaign
from manifest_runner.cli.events import (
    STANDARD_OUTPUT,
    events_out,
    refuse_two_on_standard_output,
)
from manifest_runner.cli.listening import callbacks_of
from manifest_runner.cli.looking import advance, media_on_the_way
from manifest_runner.cli.noticing import Noticed, warning_lines
from manifest_runner.cli.problems import problems_kept
from manifest_runner.cli.renaming import renaming_lines
from manifest_runner.cli.run_options import RUN_OPTIONS
from manifest_runner.cli.selecting import planned
from manifest_runner.cli.service import account_of, check_transport, environment, is_elsewhere, open_service
from manifest_runner.cli.telling import altered, callback_lines, meter_of, tell, telling_events
from manifest_runner.cli.terminal import say
from manifest_runner.errors import Interrupted, LedgerError, ManifestRunnerError
from manifest_runner.models import units_text

if TYPE_CHECKING:
    import sqlite3

    from manifest_runner.ledger import Ledger
    from manifest_runner.runner.conduct import Outcome
    from manifest_runner.runner.decide import Retry
    from manifest_runner.runner.log_json import JsonLog
    from manifest_runner.runner.options import RunOptions, Service
    from manifest_runner.runner.plan import Plan
    from manifest_runner.runner.selection import Selection


def carry(
    options: dict[str, Any],
    *,
    retry: Sequence[Retry] = (),
    retry_ids: Sequence[str] = (),
    choose: Callable[[Plan], Plan] | None = None,
    selection: Selection | None = None,
    sends: bool = True,
) -> int:
    """Plan the campaign that the command's `options` name, or what is selected of it, carry the plan out (or what
    `choose` takes of it), and return the exit code. `sends`: jobs may be sent by it."""
    flags = {name: options.pop(name) for name in RUN_OPTIONS}
    refuse_two_on_standard_output(flags["log_json"], as_json=flags["as_json"])
    # A manifest that is wrong is told of before the rest is even imported.
    campaign = load_campaign(**options)

    from manifest_runner.ledger import open_ledger, queries
    from manifest_runner.ledger.standing import last_event
    from manifest_runner.runner.survey import enrol

    check_transport()
    manifest, variables = campaign.manifest, environment()
    where = {name: flags[name] for name in ("callback_url", "listen")}
    callbacks = callbacks_of(manifest, options["base_url"], variables, sends=sends, **where)
    callbacks.prove_free()
    account = account_of(manifest, options["base_url"], variables)
    remote = is_elsewhere(manifest, options["base_url"], variables)
    with (
        events_out(flags["log_json"], manifest=manifest.path, ledger=campaign.ledger) as events,
        open_ledger(campaign.ledger, account=account, take_over=flags["take_over"]) as ledger,
    ):
        plan, noticed = _planned(
            campaign, ledger, retry, retry_ids, selection, remote_service=remote, quiet=flags["as_json"]
        )
        strange = altered(plan)
        enrol(ledger, manifest.campaign, manifest.jobs, plan)
        chosen = choose(plan) if choose else plan
        for line in [*noticed, *callbacks.notes, *_renamed(campaign, chosen, ledger)]:
            say(line, err=True)
        committed = ledger.read(queries.spend, manifest.campaign).committed
        ask_first(campaign, chosen, committed, yes=flags["yes"])
        how = _how(flags, callbacks)
        opening = open_service(campaign, options["base_url"], variables, callbacks)
        with telling_events(events, campaign, chosen, ledger, gauges=how.gauges, account=account) as log:
            before = ledger.read(last_event)
            outcome = work(campaign, chosen, ledger, how, opening, log=log.log)
            outcome.problems += strange
            shown = {"as_json": flags["as_json"], "events_there": flags["log_json"] == STANDARD_OUTPUT}
            asked = chosen.meant if selection and not selection.is_everything else None
            log.exit_code = tell(campaign, ledger, account, outcome, asked=asked, **shown)
            for line in _came(callbacks, campaign, ledger, before):
                say(line, err=any(shown.values()))
        return log.exit_code


def _planned(
    campaign: Campaign,
    ledger: Ledger,
    retry: Sequence[Retry],
    retry_ids: Sequence[str],
    selection: Selection | None,
    *,
    remote_service: bool,
    quiet: bool,
) -> tuple[Plan, list[str]]:
    """The plan, and what is to be said of the manifest. Warnings about media are said here."""
    from manifest_runner.runner.survey import survey

    manifest = campaign.manifest
    noticed = Noticed(manifest)
    # What URLs lead to is for `validate`, `plan` and `rehearse` to say: here it would keep paid results waiting.
    with (
        media_on_the_way(
            manifest, quiet=quiet, remote_service=remote_service, skip_urls=True, noticed=noticed
        ) as (found, way),
        problems_kept(campaign),
    ):

        def surveyed(connection: sqlite3.Connection) -> Plan:
            def survey_of(only: Collection[int] | None) -> Plan:
                return survey(
                    manifest,
                    found,
                    connection,
                    campaign.out,
                    retry=retry,
                    retry_ids=retry_ids,
                    way=way,
                    only=only,
                )

            return planned(selection, manifest, connection, survey_of) if selection else survey_of(None)

        plan = ledger.read(surveyed)
    for line in warning_lines(found, plan):
        say(line, err=True)
    return plan, noticed.lines()


def _renamed(campaign: Campaign, plan: Plan, ledger: Ledger) -> list[str]:
    """What would be paid for once more because its id was changed."""
    from manifest_runner.runner.renamed import renamed

    name = campaign.manifest.campaign
    return renaming_lines(ledger.read(lambda connection: renamed(plan, connection, name)), name)


def _came(callbacks: Callbacks, campaign: Campaign, ledger: Ledger, before: int) -> list[str]:
    """How many callbacks came for the tasks that ended since the transition of this number."""
    from manifest_runner.ledger.standing import tasks_ended_after

    if callbacks.arrivals is None:
        return []
    ended = ledger.read(tasks_ended_after, campaign.manifest.campaign, before)
    return callback_lines(callbacks.arrivals, ended)


def _how(flags: dict[str, Any], callbacks: Callbacks) -> RunOptions:
    from manifest_runner.runner.gauges import Gauges
    from manifest_runner.runner.options import RunOptions
    from manifest_runner.service import Timeouts

    return RunOptions(
        timeouts=Timeouts(create_seconds=flags["create_timeout"]),
        task_timeout=flags["task_timeout"],
        same_account=flags["same_account"],
        gauges=Gauges(arrivals=callbacks.arrivals),
        callback_url=callbacks.url,
        listen=callbacks.listen,
    )


def work(
    campaign: Campaign,
    plan: Plan,
    ledger: Ledger,
    how: RunOptions,
    opening: AbstractContextManager[Service],
    *,
    log: JsonLog | None = None,
) -> Outcome:
    """Carry the plan out at the service that `opening` gives, and write the captions that are missing.

    The service is not entered when there is nothing to do: then nobody is asked, and no sandbox started.
    """
    outcome = _work(campaign, plan, ledger, how, opening, log=log)
    if not isinstance(outcome.stopped, Interrupted | LedgerError):
        try:
            outcome.problems += _write_captions(campaign, plan, ledger)
        except ManifestRunnerError as error:  # the videos are here all the same, and are reported
            if outcome.stopped is None:
                outcome.stopped = error
            else:
                outcome.problems.append(str(error))
    return outcome


def _write_captions(campaign: Campaign, plan: Plan, ledger: Ledger) -> list[str]:
    if not plan.captioned:
        return []
    from tqdm import tqdm

    from manifest_runner.runner.captions import caption_all

    jobs = (plan.jobs[place] for place in plan.captioned)
    with tqdm(desc="Captions", unit="video", disable=None, leave=False) as bar:
        return caption_all(jobs, ledger, campaign.out, progress=lambda count: advance(bar, count))


def _work(
    campaign: Campaign,
    plan: Plan,
    ledger: Ledger,
    how: RunOptions,
    opening: AbstractContextManager[Service],
    *,
    log: JsonLog | None,
) -> Outcome:
    from manifest_runner.runner.conduct import Outcome
    from manifest_runner.runner.run import interruption

    if not _to_do(plan):
        return Outcome()
    try:
        with opening as service:
            _announce(campaign, plan, service)
            return asyncio.run(_with_progress(campaign, plan, ledger, service, how, log=log))
    except ManifestRunnerError as error:
        return Outcome(stopped=error)
    except KeyboardInterrupt:  # a second Ctrl-C, which waits for no answer any more: the next run asks
        raise interruption(hard=True) from None


async def _with_progress(
    campaign: Campaign, plan: Plan, ledger: Ledger, service: Service, how: RunOptions, *, log: JsonLog | None
) -> Outcome:
    from manifest_runner.runner.progress import Progress
    from manifest_runner.runner.run import carry_out

    progress = Progress(meter_of(campaign, plan, ledger, how.gauges))
    showing = [asyncio.create_task(progress.run())]
    if log is not None:
        showing.append(asyncio.create_task(log.run()))
    try:
        return await carry_out(
            campaign.manifest, plan, ledger=ledger, service=service, folder=campaign.out, options=how
        )
    finally:
        for one in showing:
            one.cancel()
        await asyncio.gather(*showing, return_exceptions=True)


def _to_do(plan: Plan) -> dict[str, int]:
    """How much of what the run does something about."""
    from manifest_runner.runner.decide import UNDER_WAY, Action

    doing = (*UNDER_WAY, Action.SEND)
    return {action.value: plan.counts[action] for action in doing if plan.counts[action]}


def _announce(campaign: Campaign, plan: Plan, service: Service) -> None:
    counts = _to_do(plan)
    what = ", ".join(f"{count:,} to {action}" for action, count in counts.items())
    manifest = campaign.manifest
    where = "the sandbox (free)" if service.local else f"{manifest.service.name} at {service.base_url}"
    budget = f", budget {units_text(manifest.budget_units)}" if manifest.budget_units is not None else ""
    cost = f", {cost_range(plan)}{budget}" if "send" in counts else ""
    say(f"{manifest.campaign} on {where}: {what}{cost}.", err=True)
