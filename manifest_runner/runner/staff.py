"""All who take part in a run, put together around one ledger, one client, one budget and one set of slots."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from manifest_runner.ledger import Ledger, flight
from manifest_runner.media import Encoder
from manifest_runner.models import Manifest, Rates, ServiceName
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.census import Census
from manifest_runner.runner.conduct import Conductor
from manifest_runner.runner.decide import Action
from manifest_runner.runner.fetch import Fetcher, OpenResult
from manifest_runner.runner.identities import Identities
from manifest_runner.runner.options import RunOptions, Service
from manifest_runner.runner.pace import Pace
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.prepare import Preparer
from manifest_runner.runner.shelter import Shelter
from manifest_runner.runner.slots import Slots
from manifest_runner.runner.speak import Speaker
from manifest_runner.runner.stop import Stop
from manifest_runner.runner.submit import Submitter
from manifest_runner.runner.watch import Watcher
from manifest_runner.service import AvatarClient, Task

LOCAL_PACE = Pace(shortest=0.02, longest=2.0)  # a sandbox is on this machine, and minds nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What they all have in common."""

    manifest: Manifest
    ledger: Ledger
    client: AvatarClient
    service: Service
    options: RunOptions
    slots: Slots
    budget: Budget
    rates: Rates
    stop: Stop

    @property
    def on_a_sandbox(self) -> bool:
        return self.manifest.service.name is ServiceName.SANDBOX


def census_of(plan: Plan, shared: Shared) -> Census:
    ledger = shared.ledger

    def stranger(task: Task) -> bool:
        key = task.external_task_id
        return key is not None and ledger.read(flight.is_strangers, key, task.task_id)

    return Census(
        shared.client,
        jobs=plan.counts[Action.SEND],
        wave=shared.slots.limit,
        stranger=stranger,
        clock=asyncio.get_running_loop().time,
    )


def watcher_of(shared: Shared, census: Census) -> Watcher:
    options, slots = shared.options, shared.slots
    return Watcher(
        ledger=shared.ledger,
        client=shared.client,
        stop=shared.stop,
        pace=options.pace or (LOCAL_PACE if shared.on_a_sandbox else Pace()),
        task_timeout=options.task_timeout,
        wanted=lambda: slots.wanted,
        seen=census.look,
        keep_up=lambda: census.in_use,
    )


def conductor_of(
    shared: Shared, watcher: Watcher, census: Census, *, open_result: OpenResult, folder: Path
) -> Conductor:
    ledger, client, stop, options = shared.ledger, shared.client, shared.stop, shared.options
    shelter = Shelter()
    identities = Identities(ledger=ledger, client=client, census=census)
    return Conductor(
        ledger=ledger,
        identities=identities,
        preparer=_preparer(shared, identities, shelter),
        submitter=Submitter(
            ledger=ledger, client=client, stop=stop, shelter=shelter, duplicate=census.duplicate
        ),
        watcher=watcher,
        fetcher=Fetcher(
            ledger=ledger,
            client=client,
            open_result=open_result,
            folder=folder,
            received=options.gauges.received,
        ),
        slots=shared.slots,
        budget=shared.budget,
        shelter=shelter,
        stop=stop,
    )


def _preparer(shared: Shared, identities: Identities, shelter: Shelter) -> Preparer:
    manifest, options = shared.manifest, shared.options
    speaker = Speaker(
        ledger=shared.ledger,
        client=shared.client,
        budget=shared.budget,
        shelter=shelter,
        campaign=manifest.campaign,
        call_units=shared.rates.speech,
    )
    return Preparer(
        identities=identities,
        speaker=speaker,
        encoder=Encoder(manifest.folder),
        timeouts=options.timeouts,
        rates=shared.rates,
        key_id=shared.service.key_id,
        callback_url=options.callback_url,
        previews=shared.on_a_sandbox,
    )
