"""A plan carried out against the service: everything put together, and the signals that end it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from manifest_runner.errors import (
    GarbledReply,
    Interrupted,
    ServiceError,
    ServiceRefused,
    ServiceUnreachable,
)
from manifest_runner.ledger import Ledger, flight
from manifest_runner.media import DEFAULT_RATES, Encoder
from manifest_runner.models import Manifest, Rates, ServiceName, utc_now
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.census import Census
from manifest_runner.runner.conduct import Conductor, Outcome
from manifest_runner.runner.decide import Action
from manifest_runner.runner.earlier import budget_of, refuse_other_key
from manifest_runner.runner.fetch import Fetcher, OpenResult, disk_trouble
from manifest_runner.runner.gauges import Gauges
from manifest_runner.runner.landing import prove_writable
from manifest_runner.runner.limit_log import LimitLog
from manifest_runner.runner.pace import Pace
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.prepare import Preparer
from manifest_runner.runner.shelter import Shelter
from manifest_runner.runner.slots import AUTO_START, Slots, Told
from manifest_runner.runner.speak import Speaker
from manifest_runner.runner.stop import Stop, stops_the_run
from manifest_runner.runner.submit import Submitter
from manifest_runner.runner.watch import Watcher
from manifest_runner.service import AvatarClient, Credentials, Downloads, Task, Timeouts, repeat_safely

HELLO_TRIES = 4
HELLO = "manifest-runner-hello"  # an id that no task has
LOCAL_PACE = Pace(shortest=0.02, longest=2.0)  # a sandbox is on this machine, and minds nothing
FEWEST_CONNECTIONS, MOST_CONNECTIONS = 32, 256
PACKS_SINCE = timedelta(days=365)

Listen = Callable[[Callable[[str], None]], AbstractAsyncContextManager[None]]
"""Called with what takes hints; receives callbacks within."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How a run goes about it; what it does is the plan's."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    pace: Pace | None = None  # how often to look at tasks; None: as suits the service
    task_timeout: float = 3600.0  # seconds a task may take before the run no longer waits for it
    rates: Rates = DEFAULT_RATES
    same_account: bool = False  # a person says that a key which is new to the ledger is of the same account
    received: Callable[[int], None] | None = None  # called with the size of each downloaded chunk
    gauges: Gauges = field(default_factory=Gauges)  # what the run shows of itself
    callback_url: str | None = None  # for jobs that name none of their own
    listen: Listen | None = None  # within it, callbacks are received


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """Where the campaign is sent, and with whose key."""

    base_url: str
    credentials: Credentials
    key_id: str | None = None  # tells one key from another; None where it can't matter
    local: bool = False  # a sandbox of our own, started for this run


async def carry_out(
    manifest: Manifest,
    plan: Plan,
    *,
    ledger: Ledger,
    service: Service,
    folder: Path,
    options: RunOptions,
) -> Outcome:
    """Run the plan against the service. Ctrl-C and SIGTERM end it cleanly, with `Interrupted` as the reason."""
    if not options.same_account and service.key_id is not None:
        refuse_other_key(plan, ledger, manifest.campaign, service.key_id)
    try:
        prove_writable(folder)
    except OSError as error:
        raise disk_trouble(folder, error) from error
    stop, connections = Stop(), min(MOST_CONNECTIONS, max(FEWEST_CONNECTIONS, manifest.concurrency or 0))
    async with (
        AvatarClient(
            service.base_url, service.credentials, timeouts=options.timeouts, connections=connections
        ) as client,
        Downloads(service.base_url, timeouts=options.timeouts) as downloads,
        LimitLog(ledger, manifest.campaign) as limit_log,
    ):
        with _signals_stop(stop):
            await _unless_stopped(stop, _hello(client))
            if stop.reason is not None:
                return Outcome(stopped=stop.reason)
            slots = await _slots(manifest.concurrency, client, limit_log)
            budget = budget_of(manifest, plan, ledger)
            _show(options.gauges, client, slots, budget)
            conductor, watcher = _staff(
                manifest,
                ledger=ledger,
                client=client,
                service=service,
                open_result=downloads.open,
                folder=folder,
                options=options,
                slots=slots,
                budget=budget,
                census=_census(plan, ledger, client, slots),
                stop=stop,
            )
            async with options.listen(watcher.hint) if options.listen else contextlib.nullcontext():
                return await conductor.run(plan)


