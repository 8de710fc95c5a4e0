"""A campaign from its manifest to its outcome: survey what is there, plan, enrol, carry out."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from manifest_runner.errors import (
    Interrupted,
    ManifestError,
    ServiceError,
    ServiceRefused,
    ServiceUnreachable,
)
from manifest_runner.ledger import JobRecord, Ledger, enrolment, queries, writes
from manifest_runner.media import DEFAULT_RATES, Preflight, Rates
from manifest_runner.models import Job, JobState, Manifest, Problem, Units
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.conduct import Conductor, Outcome
from manifest_runner.runner.fetch import Fetcher
from manifest_runner.runner.plan import Action, Retry, Step, make_plan
from manifest_runner.runner.prepare import Preparer
from manifest_runner.runner.shelter import Shelter
from manifest_runner.runner.slots import Slots
from manifest_runner.runner.speak import Speaker
from manifest_runner.runner.stop import Stop, stops_the_run
from manifest_runner.runner.submit import Submitter
from manifest_runner.runner.watch import Pace, Watcher
from manifest_runner.service import AvatarClient, Credentials, Timeouts, open_result, repeat_safely

HELLO_TRIES = 4
LOCAL_PACE = Pace(shortest=0.25, longest=2.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How a run goes about it; what it does is the plan's."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    pace: Pace = field(default_factory=Pace)
    task_timeout: float = 3600.0  # seconds a task may take before the run no longer waits for it
    rates: Rates = DEFAULT_RATES
    received: Callable[[int], None] | None = None  # called with the size of each downloaded chunk


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """Where the campaign is sent, and with whose key."""

    base_url: str
    credentials: Credentials
    local: bool = False  # a sandbox of our own: quick to answer, so looked at more often


def survey(
    manifest: Manifest,
    preflight: Preflight,
    connection: sqlite3.Connection | None,
    folder: Path,
    *,
    retry: Collection[Retry] = (),
    rates: Rates = DEFAULT_RATES,
) -> list[Step]:
    """The plan for this manifest, given the ledger (None when there is none yet) and the output folder.

    Raises ManifestError for jobs that can't be sent as they are: their media, or an id that another campaign has.
    """
    records: dict[str, JobRecord] = {}
    claimed: dict[str, str] = {}
    if connection is not None:
        records = {record.external_task_id: record for record in queries.jobs(connection, manifest.campaign)}
        claimed = queries.claimed_elsewhere(connection, manifest.campaign)
    steps = make_plan(
        manifest.jobs,
        preflight.media,
        records,
        missing_files=[key for key, record in records.items() if _file_is_gone(record, folder)],
        retry=retry,
        rates=rates,
    )
    sending = {step.external_task_id for step in steps if step.action is Action.SEND}
    problems = [problem for problem in preflight.problems if problem.job in sending]
    problems += [
        _claimed(job, claimed[job.external_task_id])
        for job in manifest.jobs
        if job.external_task_id in claimed
    ]
    if problems:
        raise ManifestError(sorted(problems, key=lambda p: (p.location.file, p.location.line or 0)))
    return steps


def enrol(ledger: Ledger, campaign: str, jobs: Sequence[Job], steps: Sequence[Step]) -> None:
    """Make the manifest's jobs known to the ledger, in its order; forget those that it no longer names."""
    estimates = {step.external_task_id: step.estimate.expected if step.estimate else None for step in steps}
    ledger.write_now(enrolment.withdraw, campaign, frozenset(job.external_task_id for job in jobs))
    entries = [
        enrolment.Enrolment(job=job, position=position, units_estimated=estimates.get(job.external_task_id))
        for position, job in enumerate(jobs)
    ]
    for start in range(0, len(entries), queries.CHUNK):
        ledger.write_now(enrolment.enrol, campaign, entries[start : start + queries.CHUNK])


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
    for step in steps:
        if step.record is not None and step.record.state is JobState.DONE and step.action is Action.FETCH:
            await ledger.write(writes.fetch_again, step.external_task_id, step.why)
    stop = Stop()
    async with AvatarClient(service.base_url, service.credentials, timeouts=options.timeouts) as client:
        with _signals_stop(stop):
            await _hello(client)
            conductor = _conductor(
                manifest,
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
    *,
    ledger: Ledger,
    client: AvatarClient,
    service: Service,
    folder: Path,
    options: RunOptions,
    stop: Stop,
) -> Conductor:
    """A conductor with all its collaborators around one ledger, one client, one budget."""
    budget, shelter = _budget(ledger, manifest), Shelter()
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
            folder=manifest.folder,
            timeouts=options.timeouts,
            rates=options.rates,
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


def exit_code(outcome: Outcome, states: Mapping[JobState, int]) -> int:
    """What the program ends with, from why the run stopped and how many jobs of the manifest stand in each state."""
    if outcome.stopped is not None:
        return outcome.stopped.exit_code
    unfinished = sum(count for state, count in states.items() if state is not JobState.DONE)
    return 3 if unfinished or outcome.problems else 0


async def _hello(client: AvatarClient) -> None:
    """One cheap call before anything is sent: it proves the address, the key and the clock."""
    try:
        await repeat_safely(lambda: client.list_tasks(page=1, page_size=1), limit=HELLO_TRIES)
    except ServiceRefused as error:
        raise stops_the_run(error) or error from None
    except ServiceError as error:
        raise ServiceUnreachable(
            f"The service does not answer: {error.what}",
            mend="Check the network and the address (KLING_BASE_URL, base_url), then run the same command again.",
        ) from error


def _budget(ledger: Ledger, manifest: Manifest) -> Budget:
    spent = ledger.read(queries.spend, manifest.campaign)
    in_flight: dict[str, Units] = {}
    for record in ledger.read(lambda connection: list(queries.jobs(connection, manifest.campaign))):
        if record.state.in_flight and record.attempt is not None:
            in_flight[record.external_task_id] = record.attempt.units_reserved
    return Budget(manifest.budget_units, spent.committed, in_flight)


def _file_is_gone(record: JobRecord, folder: Path) -> bool:
    return record.state is JobState.DONE and record.file is not None and not (folder / record.file).is_file()


def _claimed(job: Job, campaign: str) -> Problem:
    return Problem(
        location=job.where("external_task_id"),
        what=f"the id {job.external_task_id!r} belongs to the campaign {campaign!r} in this ledger.",
        mend="Give the job another id, go on under that campaign's name, or keep another --ledger.",
        job=job.external_task_id,
    )


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
