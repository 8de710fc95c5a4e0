"""A plan carried out against the service: everything put together, and the signals that end it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from manifest_runner.errors import (
    GarbledReply,
    Interrupted,
    NeedsPerson,
    ServiceError,
    ServiceRefused,
    ServiceUnreachable,
)
from manifest_runner.ledger import Ledger, queries
from manifest_runner.media import DEFAULT_RATES, Encoder
from manifest_runner.models import JobState, Manifest, Rates, ServiceName, Units
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.conduct import Conductor, Outcome
from manifest_runner.runner.decide import UNDER_WAY, Action
from manifest_runner.runner.fetch import Fetcher, disk_trouble
from manifest_runner.runner.landing import prove_writable
from manifest_runner.runner.plan import Step
from manifest_runner.runner.prepare import Preparer
from manifest_runner.runner.shelter import Shelter
from manifest_runner.runner.slots import Slots
from manifest_runner.runner.speak import Speaker
from manifest_runner.runner.stop import Stop, stops_the_run
from manifest_runner.runner.submit import Submitter
from manifest_runner.runner.watch import Pace, Watcher
from manifest_runner.service import AvatarClient, Credentials, Timeouts, open_result, repeat_safely

HELLO_TRIES = 4
HELLO = "manifest-runner-hello"  # an id that no task has
LOCAL_PACE = Pace(shortest=0.25, longest=2.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How a run goes about it; what it does is the plan's."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    pace: Pace = field(default_factory=Pace)
    task_timeout: float = 3600.0  # seconds a task may take before the run no longer waits for it
    rates: Rates = DEFAULT_RATES
    same_account: bool = False  # a person says that a key which is new to the ledger is of the same account
    received: Callable[[int], None] | None = None  # called with the size of each downloaded chunk


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """Where the campaign is sent, and with whose key."""

    base_url: str
    credentials: Credentials
    key_id: str | None = None  # tells one key from another; None where it can't matter
    local: bool = False  # a sandbox of our own: quick to answer, so looked at more often


async def carry_out(
    manifest: Manifest,
    steps: Sequence[Step],
    *,
    ledger: Ledger,
    service: Service,
    folder: Path,
    options: RunOptions,
) -> Outcome:
    """Run the plan against the service. Ctrl-C and SIGTERM end it cleanly, with `Interrupted` as the reason."""
    if not options.same_account:
        _refuse_other_key(steps, service.key_id)
    try:
        prove_writable(folder)
    except OSError as error:
        raise disk_trouble(folder, error) from error
    stop = Stop()
    async with AvatarClient(service.base_url, service.credentials, timeouts=options.timeouts) as client:
        with _signals_stop(stop):
            await _unless_stopped(stop, _hello(client))
            if stop.reason is not None:
                return Outcome(stopped=stop.reason)
            conductor = _conductor(
                manifest,
                steps,
                ledger=ledger,
                client=client,
                service=service,
                folder=folder,
                options=options,
                stop=stop,
            )
            return await conductor.run(steps)


def _conductor(
    manifest: Manifest,
    steps: Sequence[Step],
    *,
    ledger: Ledger,
    client: AvatarClient,
    service: Service,
    folder: Path,
    options: RunOptions,
    stop: Stop,
) -> Conductor:
    """A conductor with all its collaborators around one ledger, one client, one budget."""
    budget, shelter = _budget(ledger, manifest, steps), Shelter()
    speaker = Speaker(
        ledger=ledger,
        client=client,
        budget=budget,
        shelter=shelter,
        campaign=manifest.campaign,
        call_units=options.rates.speech,
    )
    return Conductor(
        ledger=ledger,
        preparer=Preparer(
            ledger=ledger,
            client=client,
            speaker=speaker,
            encoder=Encoder(manifest.folder),
            timeouts=options.timeouts,
            rates=options.rates,
            key_id=service.key_id,
            previews=manifest.service.name is ServiceName.SANDBOX,
        ),
        submitter=Submitter(ledger=ledger, client=client, stop=stop, shelter=shelter),
        watcher=Watcher(
            ledger=ledger,
            client=client,
            stop=stop,
            pace=LOCAL_PACE if service.local else options.pace,
            task_timeout=options.task_timeout,
        ),
        fetcher=Fetcher(
            ledger=ledger,
            client=client,
            open_result=partial(open_result, base_url=service.base_url, timeouts=options.timeouts),
            folder=folder,
            received=options.received,
        ),
        slots=Slots(manifest.concurrency),
        budget=budget,
        shelter=shelter,
        stop=stop,
    )


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


def _refuse_other_key(steps: Sequence[Step], key_id: str | None) -> None:
    """Another account does not know what was sent: it would say "not there", and the job be paid again or given up."""
    other = [
        step.external_task_id
        for step in steps
        if _asks_for_what_was_sent(step)
        and step.attempt is not None
        and step.attempt.key_id not in (None, key_id)
    ]
    if other and key_id is not None:
        many = "s were" if len(other) > 1 else " was"
        raise NeedsPerson(
            f"{len(other)} job{many} sent with another key (the first is {other[0]}). Only that key's account can tell "
            "what became of it.",
            mend="Run again with that key; or, if this one is of the same account, with --same-account.",
        )


def _asks_for_what_was_sent(step: Step) -> bool:
    if step.action is Action.SEND and step.record is not None and step.attempt is not None:
        return (
            _may_have_arrived(step) or step.record.state is JobState.EXPIRED
        )  # asked for a result once more
    return step.action in UNDER_WAY and not step.here


def _budget(ledger: Ledger, manifest: Manifest, steps: Sequence[Step]) -> Budget:
    spent = ledger.read(queries.spend, manifest.campaign)
    in_flight: dict[str, Units] = {}
    for record in ledger.read(lambda connection: list(queries.jobs(connection, manifest.campaign))):
        if record.state.in_flight and record.attempt is not None:
            in_flight[record.external_task_id] = record.attempt.units_reserved
    late = {
        step.external_task_id: step.record.attempt.units_reserved
        for step in steps
        if step.record is not None and step.record.attempt is not None and _may_have_arrived(step)
    }
    asked = {
        step.external_task_id for step in steps if step.action.costs
    }  # this run settles what became of it
    held = {key: units for key, units in late.items() if key in asked}
    return Budget(manifest.budget_units, spent.committed + sum(late.values(), Decimal(0)), in_flight | held)


def _may_have_arrived(step: Step) -> bool:
    """Whether an earlier run gave a call up that no refusal has settled: the service is asked before it is sent."""
    record = step.record
    pending = record is not None and record.state is JobState.PENDING
    return record is not None and pending and record.attempt is not None and record.attempt.code is None


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
