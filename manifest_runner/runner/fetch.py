"""Bringing results home: streamed beside the final name, checked, made durable, renamed, recorded."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from manifest_runner.errors import FetchError, MediaError, NeedsPerson, ServiceError
from manifest_runner.ledger import AttemptRecord, Ledger, writes
from manifest_runner.media import VideoFacts, probe_video
from manifest_runner.models import watermark_output
from manifest_runner.service import AvatarClient, ResultStream, Task, repeat_safely

TRIES = 5
FIRST_WAIT = 1.0  # seconds, doubled after each try
LOOK_UP_TRIES = 6
MOST_BYTES = 4 * 1024**3  # far above any 300 s video; a stream without end must end


class OpenResult(Protocol):
    """Opens a result's address for streaming, from `offset` on when the content is still `etag`'s."""

    def __call__(
        self, url: str, *, offset: int = 0, etag: str | None = None
    ) -> AbstractAsyncContextManager[ResultStream]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Landed:
    file: str
    sha256: str
    facts: VideoFacts


class Fetcher:
    """Fetches the videos of rendered jobs into `folder`, the campaign's output folder."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client: AvatarClient,
        open_result: OpenResult,
        folder: Path,
        received: Callable[[int], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._open_result = open_result
        self._folder = folder
        self._received = received

    async def fetch(self, attempt: AttemptRecord, output: str, task: Task | None) -> None:
        """Bring the videos of a succeeded attempt home and record `done`, or `expired` when the service no longer
        has them. `task` is the service's freshest description, when there is one at hand.

        Raises FetchError when it did not work in this run (the job stays rendered), NeedsPerson when the disk can't
        take it, LedgerError.
        """
        gone, last = 0, FetchError("The video could not be fetched.")
        for tries in range(TRIES):
            if tries:
                await asyncio.sleep(FIRST_WAIT * 2 ** (tries - 1))
            try:
                # Addresses can expire before the results do: each new try asks for fresh ones.
                task = task or await self._ask_again(attempt)
                await self._ledger.write(writes.kept, await self._bring_home(attempt, output, task))
                return
            except FetchError as error:
                gone += int(error.expired)
                last, task = error, None
            except OSError as error:
                raise _disk_trouble(self._folder, error) from error
        if gone == TRIES:
            await self._ledger.write(
                writes.expired,
                attempt.attempt_id,
                f"it was rendered and paid, but the service no longer has the video: {last.what}",
            )
            return
        raise last

    async def _ask_again(self, attempt: AttemptRecord) -> Task:
        identity = attempt.task_id or attempt.attempt_id
        try:
            task = await repeat_safely(lambda: self._client.get(identity), limit=LOOK_UP_TRIES)
        except ServiceError as error:
            raise FetchError(
                f"The service could not be asked for the video's address: {error.what}"
            ) from error
        if task is None:
            raise FetchError("the service no longer knows the task.", expired=True)
        return task

    async def _bring_home(self, attempt: AttemptRecord, output: str, task: Task) -> writes.Keeping:
        video = task.videos[0] if task.videos else None
        if video is None or not video.url:
            raise FetchError("the service lists no video for the task.", expired=True)
        landed = await self._land(video.url, output)
        marked = (
            await self._land(video.watermark_url, watermark_output(output)) if video.watermark_url else None
        )
        return writes.Keeping(
            attempt_id=attempt.attempt_id,
            file=landed.file,
            watermark_file=marked.file if marked else None,
            sha256=landed.sha256,
            bytes=landed.facts.bytes,
            video_seconds=landed.facts.seconds,
        )

    async def _land(self, url: str, output: str) -> _Landed:
        """One file: to a `.part` beside its final name, checked whole, synced to disk, renamed in one step."""
        final = await asyncio.to_thread(place_for, self._folder, output)
        part = final.with_name(f".{final.name}.part")
        await self._stream(url, part)
        try:
            facts = await asyncio.to_thread(probe_video, part)
        except MediaError as error:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise FetchError(f"what the service sent is not the video: {error.what}") from error
        sha256 = await asyncio.to_thread(_settle, part, final)
        return _Landed(file=output, sha256=sha256, facts=facts)

    async def _stream(self, url: str, part: Path) -> None:
        """Download into `part`, going on where a broken stream of the same content ended."""
        have, etag = 0, None
        for tries in range(TRIES):
            try:
                async with self._open_result(url, offset=have, etag=etag) as stream:
                    have = have if stream.resumed else 0
                    etag = stream.etag
                    if not have:
                        # What lies there is an earlier run's rest, or a link that would lead the bytes elsewhere.
                        await asyncio.to_thread(part.unlink, missing_ok=True)
                    with part.open("r+b" if have else "xb") as file:
                        file.seek(have)
                        file.truncate()
                        async for chunk in stream.chunks:
                            file.write(chunk)
                            have += len(chunk)
                            if self._received is not None:
                                self._received(len(chunk))
                            if have > MOST_BYTES:
                                raise FetchError(f"the video is larger than {MOST_BYTES} bytes.")
                if stream.total_bytes is not None and have != stream.total_bytes:
                    raise FetchError(f"the video was cut short: {have} of {stream.total_bytes} bytes came.")
                return
            except FetchError as error:
                have = have if etag else 0  # without a strong ETag the rest may be of another file
                if error.expired or tries == TRIES - 1:
                    raise
            await asyncio.sleep(FIRST_WAIT * tries)


def place_for(folder: Path, output: str) -> Path:
    """The final path of an output, its folders made. Raises FetchError when a link would lead it outside."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / output
    final.parent.mkdir(parents=True, exist_ok=True)
    if not final.parent.resolve().is_relative_to(folder.resolve()):
        raise FetchError(f"{output} leads outside the output folder {folder} (through a link).")
    return final


def _settle(part: Path, final: Path) -> str:
    """Make `part` durable under its final name and return its SHA-256. A different file there is kept aside."""
    with part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    if final.exists() and not _same(final, sha256):
        final.replace(_aside(final))
    part.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name itself must survive a power cut
    finally:
        os.close(folder)
    return sha256


def _same(path: Path, sha256: str) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _aside(final: Path) -> Path:
    """A free name for what lies at `final`: it may be an earlier attempt's paid video, or somebody's own file."""
    number = 1
    while (candidate := final.with_name(f"{final.stem}.kept-{number}{final.suffix}")).exists():
        number += 1
    return candidate


def _disk_trouble(folder: Path, error: OSError) -> NeedsPerson:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NeedsPerson(
            f"The disk under {folder} is full.",
            mend="Make room and run the same command again: what was paid is fetched then.",
        )
    return NeedsPerson(
        f"The video can't be written under {folder}: {error.strerror or error}.",
        mend="Check the folder and its permissions, then run the same command again.",
    )
