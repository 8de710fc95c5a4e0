"""A real ledger, and the writes that a run makes on it, for those who look on."""

from __future__ import annotations

from decimal import Decimal

from manifest_runner.ledger import Ledger, enrolment, results, writes
from manifest_runner.models import Job, JobState, ServiceStatus, utc_now


class Doings:
    """What a run writes of its jobs, each estimated at 4 units and 10 seconds."""

    def __init__(self, ledger: Ledger, campaign: str = "c") -> None:
        self.ledger = ledger
        self.campaign = campaign

    def enrol(self, *ids: str) -> None:
        entries = [
            enrolment.Enrolment(job=self.job(key), position=number, units_estimated=Decimal(4))
            for number, key in enumerate(ids)
        ]
        self.ledger.write_now(enrolment.enrol, self.campaign, entries)

    def job(self, key: str) -> Job:
        secret = "https://cdn.example/voice.mp3?sig=hush"
        return Job(
            external_task_id=key, image="a.png", sound_file=secret, prompt="hush hush", output=f"{key}.mp4"
        )

    def send(self, key: str) -> None:
        intent = writes.Intent(
            job=self.job(key),
            fingerprint="1:f",
            fingerprint_parts={},
            settle_seconds=1,
            units_estimated=Decimal(4),
            units_reserved=Decimal(5),
            why="it is due",
        )
        self.ledger.write_now(writes.intend, intent)

    def accept(self, key: str) -> None:
        acceptance = writes.Acceptance(
            attempt_id=key,
            task_id=f"task-{key}",
            status=ServiceStatus.SUBMITTED,
            request_id="r",
            why="answered",
        )
        self.ledger.write_now(writes.accepted, acceptance)

    def refuse(self, key: str) -> None:
        why = "https://cdn.example/voice.mp3?sig=hush can't be read: hush hush"
        self.ledger.write_now(writes.not_created, key, JobState.REJECTED, why, code=1201)

    def end(self, key: str, *, failed: bool = False) -> None:
        ending = writes.Ending(
            attempt_id=key,
            status=ServiceStatus.FAILED if failed else ServiceStatus.SUCCEED,
            message="hush hush is a risk" if failed else None,
            video_seconds=None if failed else Decimal(10),
            units_deducted=Decimal("4.4") if not failed else Decimal(0),
            request_id="r2",
            ended_at=utc_now(),
        )
        self.ledger.write_now(writes.ended, ending)

    def keep(self, key: str) -> None:
        keeping = results.Keeping(
            attempt_id=key,
            file=f"{key}.mp4",
            watermark_file=None,
            sha256="0" * 64,
            bytes=10,
            video_seconds=Decimal("10.5"),
        )
        self.ledger.write_now(results.kept, keeping)

    def make(self, key: str) -> None:
        """All the way to the video on disk."""
        self.send(key)
        self.accept(key)
        self.end(key)
        self.keep(key)
