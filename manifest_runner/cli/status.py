"""`manifest-runner status`."""

from __future__ import annotations

import json
import socket
from collections import Counter
from typing import Any

import click

from manifest_runner.cli.campaign import (
    campaign_options,
    ledger_if_any,
    load_campaign,
)
from manifest_runner.cli.service import account_of, environment
from manifest_runner.cli.terminal import say
from manifest_runner.models import JobState, units_text, utc_now, utc_text


@click.command("status")
@campaign_options
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def command(as_json: bool, **options: Any) -> int:
    """Show where the jobs of MANIFEST stand, from the ledger alone. Can be asked while a run goes on."""
    from manifest_runner.ledger import ownership, queries

    campaign = load_campaign(**options)
    name = campaign.manifest.campaign
    named = {job.external_task_id for job in campaign.manifest.jobs}
    account = account_of(campaign.manifest, options["base_url"], environment())
    with ledger_if_any(campaign.ledger, account) as connection:
        states = queries.states(connection, name) if connection else {}
        spend = queries.spend(connection, name) if connection else None
        owner = queries.owner(connection) if connection else None
    counts = Counter(state for key, state in states.items() if key in named)
    others = Counter(state for key, state in states.items() if key not in named)
    new = len(named - states.keys())
    value: dict[str, Any] = {
        "campaign": name,
        "service": account,
        "jobs": len(named),
        "by_state": {state.value: counts[state] for state in JobState if counts[state]},
        "not_yet_known": new,
        "not_in_manifest": {state.value: others[state] for state in JobState if others[state]},
        "units_deducted": units_text(spend.deducted) if spend else "0",
        "units_reserved": units_text(spend.reserved) if spend else "0",
        "runner": {"host": owner.host, "pid": owner.pid, "since": utc_text(owner.since)} if owner else None,
    }
    if as_json:
        say(json.dumps(value, indent=2))
        return 0
    say(f"{name} on {account}: {len(named)} job{'' if len(named) == 1 else 's'}")
    for state, count in {**value["by_state"], "not yet known": new}.items():
        if count:
            say(f"  {state:<14} {count}")
    if others:
        say("In the ledger, but not in the manifest any more:")
        for state, count in value["not_in_manifest"].items():
            say(f"  {state:<14} {count}")
    say(
        f"Units deducted: {value['units_deducted']}; held back for what has no figure yet: {value['units_reserved']}"
    )
    if owner:
        opened = f"Process {owner.pid} on {owner.host} opened the ledger at {utc_text(owner.since)}"
        alive = ownership.may_still_run(owner, socket.gethostname(), utc_now())
        say(
            f"{opened} and is at work: {alive}."
            if alive
            else f"{opened} and was cut off: run the campaign to go on."
        )
    return 0
