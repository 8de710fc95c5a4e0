"""Where a rehearsal plays: its manifest, its ledger, its sandbox and its folder, apart from all that is real."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifest_runner.cli.campaign import Campaign, load_campaign, where_it_leads
from manifest_runner.cli.selecting import only_selected, taken_from
from manifest_runner.cli.terminal import say
from manifest_runner.disk import kept_name
from manifest_runner.errors import ManifestError, UsageError
from manifest_runner.models import Manifest

if TYPE_CHECKING:
    from manifest_runner.ledger import JobRecord, Ledger

ACCOUNT = "rehearsal"  # whose the ledger is: no run will take it up, on the sandbox neither


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """`manifest` as it was written, and the `campaign` that is rehearsed in its place."""

    manifest: Manifest
    campaign: Campaign


def set_stage(options: dict[str, Any]) -> Stage:
    """Where and what is rehearsed. Raises ManifestError, UsageError; neither the real ledger nor anything real that
    lies in the output folder is opened."""
    from manifest_runner.runner.rehearsal import FOLDER, places_in_the_way, rehearsed

    selection = taken_from(options)
    if selection.by_ledger:
        raise UsageError(
            "A rehearsal knows nothing of what was sent: it can't be selected by state, code or change.",
            mend="Select by id, tag, rows or sample.",
        )
    campaign = load_campaign(**{**options, "base_url": None})
    manifest = only_selected(campaign.manifest, selection)
    if problems := list(places_in_the_way(manifest.jobs)):
        raise ManifestError(problems)
    ledger = options["ledger"] or _inside(campaign.state, f"{FOLDER}/ledger.sqlite3")
    _look_at_ledger(ledger, manifest.folder)
    # How many slots the account has is no reason to leave cores idle here.
    given = options["concurrency"]
    busy = max(manifest.concurrency or 0, 2 * (os.cpu_count() or 1))
    concurrency = given if isinstance(given, int) else busy
    return Stage(
        manifest=manifest,
        campaign=Campaign(
            manifest=rehearsed(manifest, concurrency=concurrency),
            ledger=ledger,
            out=_inside(campaign.out, FOLDER),
        ),
    )


def _inside(folder: Path, below: str) -> Path:
    """A place of the rehearsal's. The folder may be anybody's: a link in it leads us nowhere else, and not to the
    real videos, which have the names of their previews."""
    place = folder / below
    leads, base = where_it_leads(place), where_it_leads(folder)
    if leads != base / below:
        where = "in another place of" if leads.is_relative_to(base) else "outside"
        raise UsageError(f"{place} leads to {leads}, {where} {folder}.", mend="Take the link away.")
    return place


def _look_at_ledger(path: Path, folder: Path) -> None:
    """Refuse a ledger that knows what was paid, before anything is written to it; begin anew without its sandbox.

    The ledger that runs use by default is not even opened; any other is asked whose it is.
    """
    from manifest_runner.ledger import open_for_reading, queries

    mend = "Leave --ledger out, or name another file for the rehearsal."
    if path.resolve() == (folder / ".manifest-runner" / "ledger.sqlite3").resolve():
        raise UsageError(f"The ledger {path} is that of the real runs.", mend=mend)
    if not path.exists():
        return
    with open_for_reading(path) as connection:
        account = queries.account(connection)
        sandbox = sandbox_of(path, queries.ledger_id(connection))
        sent = queries.anything_sent(connection)
    if account not in (None, ACCOUNT):
        raise UsageError(f"The ledger {path} is that of runs on {account}, not of rehearsals.", mend=mend)
    if account is None and sent:
        raise UsageError(
            f"The ledger {path} does not say whose runs it has; they may be paid ones.", mend=mend
        )
    if sent and not sandbox.is_dir():
        # It would ask for tasks and sounds that nobody has any more.
        say("The sandbox of the earlier rehearsals is gone: all previews are made anew.", err=True)
        aside = kept_name(path)
        for suffix in (".rescue", "-wal", "-shm", ""):
            if os.path.lexists(companion := Path(f"{path}{suffix}")):
                companion.replace(f"{aside}{suffix}")


def sandbox_of(ledger: Path, ledger_id: str) -> Path:
    """The folder of a ledger's sandbox. The two know the same ids: a new ledger has a new sandbox, and never that of
    the runs beside it."""
    whose = hashlib.sha256(ledger_id.encode()).hexdigest()  # of a text that may come from anybody
    return ledger.parent / f"sandbox-{whose[:16]}"


def records_of(ledger: Ledger, campaign: str) -> dict[str, JobRecord]:
    """What the rehearsal's ledger has of the campaign, by external_task_id."""
    from manifest_runner.ledger import queries

    return {
        record.external_task_id: record
        for record in ledger.read(lambda connection: list(queries.jobs(connection, campaign)))
    }
