"""Times the ledger: durable transitions a second by many at once, beside a bare loop of the same SQL.

    python -m benchmarks.ledger
    python -m benchmarks.ledger --jobs 500 --at-once 100

Each job goes its whole way: intend, accepted, ended, kept, each awaited until it is durable. The bare loop is one
thread that executes the very statements which those writes executed (they are recorded first), in transactions of 64
writes, on a file with the same pragmas. Of several runs the best of each counts. Exits 1 below 60 % of the bare loop.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from benchmarks.campaigns import Figure, tell
from manifest_runner.ledger import Ledger, enrolment, open_ledger, results, writes
from manifest_runner.ledger.connection import open_for_writing
from manifest_runner.models import Job, ServiceStatus

GOAL = 0.6
GROUP = 64  # writes a transaction of the bare loop
WHEN = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)

Write = Callable[[sqlite3.Connection], Any]


def job(number: int) -> Job:
    key = f"job-{number:06}"
    return Job(external_task_id=key, image="face.png", sound_file="voice.mp3", output=f"{key}.mp4")


def enrol(connection: sqlite3.Connection, jobs: int) -> None:
    entries = [
        enrolment.Enrolment(job=job(number), position=number, units_estimated=Decimal("4.4"))
        for number in range(jobs)
    ]
    connection.execute("SAVEPOINT enrolled")
    enrolment.enrol(connection, "spring", entries)
    connection.execute("RELEASE enrolled")


def way_of(number: int) -> tuple[tuple[Callable[..., Any], Any], ...]:
    """The writes of one job from its intent to its video, with their arguments."""
    key = f"job-{number:06}"
    intent = writes.Intent(
        job=job(number),
        fingerprint=f"1:{number:064x}",
        fingerprint_parts={"image": f"{1:064x}", "sound_file": f"{number:064x}", "mode": "std"},
        settle_seconds=90.0,
        units_estimated=Decimal("4.4"),
        units_reserved=Decimal("4.8"),
        why="it is due",
    )
    acceptance = writes.Acceptance(
        attempt_id=key,
        task_id=str(868_000_000_000_000_000 + number),
        status=ServiceStatus.SUBMITTED,
        request_id=f"{number:032x}",
        why="the create was answered",
    )
    ending = writes.Ending(
        attempt_id=key,
        status=ServiceStatus.SUCCEED,
        message=None,
        video_seconds=Decimal("11.3"),
        units_deducted=Decimal("4.4"),
        request_id=f"{number:032x}",
        ended_at=WHEN,
    )
    keeping = results.Keeping(
        attempt_id=key,
        file=f"{key}.mp4",
        watermark_file=None,
        sha256=f"{number:064x}",
        bytes=1_234_567,
        video_seconds=Decimal("11.32"),
    )
    return (
        (writes.intend, intent),
        (writes.accepted, acceptance),
        (writes.ended, ending),
        (results.kept, keeping),
    )


async def by_many(ledger: Ledger, jobs: int, at_once: int) -> float:
    """Seconds for all transitions, each job's one after the other, so many jobs at once."""
    ways = iter([way_of(number) for number in range(jobs)])

    async def carry() -> None:
        for way in ways:
            for write, argument in way:
                await ledger.write(write, argument)

    began = time.perf_counter()
    await asyncio.gather(*(carry() for _ in range(at_once)))
    return time.perf_counter() - began


class Recorder:
    """A connection that remembers what it was told, with the arguments."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.told: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, arguments: Any = ()) -> sqlite3.Cursor:
        self.told.append((statement, arguments))
        return self._connection.execute(statement, arguments)


def recorded(path: Path, jobs: int, at_once: int) -> list[list[tuple[str, Any]]]:
    """The statements of each write, in an order in which the jobs at once take turns."""
    told = []
    with closing(open_for_writing(path)) as connection:
        enrol(connection, jobs)
        connection.execute("BEGIN")
        for first in range(0, jobs, at_once):
            ways = [way_of(number) for number in range(first, min(first + at_once, jobs))]
            for step in zip(*ways, strict=True):
                for write, argument in step:
                    recorder = Recorder(connection)
                    write(cast(sqlite3.Connection, recorder), argument)
                    told.append(recorder.told)
        connection.execute("COMMIT")
    return told


def bare_loop(path: Path, jobs: int, told: list[list[tuple[str, Any]]]) -> float:
    """Seconds for the same statements, executed by one thread that does nothing else."""
    with closing(open_for_writing(path)) as connection:
        enrol(connection, jobs)
        execute = connection.execute
        began = time.perf_counter()
        for group in groups(told):
            execute("BEGIN IMMEDIATE")
            for statements in group:
                for statement, arguments in statements:
                    execute(statement, arguments).fetchall()
            execute("COMMIT")
        return time.perf_counter() - began


def groups(told: list[Any]) -> Iterator[list[Any]]:
    return (told[first : first + GROUP] for first in range(0, len(told), GROUP))


def ours(path: Path, jobs: int, at_once: int) -> float:
    with open_ledger(path, account="sandbox") as ledger:
        ledger.write_now(enrol, jobs)
        return asyncio.run(by_many(ledger, jobs, at_once))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=4000)
    parser.add_argument("--at-once", type=int, default=400)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = recorded(folder / "recorded.sqlite3", options.jobs, options.at_once)
        taken = [
            (
                ours(folder / f"ours-{run}.sqlite3", options.jobs, options.at_once),
                bare_loop(folder / f"bare-{run}.sqlite3", options.jobs, told),
            )
            for run in range(options.repeat)
        ]
    our, bare = (len(told) / min(times) for times in zip(*taken, strict=True))
    statements = sum(map(len, told)) / len(told)
    print(f"by many at once {our:8,.0f} writes/s")
    print(f"bare loop       {bare:8,.0f} writes/s, of {statements:.1f} statements each")
    figure = Figure("ledger, share of a bare loop", our / bare, GOAL, at_least=True)
    return tell("ledger", [figure], ours=our, bare=bare)


if __name__ == "__main__":
    sys.exit(main())
