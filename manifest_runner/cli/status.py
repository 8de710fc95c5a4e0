"""`manifest-runner status`."""

from __future__ import annotations

import json
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import Campaign, campaign_options, ledger_if_any, load_campaign
from manifest_runner.cli.selecting import narrowed, selecting_options, taken_from
from manifest_runner.cli.service import account_of, environment
from manifest_runner.cli.terminal import say
from manifest_runner.models import JobState, units_text, utc_now, utc_text

if TYPE_CHECKING:
    import sqlite3

    from manifest_runner.ledger import Owner
    from manifest_runner.ledger.limits import LimitRecord


@click.command("status")
@campaign_options
@selecting_options
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def command(as_json: bool, **options: Any) -> int:
    """Show where the jobs of MANIFEST stand, from the ledger alone. Can be asked while a run goes on."""
    from manifest_runner.ledger import queries

    selection = taken_from(options)
    campaign = narrowed(load_campaign(**options), selection, options["base_url"])
    account = account_of(campaign.manifest, options["base_url"], environment())
    with ledger_if_any(campaign.ledger, account) as connection:
        value = _value(campaign, account, connection, selected=not selection.is_everything)
        owner = queries.owner(connection) if connection else None
    if as_json:
        say(json.dumps(value, indent=2))
        return 0
    _tell(value)
    if owner:
        _tell_owner(owner)
    return 0


def _value(
    campaign: Campaign, account: str, connection: sqlite3.Connection | None, *, selected: bool
) -> dict[str, Any]:
    """The status for `--json`, in one look at the ledger. The manifest's ids are asked after a few at a time."""
    from manifest_runner.ledger import queries
    from manifest_runner.ledger.limits import limits_of
    from manifest_runner.ledger.standing import NamedCount, named_count

    name, jobs = campaign.manifest.campaign, campaign.manifest.jobs
    if connection is None:
        named, others, spend, owner, limit = NamedCount(), Counter[JobState](), None, None, None
    else:
        connection.execute("BEGIN")  # a runner may go on writing meanwhile
        named = named_count(connection, name, (job.external_task_id for job in jobs))
        others = Counter(queries.counts(connection, name)) - named.by_state
        spend, owner = queries.spend(connection, name), queries.owner(connection)
        limit = next(iter(limits_of(connection, name, newest=1)), None)
        connection.execute("ROLLBACK")
    return {
        "campaign": name,
        "service": account,
        "jobs": len(jobs),
        "by_state": _by_state(named.by_state),
        "changed": named.changed,
        "not_yet_known": len(jobs) - named.by_state.total(),
        "not_in_manifest": None if selected else _by_state(others),
        "units_deducted": units_text(spend.deducted) if spend else "0",
        "units_reserved": units_text(spend.reserved) if spend else "0",
        "slots": _limit_value(limit) if limit else None,
        "runner": {"host": owner.host, "pid": owner.pid, "since": utc_text(owner.since)} if owner else None,
    }


def _limit_value(limit: LimitRecord) -> dict[str, Any]:
    return {"at": utc_text(limit.at), "limit": limit.limit, "used": limit.used, "why": limit.why}


def _by_state(counts: Counter[JobState]) -> dict[str, int]:
    return {state.value: counts[state] for state in JobState if counts[state]}


def _tell(value: dict[str, Any]) -> None:
    say(
        f"{value['campaign']} on {value['service']}: {value['jobs']:,} job{'' if value['jobs'] == 1 else 's'}"
    )
    for state, count in {**value["by_state"], "not yet known": value["not_yet_known"]}.items():
        if count:
            say(f"  {state:<14} {count:,}")
    if changed := value["changed"]:
        rows = f"{changed:,} row{' is' if changed == 1 else 's are'}"
        say(f"When it was last run, {rows} no longer what was sent: `plan` shows which.")
    if value["not_in_manifest"]:
        say("In the ledger, but not in the manifest any more:")
        for state, count in value["not_in_manifest"].items():
            say(f"  {state:<14} {count:,}")
    say(
        f"Units deducted: {value['units_deducted']}; held back for what has no figure yet: {value['units_reserved']}"
    )
    if slots := value["slots"]:
        say(f"Slots: {slots['limit']} at once, since {slots['at']}: {slots['why']}.")


def _tell_owner(owner: Owner) -> None:
    """Who has the ledger open, and whether that process is still there."""
    from manifest_runner.ledger import ownership

    opened = f"Process {owner.pid} on {owner.host} opened the ledger at {utc_text(owner.since)}"
    alive = ownership.may_still_run(owner, socket.gethostname(), utc_now())
    say(
        f"{opened} and is at work: {alive}."
        if alive
        else f"{opened} and was cut off: run the campaign to go on."
    )
