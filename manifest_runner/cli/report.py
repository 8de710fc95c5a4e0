"""`manifest-runner report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import Campaign, campaign_options, known_campaign, load_campaign
from manifest_runner.cli.terminal import say
from manifest_runner.errors import UsageError

if TYPE_CHECKING:
    from manifest_runner.report import CampaignReport


@click.command("report")
@campaign_options
@click.option("--json", "as_json", is_flag=True, help="Print report.json to standard output too.")
@click.option(
    "--write-back",
    is_flag=True,
    help="Write a copy of the workbook that has the rows, too, with what became of each in columns behind yours.",
)
def command(as_json: bool, write_back: bool, **options: Any) -> int:
    """Write report.json and report.csv of MANIFEST's campaign again, from the ledger alone."""
    from manifest_runner.ledger import open_for_reading, queries
    from manifest_runner.media import DEFAULT_RATES
    from manifest_runner.report import collect, summary_lines, write_json, write_reports

    if write_back:  # which needs the rows where they stand now
        campaign = load_campaign(**options)
        if campaign.manifest.table is None:
            raise UsageError(
                "The rows stand in no workbook of yours.",
                mend="Leave --write-back out: report.csv has the same.",
            )
    else:
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
        copy = _written_back(campaign, report) if write_back else None
        if as_json:
            write_json(report, sys.stdout)
        else:
            say("\n".join(summary_lines(report, files)))
        if copy is not None:
            say(f"Your sheet, with what became of each row: {copy}", err=as_json)
    return 0


def _written_back(campaign: Campaign, report: CampaignReport) -> Path | None:
    from manifest_runner.report.sheet_copy import write_sheet_copy

    table = campaign.manifest.table
    if table is None:
        return None
    rows = {job.external_task_id: job.location.line or 0 for job in campaign.manifest.jobs}
    return write_sheet_copy(table, report.jobs(), rows, campaign.out)
