"""`manifest-runner run`."""

from __future__ import annotations

from typing import Any

import click

from manifest_runner.cli.campaign import campaign_options
from manifest_runner.cli.carrying import carry
from manifest_runner.cli.run_options import run_options
from manifest_runner.cli.selecting import selecting_options, taken_from


@click.command("run")
@campaign_options
@selecting_options
@click.option(
    "--retry",
    multiple=True,
    type=click.Choice(["failed", "rejected", "expired", "changed"]),
    help="Send these again, as new attempts that are paid anew. Can be given several times.",
)
@run_options
def command(*, retry: tuple[str, ...], **options: Any) -> int:
    """Make the videos of MANIFEST: send what was not sent, go on with what was, fetch what is ready, and report.

    Running the same command again goes on where it was and sends nothing twice.
    """
    from manifest_runner.runner.decide import Retry

    return carry(options, retry=[Retry(kind) for kind in retry], selection=taken_from(options))
