"""What is said and written at the end of a run: the reports, the calls that were made, the exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from manifest_runner.cli.campaign import Campaign
from manifest_runner.cli.terminal import say
from manifest_runner.errors import ManifestRunnerError, NeedsPerson
from manifest_runner.models import JobState

if TYPE_CHECKING:
    from manifest_runner.ledger import Ledger
    from manifest_runner.runner.conduct import Outcome
    from manifest_runner.runner.gauges import Arrivals, Gauges
    from manifest_runner.runner.log_json import JsonLog
    from manifest_runner.runner.meter import Meter
    from manifest_runner.runner.plan import Plan


def tell(
    campaign: Campaign,
    ledger: Ledger,
    account: str,
    outcome: Outcome,
    *,
    as_json: bool,
    events_there: bool,
    asked: Sequence[int] | None = None,
) -> int:
    """Write the reports, say what happened, and return the exit code.

    `asked`: the places of the jobs that the run was about; None: all. `events_there`: standard output is that of
    `--log-json`, and nothing else is written to it.
    """
    from manifest_runner.ledger import queries
    from manifest_runner.ledger.standing import finished
    from manifest_runner.manifest import jobs_at
    from manifest_runner.media import DEFAULT_RATES
    from manifest_runner.report import collect, summary_lines, write_json, write_reports
    from manifest_runner.runner.run import exit_code

    name = campaign.manifest.campaign
    if asked is None:
        unfinished = ledger.read(queries.unfinished, name)
    else:
        ids = (job.external_task_id for job in jobs_at(campaign.manifest.jobs, asked))
        unfinished = len(asked) - ledger.read(lambda connection: finished(connection, name, ids))
    tell_stop(outcome)
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
            say("\n".join(summary_lines(report, files)), err=events_there)
    line = calls_line(outcome, unfinished, selected=asked is not None)
    say(line, err=as_json or events_there)
    tell_problems(outcome)
    return exit_code(outcome, unfinished)


def tell_stop(outcome: Outcome) -> None:
    """Why the run stopped early, if it did."""
    if outcome.stopped is not None:
        say(f"Stopped: {outcome.stopped}", err=True)


def tell_problems(outcome: Outcome) -> None:
    """What could not be carried through, a line each."""
    for problem in outcome.problems:
        say(f"! {problem}", err=True)


def altered(plan: Plan) -> list[str]:
    """What is to be said of videos that are done, but no longer the files that were fetched."""
    from manifest_runner.runner.decide import Action

    return [
        f"{step.external_task_id}: {step.why}"
        for step in plan.steps(Action.HOLD)
        if step.record is not None and step.record.state is JobState.DONE and not step.changed
    ]


def meter_of(campaign: Campaign, plan: Plan, ledger: Ledger, gauges: Gauges) -> Meter:
    """For one who shows how far a run is; each has to have one of its own."""
    from manifest_runner.runner.meter import Meter

    return Meter(
        ledger,
        campaign.manifest.campaign,
        gauges,
        expected_units=plan.expected,
        expected_seconds=plan.seconds,
        budget=campaign.manifest.budget_units,
    )


@dataclass(slots=True)
class Telling:
    """The log of a run's events, if there is one, and what the run is to end with."""

    log: JsonLog | None
    exit_code: int = 1  # a bug, as long as nothing else is known


@contextmanager
def telling_events(
    out: TextIO | None, campaign: Campaign, plan: Plan, ledger: Ledger, *, gauges: Gauges, account: str
) -> Iterator[Telling]:
    """The log begins with the run; with its end the exit code is told, whatever ended it."""
    from manifest_runner.runner.log_json import JsonLog

    log = JsonLog(meter_of(campaign, plan, ledger, gauges), out, service=account) if out else None
    telling = Telling(log)
    try:
        yield telling
    except ManifestRunnerError as error:
        telling.exit_code = error.exit_code
        raise
    finally:
        if log is not None:
            log.finish(telling.exit_code)


def calls_line(outcome: Outcome, unfinished: int, *, selected: bool = False) -> str:
    """How many paid calls left in this run, and what is known of them. Those that made no task cost nothing.

    `selected`: it was about some of the jobs, of which so many are unfinished.
    """
    spoken = f" {_calls(outcome.speech_calls, 'text-to-speech')} made." if outcome.speech_calls else ""
    if outcome.create_calls:
        line = f"{_calls(outcome.create_calls, 'create')} made in this run"
        if outcome.tasks_created != outcome.create_calls:
            line += f"; {outcome.tasks_created:,} of them made a task"
        if outcome.calls_in_doubt:
            line += f"; of {outcome.calls_in_doubt:,} it is not known yet, and it may be billed: the next run asks"
        return f"{line}.{spoken}"
    if not unfinished:
        which = "every job that was selected" if selected else "every job"
        return f"Nothing was left to send: {which} is done. No create call was made.{spoken}"
    return f"No create call was made in this run.{spoken}"


def callback_lines(arrivals: Arrivals, ended: int) -> list[str]:
    """How many callbacks came while `ended` tasks did; what to look at when they do not come through."""
    if not ended and not arrivals.taken and not arrivals.refused:
        return []
    refused = "; ".join(f"{why} ({count:,})" for why, count in arrivals.refused.most_common())
    also = f", {arrivals.refused.total():,} refused: {refused}" if refused else ""
    lines = [f"Callbacks: {arrivals.taken:,} received and taken{also}."]
    if not arrivals.taken and ended:
        none = "was taken" if refused else "arrived"
        lines.append(
            f"No callback {none}, though {ended:,} task{'' if ended == 1 else 's'} ended; they were found by asking. "
            "Look whether the callback URL leads to --listen (host, port, path; the tunnel, the firewall), which "
            "`listen` without a manifest shows. Tasks that were sent without a callback URL, or with one of their "
            "row's own, call nobody here."
        )
    return lines


def _calls(count: int, kind: str) -> str:
    return f"{count:,} {kind} call{'' if count == 1 else 's'}"