def _staff(
    manifest: Manifest,
    *,
    ledger: Ledger,
    client: AvatarClient,
    service: Service,
    open_result: OpenResult,
    folder: Path,
    options: RunOptions,
    slots: Slots,
    budget: Budget,
    census: Census,
    stop: Stop,
) -> tuple[Conductor, Watcher]:
    """A conductor with all its collaborators around one ledger, one client, one budget; and its watcher."""
    shelter = Shelter()
    speaker = Speaker(
        ledger=ledger,
        client=client,
        budget=budget,
        shelter=shelter,
        campaign=manifest.campaign,
        call_units=options.rates.speech,
    )
    watcher = Watcher(
        ledger=ledger,
        client=client,
        stop=stop,
        pace=options.pace or (LOCAL_PACE if manifest.service.name is ServiceName.SANDBOX else Pace()),
        task_timeout=options.task_timeout,
        wanted=lambda: slots.wanted,
        seen=census.look,
        keep_up=lambda: census.in_use,
    )
    conductor = Conductor(
        ledger=ledger,
        preparer=Preparer(
            ledger=ledger,
            client=client,
            speaker=speaker,
            encoder=Encoder(manifest.folder),
            timeouts=options.timeouts,
            rates=options.rates,
            census=census,
            key_id=service.key_id,
            callback_url=options.callback_url,
            previews=manifest.service.name is ServiceName.SANDBOX,
        ),
        submitter=Submitter(
            ledger=ledger, client=client, stop=stop, shelter=shelter, duplicate=census.duplicate
        ),
        watcher=watcher,
        fetcher=Fetcher(
            ledger=ledger,
            client=client,
            open_result=open_result,
            folder=folder,
            received=options.received or options.gauges.received,
        ),
        slots=slots,
        budget=budget,
        shelter=shelter,
        stop=stop,
    )
    return conductor, watcher


def _show(gauges: Gauges, client: AvatarClient, slots: Slots, budget: Budget) -> None:
    gauges.client, gauges.slots, gauges.budget = client, slots, budget


async def _slots(concurrency: int | None, client: AvatarClient, told: Told) -> Slots:
    """So many as the manifest says, or as the account's resource packs begin with."""
    if concurrency is not None:
        slots, why = Slots(concurrency, told=told), "the most that is allowed"
    else:
        packs = await _slots_of_packs(client)
        slots = Slots(None, start=packs or AUTO_START, told=told)
        why = "the account's resource packs" if packs else "a start; the account's packs do not tell"
    told(slots.limit, 0, why)
    return slots


async def _slots_of_packs(client: AvatarClient) -> int | None:
    """The largest figure among the packs in use. None where the account doesn't tell: it is a call to do without."""
    now = utc_now()
    try:
        packs = await client.resource_packs(now - PACKS_SINCE, now)
    except ServiceError:
        return None
    return max((pack.slots for pack in packs if pack.slots and pack.status == "online"), default=None)


def _census(plan: Plan, ledger: Ledger, client: AvatarClient, slots: Slots) -> Census:
    def stranger(task: Task) -> bool:
        key = task.external_task_id
        return key is not None and ledger.read(flight.is_strangers, key, task.task_id)

    clock = asyncio.get_running_loop().time
    return Census(client, jobs=plan.counts[Action.SEND], wave=slots.limit, stranger=stranger, clock=clock)


def exit_code(outcome: Outcome, unfinished: int) -> int:
    """What the program ends with, from why the run stopped and how many of the manifest's jobs have no video, or one
    of an earlier version of their row."""
    if outcome.stopped is not None:
        return outcome.stopped.exit_code
    return 3 if unfinished or outcome.problems else 0


async def _unless_stopped(stop: Stop, work: Coroutine[Any, Any, None]) -> None:
    """Wait for the work, or for a reason to stop, whichever comes first."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not working.done():
            working.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)
    if stop.reason is None:
        working.result()


async def _hello(client: AvatarClient) -> None:
    """One cheap call before anything is sent: it proves the address, the key and the clock.

    A list that does not answer proves nothing against the rest: then a look-up is tried.
    """
    try:
        try:
            await repeat_safely(lambda: client.list_tasks(page=1, page_size=1), limit=HELLO_TRIES)
        except GarbledReply:
            await client.get(HELLO)
    except ServiceRefused as error:
        raise stops_the_run(error) or error from None
    except ServiceError as error:
        raise ServiceUnreachable(
            f"The service does not answer: {error.what}",
            mend="Check the network and the address (KLING_BASE_URL, base_url), then run the same command again.",
        ) from error


@contextlib.contextmanager
def _signals_stop(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops cleanly; the second does what it always did."""
    loop = asyncio.get_running_loop()
    watched = (signal.SIGINT, signal.SIGTERM)

    def stop_now() -> None:
        for number in watched:
            loop.remove_signal_handler(number)
        stop.now(
            Interrupted(
                "Interrupted. What was sent goes on at the service, and nothing is lost.",
                mend="Run the same command again to go on.",
            )
        )

    for number in watched:
        loop.add_signal_handler(number, stop_now)
    try:
        yield
    finally:
        for number in watched:
            loop.remove_signal_handler(number)
