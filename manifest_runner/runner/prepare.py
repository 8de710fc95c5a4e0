"""A job made ready to send: its media read and encoded, its text spoken, its id looked up. Beside the slots."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial

from manifest_runner.errors import MediaError, ServiceError, ServiceRefused, ServiceUnreachable
from manifest_runner.ledger import AttemptRecord, Ledger, queries, writes
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
from manifest_runner.models import Job, JobState, Rates, Units, attempt_id, differing
from manifest_runner.runner.census import Census
from manifest_runner.runner.decide import Action
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
    fitted: Mapping[str, str]  # what was done to its media, by the field's name
    key_id: str | None = None
    unasked: bool = False  # that its id is nobody's is the census's word, and was not looked up
    seconds: Decimal | None = None  # of sound; None where they can't be known

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


@dataclass(frozen=True, slots=True)
class _Free:
    """An id that nobody has."""

    identity: str
    unasked: bool = False


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
        ledger: Ledger,
        client: AvatarClient,
        speaker: Speaker,
        encoder: Encoder,
        timeouts: Timeouts,
        rates: Rates,
        census: Census | None = None,
        key_id: str | None = None,
        callback_url: str | None = None,
        previews: bool = False,
    ) -> None:
        self._census = census
        self._callback_url = callback_url  # for jobs that name none of their own
        self._key_id = key_id
        self._previews = previews
        self._ledger = ledger
        self._client = client
        self._speaker = speaker
        self._encoder = encoder
        self._timeouts = timeouts
        self._rates = rates
        # Threads of its own: names are resolved in the loop's, and a connection must not wait for pictures.
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, "prepare")

    def close(self) -> None:
        """What has not begun is not begun any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def look_around(self) -> None:
        """Take the census, where there is one to take. Jobs may be made ready meanwhile, and after it with less ado."""
        if self._census is not None:
            await self._census.take()

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
        free = await self._free_identity(step, media)
        if not isinstance(free, _Free):
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
            unasked=free.unasked,
            seconds=seconds,
        )

    async def still_free(self, prepared: Prepared) -> bool:
        """Just before it is sent: whether its id is still nobody's, as far as the census can have heard.

        What was looked up when it was prepared is not looked up again; what the census said then it has to say now.
        """
        if not prepared.unasked or self._census is None:
            return True
        if self._census.knows_free(prepared.job.external_task_id):
            return True
        return isinstance(await self._asked(prepared.job.external_task_id), _Free)

    async def _free_identity(self, step: Step, media: JobMedia) -> _Free | AlreadyThere | None:
        """The id the next attempt will carry, once the service has said that nobody has it.

        Asking costs nothing, and it stands between a lost ledger and a second bill for every video in it: the
        service's own check of duplicates is documented, but not proven for this call. The census answers for jobs
        that were never sent.
        """
        key = step.external_task_id
        # A plan's step is made just before its turn, and nobody else writes this ledger; of a job that was in doubt
        # until a moment ago the step is older than that.
        record = step.record if step.action is Action.SEND else self._ledger.read(queries.job, key)
        attempts = record.attempts if record else ()
        if not attempts:
            if self._census is not None and self._census.spares(key):
                return _Free(key, unasked=True)
            return await self._asked(key)
        pending = attempts[-1] if record and record.state is JobState.PENDING else None
        identity = (
            pending.attempt_id
            if pending
            else attempt_id(key, self._ledger.read(queries.next_attempt_number, key))
        )
        found = await self._look_up(identity)
        if found is None:
            return _Free(identity)
        if pending and made_by(pending, found, self._client.clock_skew):
            return AlreadyThere(await self._ledger.write(writes.accepted, _landed(pending, found, media)))
        await self._taken(key, identity, found)
        return None

    async def _asked(self, key: str) -> _Free | None:
        """The id of a job that this ledger never sent, unless the account has it."""
        found = await self._look_up(key)
        on_trial = self._census is not None and self._census.knows_free(key)
        spared = on_trial and self._census is not None and self._census.is_borne_out
        if found is None and not spared and not self._ledger.read(queries.taken, attempt_id(key, 2)):
            # A ledger that was lost may have known a first attempt that the service refused, and a second that it made.
            found = await self._look_up(attempt_id(key, 2))
        if found is None:
            if on_trial and self._census is not None:
                self._census.not_found()
            return _Free(key)
        if self._census is not None:
            self._census.found(found.external_task_id or key)
        await self._taken(key, key, found)
        return None

    async def _taken(self, key: str, identity: str, found: Task) -> None:
        has = found.external_task_id or identity
        why = (
            f"the account already has a task {found.task_id} with the id {has}, and this ledger did not send it. If it "
            "is yours (from a lost or newer ledger), `manifest-runner adopt` takes it up; else give the job another id."
        )
        await self._ledger.write(writes.foreign_id, key, why)

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
