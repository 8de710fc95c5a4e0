"""A job made ready to send: its media read and encoded, its text spoken, its id looked up. Beside the slots."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from manifest_runner.errors import ServiceError, ServiceRefused, ServiceUnreachable
from manifest_runner.ledger import AttemptRecord, Ledger, queries, writes
from manifest_runner.media import (
    AudioFacts,
    ImageFacts,
    JobMedia,
    estimate,
    parse_reference,
    ready_to_send,
)
from manifest_runner.models import Job, JobState, Rates, Units, attempt_id, differing
from manifest_runner.runner.ours import made_by
from manifest_runner.runner.plan import Step
from manifest_runner.runner.speak import Speaker
from manifest_runner.service import AvatarClient, CreateRequest, Task, Timeouts, repeat_safely

LOOK_UP_TRIES = 8  # some two minutes


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """The service has this job's task: an earlier create call of ours landed after all. Nothing is to be sent."""

    attempt: AttemptRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """Everything that one create call needs."""

    step: Step
    job: Job
    media: JobMedia
    request: CreateRequest
    units_estimated: Units | None
    units_reserved: Units
    settle_seconds: float
    key_id: str | None = None

    def intent(self, why: str, clock_skew: timedelta | None) -> writes.Intent:
        return writes.Intent(
            job=self.job,
            fingerprint=self.media.fingerprint,
            fingerprint_parts=self.media.fingerprint_parts,
            settle_seconds=self.settle_seconds,
            units_estimated=self.units_estimated,
            units_reserved=self.units_reserved,
            clock_skew=clock_skew,
            key_id=self.key_id,
            why=why,
        )


class Preparer:
    """Makes jobs ready to send. Reading and encoding run in threads."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client: AvatarClient,
        speaker: Speaker,
        folder: Path,
        timeouts: Timeouts,
        rates: Rates,
        key_id: str | None = None,
    ) -> None:
        self._key_id = key_id
        self._ledger = ledger
        self._client = client
        self._speaker = speaker
        self._folder = folder
        self._timeouts = timeouts
        self._rates = rates

    @property
    def speech_calls(self) -> int:
        """How many text-to-speech calls were made."""
        return self._speaker.calls

    async def prepare(self, step: Step) -> Prepared | AlreadyThere | None:
        """Ready to send, or there already; None when the account has the job's id and it is not ours (a conflict).

        Raises MediaError when a file changed or went away since it was checked, ServiceError when the service
        could not be asked, LedgerError.
        """
        job, media = step.job, step.media
        if job is None or media is None:
            raise ValueError(f"{step.external_task_id} is not in the manifest and can't be sent")
        identity = await self._free_identity(job, media)
        if not isinstance(identity, str):
            return identity
        seconds, audio_id = media.seconds, job.audio_id
        if job.speech is not None:
            spoken = await self._speaker.audio_for(job.speech, job.external_task_id)
            audio_id, seconds = spoken.audio_id, spoken.seconds
        request = await asyncio.to_thread(self._request, job, media, identity, audio_id)
        return Prepared(
            step=step,
            job=job,
            media=media,
            request=request,
            units_estimated=estimate(
                job.mode, seconds, speech=job.speech is not None, rates=self._rates
            ).expected,
            # Speech was counted when it was made: only the create call is still to be paid.
            units_reserved=estimate(job.mode, seconds, speech=False, rates=self._rates).high,
            settle_seconds=self._timeouts.settle_seconds(request.body_bytes),
            key_id=self._key_id,
        )

    async def _free_identity(self, job: Job, media: JobMedia) -> str | AlreadyThere | None:
        """The id the next attempt will carry, once the service has said that nobody has it.

        Asking costs nothing, and it stands between a lost ledger and a second bill for every video in it: the
        service's own check of duplicates is documented, but not proven for this call.
        """
        key = job.external_task_id
        record = self._ledger.read(queries.job, key)
        attempts = record.attempts if record else ()
        pending = attempts[-1] if attempts and record and record.state is JobState.PENDING else None
        identity = (
            pending.attempt_id
            if pending
            else attempt_id(key, self._ledger.read(queries.next_attempt_number, key))
        )
        found = await self._look_up(identity)
        if found is None and not attempts and not self._ledger.read(queries.taken, attempt_id(key, 2)):
            # A ledger that was lost may have known a first attempt that the service refused, and a second that it made.
            found = await self._look_up(attempt_id(key, 2))
        if found is None:
            return identity
        if pending and made_by(pending, found, self._client.clock_skew):
            return AlreadyThere(await self._ledger.write(writes.accepted, _landed(pending, found, media)))
        has = found.external_task_id or identity
        why = (
            f"the account already has a task {found.task_id} with the id {has}, and this ledger did not send it. If it "
            "is yours (from a lost or newer ledger), `manifest-runner adopt` takes it up; else give the job another id."
        )
        await self._ledger.write(writes.foreign_id, key, why)
        return None

    async def _look_up(self, identity: str) -> Task | None:
        """Raises ServiceUnreachable when nothing is to be had of the service: every other job would wait in vain."""
        try:
            return await repeat_safely(lambda: self._client.get(identity), limit=LOOK_UP_TRIES)
        except ServiceRefused:
            raise
        except ServiceError as error:
            raise ServiceUnreachable(
                f"The service does not answer: {error.what}",
                mend="The tasks go on there. Run the same command again when it answers.",
            ) from error

    def _request(self, job: Job, media: JobMedia, identity: str, audio_id: str | None) -> CreateRequest:
        image = self._encoded(job.image, media.image)
        sound = self._encoded(job.sound_file, media.audio) if job.sound_file is not None else None
        request = CreateRequest(
            external_task_id=identity,
            image=image,
            sound_file=sound,
            audio_id=audio_id,
            prompt=job.prompt,
            mode=job.mode,
            watermark=job.watermark,
            callback_url=job.callback_url,
        )
        _ = request.body_bytes  # written out here, in a thread: it takes a while for large media
        return request

    def _encoded(self, reference: str, facts: ImageFacts | AudioFacts | None) -> str:
        expected = facts.sha256 if facts else None  # None for a URL, which the service fetches itself
        return ready_to_send(parse_reference(reference), self._folder, expected_sha256=expected)


def _landed(attempt: AttemptRecord, task: Task, media: JobMedia) -> writes.Acceptance:
    return writes.Acceptance(
        attempt_id=attempt.attempt_id,
        task_id=task.task_id,
        status=task.status,
        request_id=task.request_id,
        why=f"an earlier call of ours landed after all, as task {task.task_id}",
        found=True,
        changed=differing(attempt.fingerprint_parts, media.fingerprint_parts),
    )
