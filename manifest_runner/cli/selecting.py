"""`--select`, `--exclude` and `--limit`: which of a manifest's jobs a command is about."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from manifest_runner.cli.campaign import Campaign, ledger_if_any
from manifest_runner.cli.service import account_of, environment
from manifest_runner.errors import UsageError
from manifest_runner.models import Job, Manifest

if TYPE_CHECKING:
    import sqlite3
    from array import array

    from manifest_runner.runner.plan import Plan
    from manifest_runner.runner.selection import Facts, Selection

F = TypeVar("F", bound=Callable[..., Any])
SELECTING = ("select", "exclude", "limit")


def selecting_options(command: F) -> F:
    for decorate in reversed(
        (
            click.option(
                "--select",
                multiple=True,
                metavar="WHICH",
                help="Only these jobs: id:PATTERN, tag:PATTERN, state:STATE, code:NUMBER, rows:FROM-TO, changed, "
                "sample:N; joined by commas where all must hold. Given twice: what one of them takes.",
            ),
            click.option("--exclude", multiple=True, metavar="WHICH", help="And not these."),
            click.option(
                "--limit",
                type=click.IntRange(1),
                metavar="N",
                help="And of those only the first N of the manifest.",
            ),
        )
    ):
        command = decorate(command)
    return command


def taken_from(options: dict[str, Any]) -> Selection:
    """Take the three out of a command's options. Raises UsageError."""
    from manifest_runner.runner.selection import selection_of

    return selection_of(*(options.pop(name) for name in SELECTING))


def chosen_places(
    selection: Selection, manifest: Manifest, connection: sqlite3.Connection | None
) -> array[int] | None:
    """The places of the jobs that are meant, as far as the ledger tells them (None: there is none yet); None for
    everything. Raises UsageError where there is none.

    What is `changed` is what was so at the last run.
    """
    if selection.is_everything:
        return None
    return _some(selection.places(facts_of(manifest, manifest.jobs, connection)))


def narrowed(campaign: Campaign, selection: Selection, base_url: str | None) -> Campaign:
    """The campaign with the jobs alone that are meant, as far as its ledger tells them. Raises UsageError where there
    is none."""
    if not selection.by_ledger:
        return replace(campaign, manifest=only_selected(campaign.manifest, selection))
    account = account_of(campaign.manifest, base_url, environment())
    with ledger_if_any(campaign.ledger, account) as connection:
        return replace(campaign, manifest=only_selected(campaign.manifest, selection, connection))


def only_selected(
    manifest: Manifest, selection: Selection, connection: sqlite3.Connection | None = None
) -> Manifest:
    """The manifest with the jobs alone that are meant. Raises UsageError where there is none."""
    from manifest_runner.manifest import Altered

    places = chosen_places(selection, manifest, connection)
    if places is None:
        return manifest
    return replace(manifest, jobs=Altered(manifest.jobs, places, lambda job: job))


def planned(
    selection: Selection,
    manifest: Manifest,
    connection: sqlite3.Connection | None,
    survey: Callable[[Collection[int] | None], Plan],
) -> Plan:
    """The plan of what is selected. `survey` makes one of the rows at these places, or of all. Raises UsageError."""
    if not selection.by_change:
        places = chosen_places(selection, manifest, connection)
        return survey(None if places is None else frozenset(places))
    candidates = _some(selection.candidates(facts_of(manifest, manifest.jobs, connection)))
    plan = survey(frozenset(candidates))
    changed = dict(zip(plan.places, (bool(fields) for fields, _ in plan.rows()), strict=True))
    facts = facts_of(manifest, manifest.jobs, connection)
    now = (fact._replace(changed=changed.get(place, False)) for place, fact in enumerate(facts))
    return plan.at(frozenset(_some(selection.places(now))))


def _some(places: array[int]) -> array[int]:
    if not places:
        raise UsageError(
            "No job of the manifest is selected.", mend="Look at --select, --exclude and the manifest."
        )
    return places


def facts_of(
    manifest: Manifest, jobs: Iterable[Job], connection: sqlite3.Connection | None
) -> Iterator[Facts]:
    """What a selection goes by, of each of the jobs."""
    from itertools import islice

    from manifest_runner.ledger.standing import CHUNK, stands
    from manifest_runner.runner.selection import NEW, Facts

    all_jobs = iter(jobs)
    while some := list(islice(all_jobs, CHUNK)):
        found = (
            stands(connection, manifest.campaign, [job.external_task_id for job in some])
            if connection
            else {}
        )
        for job in some:
            stand = found.get(job.external_task_id)
            yield Facts(
                job.external_task_id,
                job.tags,
                job.location.line,
                stand.state if stand else NEW,
                stand.code if stand else None,
                bool(stand and stand.changed),
            )
