"""What a plan would pay for once more under another id, and whose videos the manifest no longer names.

Either is what a sheet looks like whose ids were changed after its videos were paid for. Rows of one manifest that are
alike among themselves are none of it: they may well be meant.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from manifest_runner.ledger import paid, queries
from manifest_runner.models import JobState, Units
from manifest_runner.runner.decide import Action
from manifest_runner.runner.plan import Plan

NAMED = 5  # of the jobs that are gone


class Twin(NamedTuple):
    """A row that would be sent, and the job that was paid for what it asks for. `file` is None where the video is not
    here: it is under way, or gave way to a later one of the same job."""

    external_task_id: str
    paid_as: str
    campaign: str  # of the one that has it
    file: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """`gone`: how many jobs of the campaign have their video, and no row in the manifest any more; `first_gone` are
    some of their ids. `low` and `high`: what sending the `twins` would cost."""

    gone: int = 0
    first_gone: Sequence[str] = ()
    twins: Sequence[Twin] = ()
    low: Units = Decimal(0)
    high: Units = Decimal(0)


def renamed(plan: Plan, connection: sqlite3.Connection | None, campaign: str) -> Renamed:
    """What there is of it, given the ledger (None when there is none yet)."""
    if connection is None:
        return Renamed()
    gone = tuple(islice(plan.unnamed(_done(connection, campaign)), min(NAMED, plan.gone)))
    twins: list[Twin] = []
    low = high = Decimal(0)
    if plan.counts[Action.SEND] and (found := _paid_for(plan, connection)):
        for asked, step in plan.sends(found):
            if found[asked][0] == step.external_task_id:
                continue  # sent by a run beside us since the plan was made
            twins.append(Twin(step.external_task_id, *found[asked]))
            if step.estimate is not None:
                low, high = low + step.estimate.low, high + step.estimate.high
    return Renamed(gone=plan.gone, first_gone=gone, twins=tuple(twins), low=low, high=high)


def _done(connection: sqlite3.Connection, campaign: str) -> Iterator[str]:
    return (key for key, *_ in queries.done_files(connection, campaign))


def _paid_for(plan: Plan, connection: sqlite3.Connection) -> Mapping[int, tuple[str, str, str | None]]:
    """Of what the plan would send, by what is asked for, whose it is already: a job's id, its campaign, the file."""
    wanted = plan.asked()
    owners: dict[str, set[int]] = {}
    for key, parts in paid.made_from(connection):
        if (asked := hash(parts)) in wanted:
            owners.setdefault(key, set()).add(asked)
    for key, asked in plan.asking(owners.keys() - plan.unnamed(owners)):
        owners[key].discard(asked)  # its own row still asks for it
    ids = [key for key, those in owners.items() if those]
    found: dict[int, tuple[str, str, str | None]] = {}
    for start in range(0, len(ids), queries.CHUNK):
        for key, brief in queries.briefs(connection, ids[start : start + queries.CHUNK]).items():
            # Whatever became of the job later: an edit of it that was refused took nothing from what was paid before.
            if brief.state != JobState.EXPIRED:
                # Its file may be of another attempt, which was made from something else.
                of = hash(brief.parts)
                for asked in owners[key]:
                    found.setdefault(asked, (key, brief.campaign, brief.file if asked == of else None))
    return found
