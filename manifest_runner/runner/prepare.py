"""A job made ready to send: its id looked up, its media read and encoded, its text spoken. Beside the slots."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial

from manifest_runner.errors import MediaError
from manifest_runner.ledger import writes
from manifest_runner.media import (
    AUDIO_MIN_SECONDS,
    AudioFacts,
    Encoder,
    ImageFacts,
    JobMedia,
    UrlSource,
    estimate,
    parse_reference,
)
from manifest_runner.media.limits import AUDIO_MAX_BYTES, IMAGE_MAX_BYTES
from manifest_runner.models import Job, Rates, Units
from manifest_runner.runner.identities import AlreadyThere, Free, Identities
from manifest_runner.runner.pace import Size
from manifest_runner.runner.speak import Speaker
from manifest_runner.runner.step import Step
from manifest_runner.service import CreateRequest, Timeouts


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
    fitted: Mapping[str, str]  # what was done to its media, by the field's name
    free: Free  # its id, and since when that is known to be nobody's
    key_id: str | None = None
    seconds: Decimal | None = None  # of sound; None where they can't be known

    @property
    def size(self) -> Size:
        return Size.of(self.job.mode, self.seconds)

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
            fitted=self.fitted,
            why=why,
        )


def expected_bytes(job: Job, media: JobMedia | None) -> int:
    """How many bytes of media a request for this job will hold, at the most where that is not known."""
    image, audio = (media.image, media.audio) if media else (None, None)
    image_changes = media is None or media.image_recipe is not None
    audio_changes = media is None or media.audio_recipe is not None
    size = _at_most(job.image, image, IMAGE_MAX_BYTES, changes=image_changes)
    if job.sound_file is not None:
        size += _at_most(job.sound_file, audio, AUDIO_MAX_BYTES, changes=audio_changes)
    return size


def _at_most(reference: str, facts: ImageFacts | AudioFacts | None, most: int, *, changes: bool) -> int:
    if isinstance(parse_reference(reference), UrlSource):
        return 0  # the service fetches it itself
    return most if facts is None or changes else min(facts.bytes, most)


class Preparer:
    """Makes jobs ready to send. Reading, fitting and encoding run in threads.

    `previews`: the service is a sandbox, which is told what helps it to draw.
    """

    def __init__(
        self,
        *,
        identities: Identities,
        speaker: Speaker,
        encoder: Encoder,
        timeouts: Timeouts,
        rates: Rates,
        key_id: str | None = None,
        callback_url: str | None = None,
        previews: bool = False,
    ) -> None:
        self._callback_url = callback_url  # for jobs that name none of their own
        self._key_id = key_id
        self._previews = previews
        self._identities = identities
        self._speaker = speaker
        self._encoder = encoder
        self._timeouts = timeouts
        self._rates = rates
        # Threads of its own: names are resolved in the loop's, and a connection must not wait for pictures.
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, "prepare")

    def close(self) -> None:
        """What has not begun is not begun any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

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
        free = await self._identities.free_for(step, media)
        if not isinstance(free, Free):
            return free
        seconds, sure, audio_id = media.seconds, media.sure_seconds, job.audio_id
        if job.speech is not None:
            spoken = await self._speaker.audio_for(job.speech, job.external_task_id)
            audio_id, seconds, sure = spoken.audio_id, spoken.seconds, spoken.seconds
            _refuse_too_short(seconds)
        make = partial(self._request, job, media, free.identity, audio_id)
        reads_files = expected_bytes(job, media) > 0
        loop = asyncio.get_running_loop()
        request, fitted = await loop.run_in_executor(self._threads, make) if reads_files else make()
        return Prepared(
            step=step,
            job=job,
            media=media,
            request=request,
            units_estimated=estimate(
                job.mode, seconds, speech=job.speech is not None, rates=self._rates
            ).expected,
            # Speech was counted when it was made: only the create call is still to be paid.
            units_reserved=estimate(job.mode, sure, speech=False, rates=self._rates).high,
            settle_seconds=self._timeouts.settle_seconds(request.body_bytes),
            fitted=fitted,
            key_id=self._key_id,
            free=free,
            seconds=seconds,
        )

    def _request(
        self, job: Job, media: JobMedia, identity: str, audio_id: str | None
    ) -> tuple[CreateRequest, dict[str, str]]:
        """The request, and what was done to its media."""
        ready = {"image": self._encoder.image(job.image, media.image, media.image_recipe)}
        if job.sound_file is not None:
            ready["sound_file"] = self._encoder.sound(job.sound_file, media.audio, media.audio_recipe)
        mouth = ready["image"].place(job.mouth) if job.mouth and self._previews else None
        request = CreateRequest(
            external_task_id=identity,
            image=ready["image"].media,
            sound_file=ready["sound_file"].media if "sound_file" in ready else None,
            audio_id=audio_id,
            prompt=job.prompt,
            mode=job.mode,
            watermark=job.watermark,
            callback_url=job.callback_url or self._callback_url,
            preview_mouth=mouth,
        )
        return request, {name: one.done for name, one in ready.items() if one.done is not None}


def _refuse_too_short(seconds: Decimal | None) -> None:
    """A sound that the service made itself, and would not take: it can't be lengthened from here."""
    if seconds is not None and seconds < AUDIO_MIN_SECONDS:
        raise MediaError(
            f"its text takes {seconds.normalize():f} s to speak, and the service wants at least {AUDIO_MIN_SECONDS} s.",
            mend="Have it say more, or more slowly (voice_speed).",
        )
