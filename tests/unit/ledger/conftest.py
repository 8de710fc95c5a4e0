"""A ledger on disk and the steps that a runner takes on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.ledger import AttemptRecord, JobRecord, enrolment, queries, results, writes
from manifest_runner.ledger.connection import open_for_writing
from manifest_runner.models import Job, JobState, ServiceStatus

WHEN = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


class Steps:
    """What a runner writes, with values that don't matter to the test filled in."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def enrol(
        self, *ids: str, campaign: str = "spring", estimate: str | None = "4.4", **fields: object
    ) -> None:
        entries = [
            enrolment.Enrolment(
                job=self.job(key, **fields),
                position=position,
                units_estimated=Decimal(estimate) if estimate else None,
            )
            for position, key in enumerate(ids)
        ]
        enrolment.enrol(self.connection, campaign, entries)

    def job(self, key: str, **fields: object) -> Job:
        given = {"image": "face.png", "output": f"{key}.mp4", "sound_file": "voice.mp3"} | fields
        return Job(external_task_id=key, **given)  # type: ignore[arg-type]

    def jobs(self, *ids: str) -> list[Job]:
        return [self.job(key) for key in ids]

    def intend(
        self,
        key: str,
        *,
        reserved: str = "5",
        estimate: str | None = "4.4",
        fingerprint: str = "1:abc",
        settle: float = 90.0,
        **fields: object,
    ) -> AttemptRecord:
        intent = writes.Intent(
            job=self.job(key, **fields),
            fingerprint=fingerprint,
            fingerprint_parts={"image": "aa"},
            settle_seconds=settle,
            units_estimated=Decimal(estimate) if estimate else None,
            units_reserved=Decimal(reserved),
            why="it is due",
        )
        return writes.intend(self.connection, intent)

    def accept(self, attempt: AttemptRecord, task_id: str = "868123456789012345") -> AttemptRecord:
        return writes.accepted(
            self.connection,
            writes.Acceptance(
                attempt_id=attempt.attempt_id,
                task_id=task_id,
                status=ServiceStatus.SUBMITTED,
                request_id="req-1",
                why="the create was answered",
            ),
        )

    def end(
        self,
        attempt: AttemptRecord,
        *,
        status: ServiceStatus = ServiceStatus.SUCCEED,
        units: str | None = "4.4",
        message: str | None = None,
    ) -> None:
        ending = writes.Ending(
            attempt_id=attempt.attempt_id,
            status=status,
            message=message,
            video_seconds=Decimal("11.3") if status is ServiceStatus.SUCCEED else None,
            units_deducted=Decimal(units) if units is not None else None,
            request_id="req-2",
            ended_at=WHEN,
        )
        writes.ended(self.connection, ending)

    def keep(self, attempt: AttemptRecord) -> None:
        keeping = results.Keeping(
            attempt_id=attempt.attempt_id,
            file=f"{attempt.external_task_id}.mp4",
            watermark_file=None,
            sha256="ab" * 32,
            bytes=1234,
            video_seconds=Decimal("11.32"),
        )
        results.kept(self.connection, keeping)

    def run(self, key: str, *, units: str | None = "4.4", reserved: str = "5") -> AttemptRecord:
        """All the way from an enrolled job to the video on disk."""
        attempt = self.intend(key, reserved=reserved)
        self.accept(attempt)
        self.end(attempt, units=units)
        self.keep(attempt)
        return attempt

    def fail(
        self, key: str, *, units: str | None = None, message: str | None = "content risk"
    ) -> AttemptRecord:
        attempt = self.intend(key)
        self.accept(attempt)
        self.end(attempt, status=ServiceStatus.FAILED, units=units, message=message)
        return attempt

    def record(self, key: str) -> JobRecord:
        found = queries.job(self.connection, key)
        assert found is not None
        return found

    def state(self, key: str) -> JobState:
        return self.record(key).state


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    return tmp_path / ".manifest-runner" / "ledger.sqlite3"


@pytest.fixture
def connection(ledger_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_for_writing(ledger_path)
    yield opened
    opened.close()


@pytest.fixture
def steps(connection: sqlite3.Connection) -> Steps:
    return Steps(connection)


@pytest.fixture
def steps_on() -> Callable[[sqlite3.Connection], Steps]:
    """For tests that hand their own connection about."""
    return Steps
