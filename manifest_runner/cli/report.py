"""`manifest-runner report`."""

from __future__ import annotations

import sys
from typing import Any

import click

from manifest_runner.cli.campaign import campaign_options, known_campaign
from manifest_runner.cli.terminal import say


@click.command("report")
@campaign_options
@click.option("--json", "as_json", is_flag=True, help="Print report.json to standard output too.")
def command(as_json: bool, **options: Any) -> int:
    """Write report.json and report.csv of MANIFEST's campaign again, from the ledger alone."""
    from manifest_runner.ledger import open_for_reading, queries
    from manifest_runner.media import DEFAULT_RATES
    from manifest_runner.report import collect, summary_lines, write_json, write_reports

    campaign = known_campaign(options.pop("manifest"), **options)
    with (
        open_for_reading(campaign.ledger) as connection,
        collect(
            connection,
            campaign.manifest.campaign,
            rates=DEFAULT_RATES,
            manifest_name=campaign.manifest.path.name,
            service=queries.account(connection) or campaign.manifest.service.name,
        ) as report,
    ):
        files = write_reports(report, campaign.out)
        if as_json:
            write_json(report, sys.stdout)
        else:
            say("\n".join(summary_lines(report, files)))
    return 0
