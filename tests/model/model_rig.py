"""A campaign with its real parts: ledger file, output folder, sockets, and what a person and a crash can do to them.

One event loop for each campaign: the service goes on listening on it between two runs.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from canaries import CANARY
from model_service import BookedService, job_of
from scripted_campaign import NAME, Campaign, open_campaign, with_files

from manifest_runner.errors import ManifestRunnerError, ServiceError
from manifest_runner.ledger import (
    AttemptRecord,
    EventRecord,
    JobRecord,
    open_for_reading,
    open_ledger,
    queries,
    writes,
)
from manifest_runner.ledger.rescue import journal_of
from manifest_runner.ledger.transitions import IllegalTransition
from manifest_runner.media import DEFAULT_RATES, preflight
from manifest_runner.models import Job, JobState, Mode
from manifest_runner.runner import adopt as adopt_module
from manifest_runner.runner import again, fetch
from manifest_runner.runner.adopt import Adopted, adopt, adoptable
from manifest_runner.runner.conduct import ending_of
from manifest_runner.runner.decide import Retry
from manifest_runner.runner.slots import Slots
from manifest_runner.runner.survey import enrol, survey
from manifest_runner.service import ApiKey, AvatarClient, Task, retry

CREATE_SECONDS = 0.08

Trouble = Callable[[pytest.MonkeyPatch, "Rig"], None]
"""What goes wrong on this machine while a command is carried out: `model_troubles` has them."""


@dataclass(frozen=True)
class Known:
    """What the ledger knows: also the events of jobs that it has forgotten."""

    jobs: dict[str, JobRecord]
    events: dict[str, list[EventRecord]]
    spend: queries.Spend

    def times_done(self, key: str) -> int:
        """How often the job's video was brought home."""
        return sum(event.why.startswith("the video is at") for event in self.events.get(key, ()))

    def unsure(self, attempt: AttemptRecord) -> bool:
        """Whether a person was told to look which of two versions of the row the video was made from."""
        return any(
            "can't be known" in event.why and event.attempt_id == attempt.attempt_id
            for event in self.events[attempt.external_task_id]
        )


