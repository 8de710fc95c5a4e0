"""Text made into sound by the service, once for each distinct text and voice.

The call has no look-up, so an answer that was lost stays lost: it is counted as a call that may have been billed,
and the call is made once more in a run, not oftener.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from manifest_runner.errors import ServiceError
from manifest_runner.ledger import Ledger, SpeechRecord, speeches
from manifest_runner.models import Speech, Units, units_text, utc_now
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.shelter import Shelter
from manifest_runner.service import AvatarClient, SpeechRequest, next_delay, proves_nothing_made

AUDIO_ID_LIFE = timedelta(days=29)  # the service takes them for 30 days; the job still has to wait for a slot
MOST_LOST_IN_A_RUN = 2
MOST_REFUSALS = 8


class Speaker:
    """Hands out the audio of a text, made now or earlier."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client: AvatarClient,
        budget: Budget,
        shelter: Shelter,
        campaign: str,
        call_units: Units,
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._budget = budget
        self._shelter = shelter
        self._campaign = campaign
        self._call_units = call_units
        self._locks: dict[str, asyncio.Lock] = {}  # of the texts that somebody waits for
        self._waiting: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self.calls = 0
        self._given_up: dict[
            str, ServiceError
        ] = {}  # in this run: no other job with the same text tries again
        self._rng = random.Random()  # noqa: S311 - spreads load, guards nothing

    async def audio_for(self, speech: Speech, external_task_id: str) -> SpeechRecord:
        """The audio of this text and voice, made for this job unless another one had it made.

        Raises ServiceError when it can't be had in this run.
        """
        key = speech_key(speech)
        async with self._alone_with(key):
            known = self._ledger.read(speeches.speech, key)
            if known is not None and still_good(known):
                return known
            if key in self._given_up:
                raise self._given_up[key]
            refused = 0
            while True:
                try:
                    return await self._make(key, speech, external_task_id)
                except ServiceError as error:
                    if proves_nothing_made(error):
                        refused += 1
                        wait = next_delay(error, refused, self._rng) if refused < MOST_REFUSALS else None
                    else:
                        self._lost[key] += 1
                        wait = 1.0 if self._lost[key] < MOST_LOST_IN_A_RUN else None
                    if wait is None:
                        self._given_up[key] = error
                        raise
                await asyncio.sleep(wait)

    @asynccontextmanager
    async def _alone_with(self, key: str) -> AsyncIterator[None]:
        """One job at a time asks for a text. Nothing is kept of a text that nobody waits for."""
        self._waiting[key] += 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._locks[key]

    async def _make(self, key: str, speech: Speech, external_task_id: str) -> SpeechRecord:
        reservation = f"speech:{key}"
        await self._budget.reserve(reservation, self._call_units, told_of=external_task_id)
        return await self._shelter.run(self._call(reservation, key, speech, external_task_id))

    async def _call(self, reservation: str, key: str, speech: Speech, external_task_id: str) -> SpeechRecord:
        """The call and the record of its answer: never left half-way, since a lost answer can't be looked up."""
        await self._ledger.write(
            speeches.asked,
            key,
            self._campaign,
            external_task_id=external_task_id,
            call_units=self._call_units,
        )
        request = SpeechRequest(
            text=speech.text,
            voice_id=speech.voice_id,
            voice_language=speech.voice_language,
            voice_speed=speech.voice_speed,
        )
        self.calls += 1
        try:
            spoken = await self._client.text_to_speech(request)
        except ServiceError as error:
            if proves_nothing_made(error):
                self._budget.release(reservation)
                await self._ledger.write(speeches.not_made, key)
            else:
                self._budget.settle(reservation, None)  # the worst case: it was billed
            raise
        self._budget.settle(reservation, spoken.units)
        return await self._ledger.write(
            speeches.made,
            key,
            audio_id=spoken.audio_id,
            seconds=spoken.seconds,
            units=spoken.units,
            request_id=spoken.request_id,
            made_at=utc_now(),
        )


def speech_key(speech: Speech) -> str:
    """The same for the same text spoken alike."""
    said = [speech.text, speech.voice_id, speech.voice_language, units_text(speech.voice_speed)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def still_good(record: SpeechRecord) -> bool:
    """Whether there is an audio id that the service will still take."""
    return (
        record.audio_id is not None
        and record.made_at is not None
        and utc_now() - record.made_at < AUDIO_ID_LIFE
    )
