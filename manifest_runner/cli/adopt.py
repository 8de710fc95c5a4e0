"""`manifest-runner adopt`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import Campaign, campaign_options, load_campaign
from manifest_runner.cli.looking import media_on_the_way
from manifest_runner.cli.service import account_of, check_transport, environment, open_service
from manifest_runner.cli.terminal import say
from manifest_runner.errors import UsageError
from manifest_runner.models import Job, utc_text

if TYPE_CHECKING:
    from manifest_runner.ledger import Ledger
    from manifest_runner.media import Preflight
    from manifest_runner.runner.adopt import Adopted, LeftOut


@click.command("adopt")
@campaign_options
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Every job of the manifest that is not under way.")
@click.option("--take-over", is_flag=True, help="The runner that the ledger names does not run any more.")
def command(*, ids: tuple[str, ...], everything: bool, take_over: bool, **options: Any) -> int:
    """Take up tasks that the account already has for jobs of MANIFEST, and that this ledger does not know.

    For a ledger that was lost or is an old backup (--all), and for jobs that stopped as a conflict: by this you say
    that the tasks under these ids (ID, and ID-r2, ID-r3 ... for later attempts) are yours, and made from the rows as
    they are now. Nothing is sent, and nothing paid. `run` then goes on with them: watches what is under way, fetches
    what is ready.
    """
    from manifest_runner.ledger import open_ledger
    from manifest_runner.runner.adopt import adoptable, left_out
    from manifest_runner.runner.survey import enrol, survey

    if everything == bool(ids):
        raise UsageError("Say which jobs to adopt.", mend="Name their ids, or give --all.")
    campaign = load_campaign(**options)
    check_transport()
    manifest = campaign.manifest
    wanted = _named(manifest.jobs, ids) if ids else manifest.jobs
    variables = environment()
    account = account_of(campaign.manifest, options["base_url"], variables)
    with open_ledger(campaign.ledger, account=account, take_over=take_over) as ledger:
        with media_on_the_way(manifest, quiet=False, remote_service=False, skip_urls=True) as (found, way):
            plan = ledger.read(
                lambda connection: survey(
                    manifest,
                    found,
                    connection,
                    campaign.out,
                    way=way,
                    any_media=True,  # nothing is sent: what is wrong with the media is for `run` to say
                )
            )
        enrol(ledger, manifest.campaign, manifest.jobs, plan)
        candidates = adoptable(wanted, ledger)
        if ids:
            free = {job.external_task_id for job in candidates}
            for key in dict.fromkeys(ids):
                if key not in free:
                    say(f"{key}: not adopted, it is under way: run the campaign", err=True)
        adopted = _adopt(campaign, candidates, found, ledger, options["base_url"], variables)
        left = left_out(wanted, adopted, ledger)
    _tell(adopted, left)
    return 0


def _named(jobs: Sequence[Job], ids: Sequence[str]) -> Sequence[Job]:
    """The jobs of these ids, in their order. Raises UsageError for an id that none has."""
    from manifest_runner.runner.adopt import Picked

    wanted = dict.fromkeys(ids, -1)
    for place, job in enumerate(jobs):
        if job.external_task_id in wanted:
            wanted[job.external_task_id] = place
    if unknown := [key for key, place in wanted.items() if place < 0]:
        raise UsageError(f"The manifest has no job {unknown[0]!r}.", mend="Adopt jobs that it names.")
    return Picked(jobs, wanted.values())


def _adopt(  # noqa: PLR0917 - called once, in this order
    campaign: Campaign,
    candidates: Sequence[Job],
    found: Preflight,
    ledger: Ledger,
    asked: str | None,
    variables: dict[str, str],
) -> list[Adopted]:
    from manifest_runner.media import DEFAULT_RATES
    from manifest_runner.runner.adopt import adopt
    from manifest_runner.service import AvatarClient

    async def work() -> list[Adopted]:
        async with AvatarClient(service.base_url, service.credentials) as client:
            return await adopt(
                candidates,
                found.of,
                ledger=ledger,
                client=client,
                rates=DEFAULT_RATES,
                key_id=service.key_id,
                listing=len(candidates) > 1,
            )

    if not candidates:
        return []
    with open_service(campaign, asked, variables) as service:
        return asyncio.run(work())


def _tell(adopted: Sequence[Adopted], left: LeftOut) -> None:
    for one in adopted:
        task = one.tasks[-1]
        created = f", created {utc_text(task.created_at)}" if task.created_at else ""
        attempts = f", {len(one.tasks)} attempts" if len(one.tasks) > 1 else ""
        say(f"{one.external_task_id}: task {task.task_id}, {task.status}{created}{attempts}")
    say(f"{len(adopted)} adopted.{' Run the campaign to go on with them.' if adopted else ''}")
    for count, why in (
        (left.under_way, "under way in the ledger already: run the campaign."),
        (left.known, "in the ledger already, and the account has no newer task."),
        (left.without_task, "as the account shows no task of that id: a run may send it."),
    ):
        if count:
            say(f"{count} not adopted, {why}")
    if adopted:
        say(
            "They count as made from the rows as they are now: look at the videos of rows that were edited since."
        )