class Rig:
    """`run`, `adopt` and `record` are what commands (and callbacks) do; each gives what the program said."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="model-"))
        self.service = BookedService(CREATE_SECONDS)
        self.service.at_post = self._witness
        self._runner = asyncio.Runner()
        self._opened = open_campaign(self.folder, self.service)
        self.campaign: Campaign = self._runner.run(self._opened.__aenter__())
        self.campaign.create_seconds = CREATE_SECONDS
        (self.folder / "out").mkdir()
        _short_sound(self.folder / "voice.wav")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._opened.__aexit__(None, None, None))
        self._runner.close()
        shutil.rmtree(self.folder)

    # -- what is there -------------------------------------------------------------------------------------------

    def known(self) -> Known:
        """What the ledger's file says, by one look at it."""
        if not self.campaign.ledger.exists():
            return Known({}, {}, queries.Spend(deducted=Decimal(0), unknown_tasks=0, reserved=Decimal(0)))
        with open_for_reading(self.campaign.ledger) as connection:
            jobs = {record.external_task_id: record for record in queries.jobs(connection, NAME)}
            events = {key: queries.events_of(connection, key) for key in {*jobs, *self.service.jobs_seen()}}
            return Known(jobs, events, queries.spend(connection, NAME))

    def jobs(self) -> dict[str, JobRecord]:
        return self.known().jobs

    def files(self) -> dict[str, bytes]:
        """The output folder, less what a broken fetch left behind."""
        return {
            path.name: path.read_bytes()
            for path in (self.folder / "out").iterdir()
            if not path.name.startswith(".")
        }

    # -- what is done --------------------------------------------------------------------------------------------

    def run(
        self,
        rows: Sequence[Job],
        *,
        retry: tuple[Retry, ...] = (),
        retry_ids: tuple[str, ...] = (),
        trouble: Trouble | None = None,
        task_timeout: float = 0.2,
        when_planned: Callable[[], None] = lambda: None,
    ) -> int | str:
        """What `run` or `retry` does. The exit code, or what stopped it before there was any."""
        self.campaign.task_timeout = task_timeout
        self.campaign.after_planning = when_planned
        with self._quick(trouble):
            try:
                ran = self._runner.run(self.campaign.run(*rows, retry=retry, retry_ids=retry_ids))
            except ManifestRunnerError as error:
                return type(error).__name__
            finally:
                self.service.land_what_is_adrift()
        stopped = ran.outcome.stopped
        assert type(stopped) is not ManifestRunnerError, f"a bug: {stopped}"
        return ran.exit_code

    def adopt(self, rows: Sequence[Job], ids: Sequence[str]) -> list[Adopted]:
        """What `adopt` does, for all rows or for those of these ids."""
        wanted = [row for row in rows if not ids or row.external_task_id in ids]

        async def work() -> list[Adopted]:
            manifest, found = self.campaign.manifest(*rows), preflight(rows, self.folder)
            with open_ledger(self.campaign.ledger, account="test") as ledger:
                steps = ledger.read(lambda c: survey(manifest, found, c, self.folder / "out"))
                enrol(ledger, NAME, rows, steps)
                candidates = adoptable(wanted, ledger)
                async with AvatarClient(self.service.url, ApiKey(CANARY)) as client:
                    return await adopt(
                        candidates,
                        found.of,
                        ledger=ledger,
                        client=client,
                        rates=DEFAULT_RATES,
                        key_id=None,
                        listing=len(candidates) > 1,
                    )

        with self._quick(None):
            try:
                return self._runner.run(work())
            except ManifestRunnerError:
                return []

    def journal_waits(self) -> bool:
        return journal_of(self.campaign.ledger).exists()

    def lose_journal(self) -> None:
        journal_of(self.campaign.ledger).unlink(missing_ok=True)

    def lose_ledger(self) -> None:
        """With all that lies beside it; and the service answers as it should from here on."""
        for path in self.folder.glob("ledger.sqlite3*"):
            path.unlink()
        self.service.answer_well()

    def ask(self, attempt: AttemptRecord) -> Task | None:
        """What a callback about this attempt says, if it comes now."""

        async def work() -> Task | None:
            async with AvatarClient(self.service.url, ApiKey(CANARY)) as client:
                return await client.get(attempt.task_id or attempt.attempt_id)

        try:
            return self._runner.run(work())
        except ServiceError:
            return None

    def record(self, attempt: AttemptRecord, task: Task) -> tuple[JobRecord, bool]:
        """The job as it stood, and whether the ledger took this ending of one of its attempts."""

        async def work() -> tuple[JobRecord, bool]:
            with open_ledger(self.campaign.ledger, account="test") as ledger:
                stood = ledger.read(queries.job, attempt.external_task_id)
                assert stood is not None
                try:
                    await ledger.write(writes.ended, ending_of(attempt, task))
                except IllegalTransition:
                    assert ledger.read(queries.job, attempt.external_task_id) == stood, "refused, yet changed"
                    return stood, False
                return stood, True

        return self._runner.run(work())

    def _witness(self, key: str) -> None:
        """A POST has arrived: its intent has to be in the ledger's file by now."""
        with open_for_reading(self.campaign.ledger) as connection:
            record = queries.job(connection, job_of(key))
        intended = record and record.state is JobState.SUBMITTING and record.attempts[-1].attempt_id == key
        if not intended:
            self.service.objections.append(f"a POST of {key} came, and the ledger says {record}")

    @contextmanager
    def _quick(self, trouble: Trouble | None) -> Iterator[None]:
        """Short waits, and a witness of when each create call leaves."""
        create = AvatarClient.create

        async def witnessed(client: AvatarClient, request) -> Task:
            self.service.left[request.external_task_id] = asyncio.get_running_loop().time()
            return await create(client, request)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(AvatarClient, "create", witnessed)
            patch.setattr(fetch, "FIRST_WAIT", 0.0)
            patch.setattr(retry, "_FIRST_SECONDS", 0.01)
            patch.setattr(retry, "LOOK_UP_TRIES", 3)
            patch.setattr(adopt_module, "TRIES", 3)
            patch.setitem(Slots.__init__.__kwdefaults__, "quiet_seconds", 0.1)
            patch.setitem(
                sys.modules, "sniffio", None
            )  # httpcore looks for it in each call, which takes a while
            for cause, bound in again._BOUNDS.items():
                tries = 2 if cause is again.Cause.NOT_FOUND else bound.tries
                short = replace(bound, tries=tries, first=min(bound.first, 0.01))
                patch.setitem(again._BOUNDS, cause, short)
            if trouble is not None:
                trouble(patch, self)
            yield


def row(key: str, prompt: str | None, mode: str) -> Job:
    return replace(with_files(key), prompt=prompt, mode=Mode(mode))


def _short_sound(path: Path) -> None:
    """Two seconds in few bytes: the longer the upload, the longer a doubt has to be waited out."""
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(1000)
        writer.writeframes(b"\x80" * (2 * 1000))
