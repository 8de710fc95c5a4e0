"""`manifest-runner explain`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import campaign_options, known_campaign
from manifest_runner.cli.terminal import say
from manifest_runner.errors import UsageError
from manifest_runner.models import utc_text

if TYPE_CHECKING:
    from manifest_runner.ledger import EventRecord


@click.command("explain")
@campaign_options
@click.argument("external_task_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON.")
def command(external_task_id: str, as_json: bool, **options: Any) -> int:
    """Tell the whole story of the job ID of MANIFEST: what happened when and why, and what it cost.

    Reads the ledger alone. ID may also be that of a later attempt, such as welcome-r2.
    """
    from manifest_runner.ledger import open_for_reading, queries, speeches
    from manifest_runner.report.story import story_lines

    campaign = known_campaign(options.pop("manifest"), **options)
    with open_for_reading(campaign.ledger) as connection:
        key = queries.later_attempts(connection, [external_task_id]).get(external_task_id, external_task_id)
        record = queries.job(connection, key)
        if record is None:
            raise UsageError(
                f"The ledger {campaign.ledger} has no job {external_task_id!r}.",
                mend="It knows the jobs that were run with it: `manifest-runner plan --all` lists the manifest's.",
            )
        events = queries.events_of(connection, key)
        spoken = speeches.speeches_for(connection, [key])
    if as_json:
        say(json.dumps([event_value(event) for event in events], indent=2))
    else:
        say("\n".join(story_lines(record, events, spoken)))
    return 0


def event_value(event: EventRecord) -> dict[str, Any]:
    """One transition for `--json`."""
    return {
        "at": utc_text(event.at),
        "from": event.from_state.value if event.from_state else None,
        "to": event.to_state.value,
        "why": event.why,
        "attempt_id": event.attempt_id,
        "code": event.code,
        "request_id": event.request_id,
    }
