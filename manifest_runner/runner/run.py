"""A plan carried out against the service: what comes before the first call, and the signals that end it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from manifest_runner.errors import (
    GarbledReply,
    Interrupted,
    ServiceError,
    ServiceRefused,
    ServiceUnreachable,
)
from manifest_runner.ledger import Ledger
from manifest_runner.models import Manifest, utc_now
from manifest_runner.runner.conduct import Outcome
from manifest_runner.runner.earlier import budget_of, refuse_other_key
from manifest_runner.runner.fetch import disk_trouble
from manifest_runner.runner.gauges import Gauges
from manifest_runner.runner.landing import prove_writable
from manifest_runner.runner.limit_log import LimitLog
from manifest_runner.runner.options import RunOptions, Service
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.slots import AUTO_START, Slots, Told
from manifest_runner.runner.staff import Shared, census_of, conductor_of, watcher_of
from manifest_runner.runner.stop import Stop, stops_the_run, unless_stopped
from manifest_runner.service import AvatarClient, Downloads, repeat_safely

HELLO_TRIES = 4
HELLO = "manifest-runner-hello"  # an id that no task has
FEWEST_CONNECTIONS, MOST_CONNECTIONS = 32, 256
PACKS_SINCE = timedelta(days=365)


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
            await unless_stopped(stop, _hello(client))
            if stop.reason is not None:
                return Outcome(stopped=stop.reason)
            shared = Shared(
                manifest=manifest,
                ledger=ledger,
                client=client,
                service=service,
                options=options,
                slots=await _slots(manifest.concurrency, client, limit_log),
                budget=budget_of(manifest, plan, ledger),
                rates=plan.terms.rates,
                stop=stop,
            )
            _show(options.gauges, shared)
            census = census_of(plan, shared)
            watcher = watcher_of(shared, census)
            conductor = conductor_of(shared, watcher, census, open_result=downloads.open, folder=folder)
            async with options.listen(watcher.hint) if options.listen else contextlib.nullcontext():
                return await conductor.run(plan)


def _show(gauges: Gauges, shared: Shared) -> None:
    gauges.client, gauges.slots, gauges.budget = shared.client, shared.slots, shared.budget


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


def exit_code(outcome: Outcome, unfinished: int) -> int:
    """What the program ends with, from why the run stopped and how many of the manifest's jobs have no video, or one
    of an earlier version of their row."""
    if outcome.stopped is not None:
        return outcome.stopped.exit_code
    return 3 if unfinished or outcome.problems else 0


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
            mend="Check the network and the address (--base-url, else the manifest's service.base_url, for the paid "
            "service also KLING_BASE_URL), then run the same command again.",
        ) from error


def interruption(*, hard: bool = False) -> Interrupted:
    """What a run that was interrupted ends with. `hard`: its calls were not waited for."""
    mend = "Run the same command again to go on."
    if hard:
        return Interrupted(
            "Interrupted. What was sent goes on at the service, and the next run looks it up; only a text that was "
            "just being spoken may be paid once more.",
            mend=mend,
        )
    return Interrupted("Interrupted. What was sent goes on at the service, and nothing is lost.", mend=mend)


@contextlib.contextmanager
def _signals_stop(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops cleanly; the second does what it always did."""
    loop = asyncio.get_running_loop()
    watched = (signal.SIGINT, signal.SIGTERM)

    def stop_now() -> None:
        for number in watched:
            loop.remove_signal_handler(number)
        stop.now(interruption())

    for number in watched:
        loop.add_signal_handler(number, stop_now)
    try:
        yield
    finally:
        for number in watched:
            loop.remove_signal_handler(number)
