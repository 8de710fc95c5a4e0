"""How media come in: fetched or decoded from Base64, checked in a worker thread, kept once under their hash."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from manifest_runner.models import Box
from manifest_runner.sandbox.folders import Folders
from manifest_runner.sandbox.media_fetch import MediaFetcher
from manifest_runner.sandbox.media_rules import (
    MAX_AUDIO,
    MAX_IMAGE,
    check_audio,
    check_duration,
    check_image,
    check_mouth,
    from_base64,
)
from manifest_runner.sandbox.rules import is_url
from manifest_runner.sandbox.sound import measure
from manifest_runner.sandbox.store import Store
from manifest_runner.sandbox.task import MediaFacts

IMAGE, AUDIO, SPEECH = "image", "audio", "speech"
NOTE_EVERY_MS = 60_000  # that media are in use is written down so often; they are kept for an hour at least
MOST_AT_HAND = 4096
BIG = 1024 * 1024  # bytes that are hashed beside the event loop

Check = Callable[[bytes], MediaFacts]


@dataclass(frozen=True, slots=True)
class _AtHand:
    """Media that came a moment ago, so that the next request with them asks neither the disk nor the database."""

    facts: MediaFacts
    path: Path
    noted_ms: int


class Intake:
    """`folders` hold the media; `executor` decodes them, away from the renderer's threads."""

    def __init__(
        self,
        *,
        store: Store,
        folders: Folders,
        fetcher: MediaFetcher,
        executor: Executor,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._folders = folders
        self._fetcher = fetcher
        self._executor = executor
        self._now_ms = now_ms
        self._at_hand: dict[str, _AtHand] = {}

    async def image(self, reference: str) -> MediaFacts:
        """The checked and kept portrait. Raises Refusal."""
        data = await self._load("image", reference, MAX_IMAGE)
        return await self._keep(IMAGE, data, _image_facts)

    async def mouth(self, mouth: Box, image: MediaFacts) -> None:
        """Whether the box lies inside the kept portrait. Raises Refusal."""
        path = self._folders.media_file(image.key)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, check_mouth, "preview.mouth", mouth, path)

    async def audio(self, reference: str) -> MediaFacts:
        """The checked and kept recording. Raises Refusal."""
        data = await self._load("sound_file", reference, MAX_AUDIO)
        return await self._keep(AUDIO, data, _audio_facts)

    async def speech(self, data: bytes) -> MediaFacts:
        """A speech made here: kept, whatever its length."""
        return await self._keep(SPEECH, data, _speech_facts)

    async def _load(self, name: str, reference: str, max_bytes: int) -> bytes:
        if is_url(reference):
            return await self._fetcher.fetch(name, reference, max_bytes=max_bytes)
        return from_base64(name, reference, max_bytes=max_bytes)

    async def _keep(self, kind: str, data: bytes, check: Check) -> MediaFacts:
        """Media that were checked before are known by their hash: a campaign sends one portrait a thousand times."""
        loop = asyncio.get_running_loop()
        key = f"{kind}-{await self._digest(data)}"
        near = self._at_hand.get(key)
        if near is not None and 0 <= self._now_ms() - near.noted_ms < NOTE_EVERY_MS and near.path.exists():
            return near.facts
        path = self._folders.media_file(key)
        known = self._store.find_media(kind, key)
        if known is None or not path.exists():
            facts = await loop.run_in_executor(self._executor, check, data)
            known = MediaFacts(key=key, format=facts.format, seconds=facts.seconds)
            await loop.run_in_executor(self._executor, _save, path, data)
        self._note(kind, known, path)
        return known

    def _note(self, kind: str, facts: MediaFacts, path: Path) -> None:
        """Write down that the media are in use, and keep what is known of them at hand."""
        now = self._now_ms()
        self._store.remember_media(kind, facts, now_ms=now)
        if len(self._at_hand) >= MOST_AT_HAND:
            self._at_hand.clear()
        self._at_hand[facts.key] = _AtHand(facts, path, now)

    async def _digest(self, data: bytes) -> str:
        if len(data) < BIG:
            return _sha256(data)
        return await asyncio.get_running_loop().run_in_executor(self._executor, _sha256, data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _image_facts(data: bytes) -> MediaFacts:
    check_image("image", data)
    return MediaFacts(key="", format="", seconds=Decimal(0))


def _audio_facts(data: bytes) -> MediaFacts:
    facts = check_audio("sound_file", data)
    return MediaFacts(key="", format=facts.format, seconds=facts.seconds)


def _speech_facts(data: bytes) -> MediaFacts:
    facts = measure(data, stop_after=float("inf"))
    return MediaFacts(key="", format=facts.format, seconds=facts.seconds)


def check_speech(speech: MediaFacts) -> MediaFacts:
    """A speech may be of any length; one that becomes a video may not. Raises Refusal."""
    check_duration("audio_id", speech.seconds)
    return speech


def _save(path: Path, data: bytes) -> None:
    """In one step, under a name of its own, as two requests may bring the same file at once."""
    part = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
