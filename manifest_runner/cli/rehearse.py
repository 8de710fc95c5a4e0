"""`manifest-runner rehearse`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import campaign_options
from manifest_runner.cli.looking import look_at_media, media_options
from manifest_runner.cli.noticing import Noticed, warning_lines
from manifest_runner.cli.selecting import selecting_options
from manifest_runner.cli.service import check_transport
from manifest_runner.cli.stage import ACCOUNT, Stage, records_of, sandbox_of, set_stage
from manifest_runner.cli.terminal import say
from manifest_runner.models import Job, JobState, Manifest, Problem

if TYPE_CHECKING:
    from manifest_runner.ledger import JobRecord, Ledger
    from manifest_runner.media import Preflight
    from manifest_runner.runner.conduct import Outcome
    from manifest_runner.runner.step import Step

WAITS = 86_400.0  # seconds: the sandbox is our own, and a task in it may wait long for its turn


@click.command("rehearse")
@campaign_options
@selecting_options
@media_options
@click.option("--take-over", is_flag=True, help="The rehearsal that the ledger names does not run any more.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json to standard output at the end.")
def command(*, take_over: bool, as_json: bool, skip_urls: bool, **options: Any) -> int:
    """Make a preview of every row of MANIFEST on a sandbox of its own, free, and a page that shows them all.

    Nothing is spent, nothing is sent to any service, and no key is read, whatever the manifest and the options name.
    All of it lies in the folder `rehearsal` inside the output folder (open its index.html), and in a ledger of its
    own: .manifest-runner/rehearsal/ledger.sqlite3 beside the manifest, or --ledger. Run it again after an edit: what
    changed is made again, the rest stays.
    """
    from manifest_runner.cli.rehearsed import tell_rehearsal
    from manifest_runner.ledger import open_ledger

    check_transport()
    stage = set_stage(options)
    noticed = Noticed(stage.manifest)
    found = look_at_media(
        stage.manifest,
        quiet=as_json,
        remote_service=True,
        skip_urls=skip_urls,
        previews=True,
        noticed=noticed,
    )
    for line in [*warning_lines(found), *noticed.lines(), *_unused(stage.manifest, options)]:
        say(line, err=True)
    with open_ledger(stage.campaign.ledger, account=ACCOUNT, take_over=take_over) as ledger:
        outcome = _play(stage, found, ledger)
        return tell_rehearsal(stage, found, ledger, outcome, as_json=as_json)


HELP = {
    "service": "The same as for `run`; a rehearsal uses none.",
    "base_url": "The same as for `run`; a rehearsal does not use it.",
    "concurrency": "Tasks at once on the sandbox  [default: as many as keep this machine busy]",
    "budget_units": "What to say of this budget; it does not stop a rehearsal.",
    "ledger": "The rehearsal's own ledger  [default: .manifest-runner/rehearsal/ledger.sqlite3 beside the manifest]",
    "out": "The campaign's output folder; the rehearsal is in the folder `rehearsal` in it  "
    "[default: out/CAMPAIGN beside the manifest]",
}
for _option in command.params:
    if isinstance(_option, click.Option) and _option.name in HELP:
        _option.help = HELP[_option.name]


def _unused(manifest: Manifest, options: dict[str, Any]) -> list[str]:
    """What a real run would use, and a rehearsal does not."""
    lines = []
    if options["base_url"] is not None:
        lines.append("--base-url is not used: a rehearsal runs on a sandbox of its own.")
    if calls := sum(job.callback_url is not None for job in manifest.jobs):
        rows = f"{calls} row{' names' if calls == 1 else 's name'}"
        lines.append(f"{rows} a callback_url: in a rehearsal nobody is called.")
    return lines


def _play(stage: Stage, found: Preflight, ledger: Ledger) -> Outcome:
    """Make what is not there yet as the rows are now, and everything else again that did not come to a video."""
    outcome = _play_once(stage, found, ledger)
    edited = {
        key
        for key, record in records_of(ledger, stage.manifest.campaign).items()
        if record.state is JobState.DONE and record.changed
    }
    if outcome.stopped is None and any(
        found.usable(job) for job in stage.manifest.jobs if job.external_task_id in edited
    ):
        # Under way when it was interrupted, and edited since: first the earlier version came home.
        again = _play_once(stage, found, ledger)
        again.create_calls += outcome.create_calls
        again.problems = list(dict.fromkeys([*outcome.problems, *again.problems]))
        return again
    return outcome


def _play_once(stage: Stage, found: Preflight, ledger: Ledger) -> Outcome:
    from manifest_runner.cli.carrying import work
    from manifest_runner.cli.service import open_rehearsal
    from manifest_runner.cli.telling import altered
    from manifest_runner.ledger import queries
    from manifest_runner.runner.decide import Retry
    from manifest_runner.runner.options import RunOptions
    from manifest_runner.runner.rehearsal import usable_of, with_places_of_their_own
    from manifest_runner.runner.survey import enrol, survey

    manifest = stage.campaign.manifest
    records = records_of(ledger, manifest.campaign)
    jobs = with_places_of_their_own(manifest.jobs, records.values())
    usable = replace(manifest, jobs=usable_of(jobs, found))
    plan = ledger.read(
        lambda connection: survey(usable, found, connection, stage.campaign.out, retry=list(Retry))
    )
    strange = altered(plan)
    unusable = _unusable(jobs, found.problems, records)
    enrol(ledger, manifest.campaign, jobs, plan, unusable)
    _note(ledger, unusable, records)
    sandbox = sandbox_of(stage.campaign.ledger, ledger.read(queries.ledger_id))
    opening = open_rehearsal(sandbox, slots=manifest.concurrency or 1)
    outcome = work(
        replace(stage.campaign, manifest=usable), plan, ledger, RunOptions(task_timeout=WAITS), opening
    )
    outcome.problems += strange
    return outcome


def _unusable(jobs: Sequence[Job], problems: Sequence[Problem], records: dict[str, JobRecord]) -> list[Step]:
    """The rows that are not sent because of their media, as steps that do nothing."""
    from manifest_runner.runner.decide import Action
    from manifest_runner.runner.step import Step

    why: dict[str, list[Problem]] = {}
    for problem in problems:
        why.setdefault(problem.job or "", []).append(problem)
    steps = []
    for job in jobs:
        if against := why.get(job.external_task_id):
            record = records.get(job.external_task_id)
            made = record is not None and record.state is JobState.DONE
            steps.append(
                Step(
                    external_task_id=job.external_task_id,
                    action=Action.HOLD,
                    why=" ".join(f"{problem.what} {problem.mend}".strip() for problem in against),
                    output=job.output,
                    job=job,
                    record=record,
                    changed=tuple(sorted({_part(job, problem) for problem in against})) if made else (),
                )
            )
    return steps


def _part(job: Job, problem: Problem) -> str:
    """The paid part of a row that a problem is about."""
    return "audio" if job.sound_file and problem.location == job.where("sound_file") else "image"


def _note(ledger: Ledger, unusable: Sequence[Step], records: dict[str, JobRecord]) -> None:
    """Into the ledger, for the report, why they were not sent; once, however often it is rehearsed."""
    from manifest_runner.ledger import writes

    for step in unusable:
        record = records.get(step.external_task_id)
        if record is None or (record.why != step.why and not record.state.in_flight):
            ledger.write_now(writes.note, step.external_task_id, step.why)
