"""`manifest-runner retry`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import campaign_options
from manifest_runner.cli.carrying import carry
from manifest_runner.cli.plan import plan_lines
from manifest_runner.cli.run_options import run_options
from manifest_runner.cli.selecting import selecting_options, taken_from
from manifest_runner.cli.terminal import say
from manifest_runner.errors import UsageError

if TYPE_CHECKING:
    from manifest_runner.runner.decide import Retry
    from manifest_runner.runner.plan import Plan
    from manifest_runner.runner.step import Step

KINDS = ("failed", "rejected", "expired", "changed")


@click.command("retry")
@campaign_options
@selecting_options
@click.option("--failed", is_flag=True, help="Jobs whose task the service reported failed.")
@click.option("--rejected", is_flag=True, help="Jobs that the service refused for good.")
@click.option("--expired", is_flag=True, help="Jobs whose paid video is not at the service any more.")
@click.option("--changed", is_flag=True, help="Done jobs whose row has changed since it was sent.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="Only this job. Can be given several times.")
@run_options
def command(*, ids: tuple[str, ...], **options: Any) -> int:
    """Send jobs of MANIFEST again that have ended without the video they should have: as new attempts, paid anew.

    What it will cost is shown first. What is under way is gone on with, and gets no new attempt; what was never sent
    stays so. With --id alone, each of the kinds will do.
    """
    from manifest_runner.runner.decide import UNDER_WAY, Retry

    chosen = [Retry(kind) for kind in KINDS if options.pop(kind)]
    if not chosen and not ids:
        raise UsageError(
            "Nothing says what to send again.",
            mend="Give --failed, --rejected, --expired, --changed or --id ID.",
        )

    def only_those(plan: Plan) -> Plan:
        named = plan.named(ids)
        if unknown := [key for key in ids if key not in named]:
            raise UsageError(f"The manifest has no job {unknown[0]!r}.", mend="Name jobs that it has.")
        kinds = chosen or list(Retry)
        for key, step in ((key, named[key]) for key in ids):
            if not sent_again(step, kinds, ids):
                say(f"{key}: not sent again: {step.why}", err=True)
        again = plan.only(lambda step: sent_again(step, kinds, ids))
        if not again.counts.total():
            if not ids:
                say("There is nothing of that kind to send again.", err=True)
            return again
        for line in plan_lines(again):
            say(line, err=True)
        return plan.only(lambda step: step.action in UNDER_WAY or sent_again(step, kinds, ids))

    return carry(
        options,
        retry=chosen or list(Retry),
        retry_ids=ids,
        choose=only_those,
        selection=taken_from(options),
    )


def sent_again(step: Step, kinds: Sequence[Retry], ids: Sequence[str]) -> bool:
    """Whether the plan sends a job that has ended before, and it is one of those that were asked for.

    A plan may send more than that, such as a refused row that was edited: that is for `run`.
    """
    from manifest_runner.models import JobState
    from manifest_runner.runner.decide import Action, Retry

    if step.action is not Action.SEND or step.record is None or (ids and step.external_task_id not in ids):
        return False
    state = step.record.state
    if state is JobState.DONE:
        return Retry.CHANGED in kinds or Retry.EXPIRED in kinds
    return state is not JobState.PENDING and Retry(state.value) in kinds
