"""A job made ready to send: its media read and encoded, its text spoken, its id looked up. Beside the slots."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from manifest_runner.ledger import Ledger, queries, writes
from manifest_runner.media import (
    AudioFacts,
    ImageFacts,
    JobMedia,
    Rates,
    estimate,
    parse_reference,
    ready_to_send,
)
from manifest_runner.models import Job, Units, attempt_id
from manifest_runner.runner.plan import Step
from manifest_runner.runner.speak import Speaker
from manifest_runner.service import AvatarClient, CreateRequest, Timeouts, is_ours, repeat_safely

LOOK_UP_TRIES = 8  # some two minutes


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

    def intent(self, why: str) -> writes.Intent:
        return writes.Intent(
            job=self.job,
            fingerprint=self.media.fingerprint,
            fingerprint_parts=self.media.fingerprint_parts,
            settle_seconds=self.settle_seconds,
            units_estimated=self.units_estimated,
            units_reserved=self.units_reserved,
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
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._speaker = speaker
        self._folder = folder
        self._timeouts = timeouts
        self._rates = rates

    async def prepare(self, step: Step) -> Prepared | None:
        """Ready to send; None when the account has the job's id already and it is not ours (now a conflict).

        Raises MediaError when a file changed or went away since it was checked, ServiceError when the service
        could not be asked, LedgerError.
        """
        job, media = step.job, step.media
        if job is None or media is None:
            raise ValueError(f"{step.external_task_id} is not in the manifest and can't be sent")
        identity = await self._free_identity(job)
        if identity is None:
            return None
        seconds, audio_id = media.seconds, job.audio_id
        if job.speech is not None:
            spoken = await self._speaker.audio_for(job.speech)
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
        )

    async def _free_identity(self, job: Job) -> str | None:
        """The id the next attempt will carry, once the service has said that nobody else has it.

        Asking costs nothing, and it stands between a lost ledger and a second bill for every video in it: the
        service's own check of duplicates is documented, but not proven for this call.
        """
        key = job.external_task_id
        record = self._ledger.read(queries.job, key)
        pending = record.attempt if record and record.state == "pending" else None
        identity = (
            pending.attempt_id
            if pending
            else attempt_id(key, self._ledger.read(queries.next_attempt_number, key))
        )
        found = await repeat_safely(lambda: self._client.get(identity), limit=LOOK_UP_TRIES)
        if found is None or (
            pending and is_ours(found.created_at, pending.intent_at, self._client.clock_skew)
        ):
            return identity  # one of ours that a look-up missed is adopted when its duplicate is refused
        why = f"the account already has a task {found.task_id} with the id {identity}, and this ledger did not send it."
        await self._ledger.write(writes.foreign_id, key, why)
        return None

    def _request(self, job: Job, media: JobMedia, identity: str, audio_id: str | None) -> CreateRequest:
        image = self._encoded(job.image, media.image)
        sound = self._encoded(job.sound_file, media.audio) if job.sound_file is not None else None
        return CreateRequest(
            external_task_id=identity,
            image=image,
            sound_file=sound,
            audio_id=audio_id,
            prompt=job.prompt,
            mode=job.mode,
            watermark=job.watermark,
            callback_url=job.callback_url,
        )

    def _encoded(self, reference: str, facts: ImageFacts | AudioFacts | None) -> str:
        expected = facts.sha256 if facts else None  # None for a URL, which the service fetches itself
        return ready_to_send(parse_reference(reference), self._folder, expected_sha256=expected)
