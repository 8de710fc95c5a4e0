"""`manifest-runner status`."""

from __future__ import annotations

import json
from typing import Any

import click

from manifest_runner.cli.campaign import campaign_options, ledger_if_any, load_campaign
from manifest_runner.models import JobState, units_text, utc_text


@click.command("status")
@campaign_options
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def command(as_json: bool, **options: Any) -> int:
    """Show where the jobs of MANIFEST stand, from the ledger alone. Can be asked while a run goes on."""
    from manifest_runner.ledger import queries

    campaign = load_campaign(**options)
    name = campaign.manifest.campaign
    with ledger_if_any(campaign.ledger) as connection:
        counts = queries.counts(connection, name) if connection else {}
        spend = queries.spend(connection, name) if connection else None
        owner = queries.owner(connection) if connection else None
    new = max(0, len(campaign.manifest.jobs) - sum(counts.values()))
    value = {
        "campaign": name,
        "jobs": sum(counts.values()) + new,
        "by_state": {state.value: counts[state] for state in JobState if state in counts},
        "not_yet_known": new,
        "units_deducted": units_text(spend.deducted) if spend else "0",
        "units_reserved": units_text(spend.reserved) if spend else "0",
        "runner": {"host": owner.host, "pid": owner.pid, "since": utc_text(owner.since)} if owner else None,
    }
    if as_json:
        click.echo(json.dumps(value, indent=2))
        return 0
    click.echo(f"{name}: {value['jobs']} jobs")
    named = {state.value: count for state, count in counts.items()}
    for state, count in {**named, "not yet known": new}.items():
        if count:
            click.echo(f"  {state:<14} {count}")
    click.echo(
        f"Units deducted: {value['units_deducted']}; reserved for tasks under way: {value['units_reserved']}"
    )
    if owner:
        click.echo(
            f"Held by process {owner.pid} on {owner.host} since {utc_text(owner.since)} (or left by it)."
        )
    return 0
