"""Bringing results home: streamed beside the final name, checked, made durable, renamed, recorded."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from manifest_runner.errors import FetchError, MediaError, NeedsPerson, ServiceError
from manifest_runner.ledger import AttemptRecord, Ledger, queries, results
from manifest_runner.media import VideoFacts, probe_video
from manifest_runner.models import JobState, ServiceStatus, watermark_output
from manifest_runner.runner.landing import place_for, settle
from manifest_runner.service import AvatarClient, ResultStream, Task, Video, repeat_safely

TRIES = 5
FIRST_WAIT = 1.0  # seconds, doubled after each try
RESUMES = 20  # of one download


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


@dataclass(slots=True)
class _Errand:
    """What one fetch has brought home so far: what is here is not downloaded again by the next try."""

    output: str
    watermark_wanted: bool
    task: Task | None
    video: _Landed | None = None
    watermark: _Landed | None = None


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
        """Bring the videos of a succeeded attempt home and record `done`, or `expired` when the service says at
        every try that it no longer has them. `task` is the freshest description, when there is one at hand.

        Raises FetchError when it did not work in this run (the job stays what it was), NeedsPerson when the disk
        can't take it, LedgerError.
        """
        job = self._job(attempt)
        errand = _Errand(output, bool(job.watermark), task)
        gone, last = 0, FetchError("The video could not be fetched.")
        for tries in range(TRIES):
            if tries:
                await asyncio.sleep(FIRST_WAIT * 2 ** (tries - 1))
            try:
                await self._try(attempt, errand)
                await self._record(attempt, errand)
                return
            except FetchError as error:
                gone += int(error.expired)
                last, errand.task = error, None
                if error.final:
                    break
            except OSError as error:
                raise disk_trouble(self._folder, error) from error
        if errand.video is not None:
            await self._record(attempt, errand)
            raise FetchError(f"the video is here, but not its watermarked copy: {last.what}") from last
        if gone == TRIES and self._has_nothing(job):
            why = f"it was rendered and paid, but the service no longer has the video: {last.what}"
            await self._ledger.write(results.expired, attempt.attempt_id, why)
            return
        raise last

    def _has_nothing(self, job: queries.Brief) -> bool:
        """Whether the video is not here either."""
        if job.state == JobState.DONE:
            return job.file is None or not (self._folder / job.file).is_file()
        return job.state == JobState.RENDERED

    def _job(self, attempt: AttemptRecord) -> queries.Brief:
        key = attempt.external_task_id
        job = self._ledger.read(queries.briefs, [key]).get(key)
        if job is None:
            raise ValueError(f"attempt {attempt.attempt_id} has no job in the ledger")
        return job

    async def _try(self, attempt: AttemptRecord, errand: _Errand) -> None:
        # Addresses can expire before the results do: each new try asks for fresh ones.
        video = _video_of(errand.task or await self._ask_again(attempt))
        if errand.video is None:
            errand.video = await self._land(video.url or "", errand.output)
        if errand.watermark_wanted:
            if not video.watermark_url:
                raise FetchError("the service gives no address for it.")
            errand.watermark = await self._land(video.watermark_url, watermark_output(errand.output))

    async def _record(self, attempt: AttemptRecord, errand: _Errand) -> None:
        if errand.video is None:
            raise ValueError("there is nothing to record")
        keeping = results.Keeping(
            attempt_id=attempt.attempt_id,
            file=errand.video.file,
            watermark_file=errand.watermark.file if errand.watermark else None,
            sha256=errand.video.sha256,
            bytes=errand.video.facts.bytes,
            video_seconds=errand.video.facts.seconds,
        )
        await self._ledger.write(results.kept, keeping)

    async def _ask_again(self, attempt: AttemptRecord) -> Task:
        identity = attempt.task_id or attempt.attempt_id
        try:
            task = await repeat_safely(lambda: self._client.get(identity))
        except ServiceError as error:
            raise FetchError(
                f"The service could not be asked for the video's address: {error.what}"
            ) from error
        if task is None:
            raise FetchError("the service no longer knows the task.", expired=True)
        return task

    async def _land(self, url: str, output: str) -> _Landed:
        """One file: to a `.part` beside its final name, checked whole, synced to disk, renamed in one step."""
        # No thread is woken for a few system calls.
        final, part = _cleared(self._folder, output)
        try:
            await self._stream(url, part)
            facts, sha256 = await asyncio.to_thread(_checked_and_settled, part, final)
        except MediaError as error:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise FetchError(f"what the service sent is not the video: {error.what}") from error
        except FetchError:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise
        return _Landed(file=output, sha256=sha256, facts=facts)

    async def _stream(self, url: str, part: Path) -> None:
        """Download into `part`, going on where a broken stream of the same content ended, as long as more comes."""
        have, etag, total, idle = 0, None, None, 0
        for resumed in range(RESUMES + 1):
            had = have
            try:
                async with self._open_result(url, offset=have, etag=etag) as stream:
                    if stream.resumed and total is not None and stream.total_bytes != total:
                        raise FetchError("the service sent the rest of another file.")
                    have = have if stream.resumed else 0
                    etag, total = stream.etag, stream.total_bytes
                    if resumed and not have:
                        await asyncio.to_thread(part.unlink, missing_ok=True)
                    with part.open("r+b" if have else "xb") as file:
                        file.seek(have)
                        async for chunk in stream.chunks:
                            file.write(chunk)
                            have += len(chunk)
                            if self._received is not None:
                                self._received(len(chunk))
                return
            except FetchError as error:
                # Without a strong ETag the rest may be of another file; without progress a fresh address is better.
                idle = 0 if have > had else idle + 1
                hopeless = error.expired or error.final or resumed == RESUMES
                if hopeless or not etag or etag.startswith("W/") or idle > 1:
                    raise
            await asyncio.sleep(FIRST_WAIT * idle)


def _cleared(folder: Path, output: str) -> tuple[Path, Path]:
    """Where a video is to lie, and where it grows meanwhile."""
    final = place_for(folder, output)
    part = final.with_name(f".{final.name}.part")
    # What lies there is an earlier run's rest, or a link that would lead the bytes elsewhere.
    part.unlink(missing_ok=True)
    return final, part


def _checked_and_settled(part: Path, final: Path) -> tuple[VideoFacts, str]:
    """The video's facts and hash, once it is durable under its name. Raises MediaError for what is no video."""
    facts = probe_video(part)
    return facts, settle(part, final)


def _video_of(task: Task) -> Video:
    """The task's video. Raises FetchError, `expired` only when the service says that there is none any more."""
    if task.status is not ServiceStatus.SUCCEED:
        raise FetchError(f"the service now says {task.status_text!r} of a task that had succeeded.")
    if not task.videos:
        raise FetchError("the service lists no video for the task.", expired=True)
    if not task.videos[0].url:
        raise FetchError("the service gives no usable address for the video.")
    return task.videos[0]


def disk_trouble(folder: Path, error: OSError) -> NeedsPerson:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NeedsPerson(
            f"The disk under {folder} is full.",
            mend="Make room and run the same command again: what was paid is fetched then.",
        )
    return NeedsPerson(
        f"The video can't be written under {folder}: {error.strerror or error}.",
        mend="Check the folder and its permissions, then run the same command again.",
    )
