"""`manifest-runner listen`."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from manifest_runner.cli.campaign import campaign_options
from manifest_runner.cli.carrying import carry
from manifest_runner.cli.listening import (
    SECRET,
    Refusals,
    checked_callback_url,
    signatures_from,
    webhook_secrets,
)
from manifest_runner.cli.run_options import run_options
from manifest_runner.cli.terminal import say
from manifest_runner.errors import UsageError

if TYPE_CHECKING:
    from manifest_runner.runner.doorway import Address
    from manifest_runner.runner.plan import Plan
    from manifest_runner.service.callbacks import Delivery

MOST_WAITING = 10_000  # deliveries that a slow reader of our output leaves waiting
TOLD_EVERY = 1.0  # seconds: of each reason for which deliveries are refused


@click.command("listen")
@campaign_options
@run_options
@click.pass_context
def command(context: click.Context, /, *, manifest: Path | None, **options: Any) -> int:
    """Receive callbacks; with MANIFEST, bring home meanwhile what earlier runs of it have sent, and send nothing.

    Without MANIFEST, each callback that is genuine and new is printed as a JSON line until Ctrl-C: for trying out a
    tunnel, and for other programs. What a line tells of a task is what was posted, and unconfirmed: ask the service
    before anything is done about it.
    """
    if options["listen"] is None:
        raise UsageError("Where to listen is not said.", mend="Give --listen, such as --listen 8080.")
    if manifest is not None:
        return bring_home({"manifest": manifest, **options})
    _refuse_others(context)
    if options["callback_url"] is not None:
        checked_callback_url(options["callback_url"])
    return asyncio.run(_listen(options["listen"], options["callback_url"]))


# One command has both forms, so its argument is the campaign's own, which may be left out here.
next(parameter for parameter in command.params if parameter.name == "manifest").required = False


def bring_home(options: dict[str, Any]) -> int:
    """Wait for the tasks that the campaign has under way, and fetch what is ready.

    A create call whose answer was lost is left to `run`: to settle it can mean to send it.
    """

    def under_way(plan: Plan) -> Plan:
        if in_doubt := plan.counts[Action.RESOLVE]:
            say(
                f"{in_doubt} with a create call in doubt: `run` settles that, as it may have to send.",
                err=True,
            )
        return plan.only(lambda step: step.action in UNDER_WAY and not step.action.costs)

    from manifest_runner.runner.decide import UNDER_WAY, Action

    return carry(options, choose=under_way, sends=False)


def _refuse_others(context: click.Context) -> None:
    """Of the options only those about listening mean anything without a campaign."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is not ParameterSource.DEFAULT
        if given and parameter.name not in ("manifest", "listen", "callback_url"):
            raise UsageError(
                f"{parameter.opts[0]} is about a campaign, and none is named.", mend="Name its MANIFEST."
            )


async def _listen(address: Address, callback_url: str | None) -> int:
    from manifest_runner.cli.service import environment
    from manifest_runner.runner.receive import deliveries

    signatures = signatures_from(webhook_secrets(environment()))
    refused = Refusals(lambda text: say(text, err=True), every=TOLD_EVERY)
    came: asyncio.Queue[Delivery | None] = asyncio.Queue()

    def take(delivery: Delivery) -> None:
        if came.qsize() < MOST_WAITING:
            came.put_nowait(delivery)
        else:
            refused("nobody reads what is printed")

    async with deliveries(
        take, address=address, callback_url=callback_url, signatures=signatures, refused=refused
    ) as at:
        who = "signed" if signatures else f"anybody's, as {SECRET} is not set"
        where = "any path" if signatures or callback_url is None else "the callback URL's path alone"
        say(f"Listening on http://{at} for callbacks to {where} ({who}); Ctrl-C ends it.", err=True)
        stopped = asyncio.create_task(_stop_signal())
        printing = asyncio.create_task(_print(came))
        await asyncio.wait({stopped, printing}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
    came.put_nowait(None)
    await printing  # what has come; an error, when nobody reads any more
    refused.tell_rest()
    return 0


async def _stop_signal() -> None:
    """Wait for Ctrl-C or SIGTERM: there is nothing to interrupt, so either is the proper end. A second one does what
    it always did."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    watched = (signal.SIGINT, signal.SIGTERM)
    for number in watched:
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in watched:
            loop.remove_signal_handler(number)


async def _print(came: asyncio.Queue[Delivery | None]) -> None:
    """Print what comes, until None does: in a thread, as a reader that is slow must not keep senders waiting."""
    while (delivery := await came.get()) is not None:
        await asyncio.to_thread(click.echo, line_of(delivery))


def line_of(delivery: Delivery) -> str:
    """A delivery as a JSON line; `status_told` because nobody has confirmed it."""
    return json.dumps(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "webhook_id": delivery.webhook_id,
            "task_id": delivery.task_id,
            "external_task_id": delivery.external_task_id,
            "status_told": delivery.status,
            "signed": delivery.signed,
        }
    )
