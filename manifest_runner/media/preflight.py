"""Every job's media, probed and checked before anything is sent. Each distinct file is looked at once.

Reading and probing happen in threads (both let go of the interpreter's lock). Between checking here and encoding
just before sending there is room for a step that makes media fit: it needs nothing but the facts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Generic, TypeVar

from manifest_runner.errors import MediaError
from manifest_runner.media.audio_probe import probe_audio
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fingerprint import fingerprint, fingerprint_parts
from manifest_runner.media.image_probe import probe_image
from manifest_runner.media.limits import Objection, audio_problems, image_problems
from manifest_runner.media.source import FileSource, Source, UrlSource, parse_reference, read
from manifest_runner.models import Job, Problem

_MOST_WORKERS = 8  # each may hold a file of READ_LIMIT bytes

Facts = TypeVar("Facts", ImageFacts, AudioFacts)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobMedia:
    """What is known of a job's media. Facts are None for a URL, an `audio_id` or speech that is still to be made."""

    image: ImageFacts | None
    audio: AudioFacts | None
    fingerprint: str
    fingerprint_parts: Mapping[str, str]

    @property
    def seconds(self) -> Decimal | None:
        """The sound's duration; None where it can't be known beforehand."""
        return self.audio.seconds if self.audio else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """`media` by external_task_id, for the jobs that nothing was found against; `problems` in the jobs' order."""

    media: Mapping[str, JobMedia]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Findings(Generic[Facts]):
    """One reference's facts (None for a URL, or when it could not be probed) and what is wrong with it."""

    facts: Facts | None
    objections: tuple[Objection, ...] = ()


def preflight(
    jobs: Sequence[Job],
    folder: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    remote_service: bool = False,
) -> Preflight:
    """Probe and check the media of `jobs`; references are relative to `folder`.

    `remote_service`: URLs are fetched from elsewhere, so that one of this machine or its network is no use.

    `progress` is called from this thread with the number of jobs newly looked at, as tqdm's `update` wants it.
    A job's trouble never hides another's: everything found comes back as Problems at the field's own location.
    """
    pool = ThreadPoolExecutor(workers or min(_MOST_WORKERS, (os.cpu_count() or 1) + 1), "probe")
    try:
        images = _Desk(pool, folder, probe_image, image_problems, remote_service=remote_service)
        sounds = _Desk(pool, folder, probe_audio, audio_problems, remote_service=remote_service)
        tickets = [(job, images.ask(job.image), sounds.ask(job.sound_file)) for job in jobs]
        media: dict[str, JobMedia] = {}
        problems: list[Problem] = []
        for job, image, audio in tickets:
            found = [*_problems(job, "image", image.result()), *_problems(job, "sound_file", audio.result())]
            problems += found
            if not found:
                media[job.external_task_id] = _job_media(job, image.result().facts, audio.result().facts)
            if progress:
                progress(1)
    finally:  # after Ctrl-C the files still waiting are not read
        pool.shutdown(cancel_futures=True)
    return Preflight(media=media, problems=tuple(problems))


def _job_media(job: Job, image: ImageFacts | None, audio: AudioFacts | None) -> JobMedia:
    parts = fingerprint_parts(
        job, image_sha256=image.sha256 if image else None, audio_sha256=audio.sha256 if audio else None
    )
    return JobMedia(image=image, audio=audio, fingerprint=fingerprint(parts), fingerprint_parts=parts)


def _problems(job: Job, field_name: str, findings: _Findings[Facts]) -> list[Problem]:
    return [
        Problem(location=job.where(field_name), what=what, mend=mend, job=job.external_task_id)
        for what, mend in findings.objections
    ]


class _Desk(Generic[Facts]):
    """Takes references of one kind, starts the work on each distinct file once, and hands out the results."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        folder: Path,
        probe: Callable[..., Facts],
        check: Callable[[Facts], list[Objection]],
        *,
        remote_service: bool,
    ) -> None:
        self._pool = pool
        self._folder = folder
        self._remote_service = remote_service
        self._probe: Callable[..., Facts] = probe
        self._check: Callable[[Facts], list[Objection]] = check
        self._asked: dict[Hashable, Future[_Findings[Facts]]] = {}
        self._probed: dict[str, Facts] = {}  # by sha256: copies of a file under other names

    def ask(self, reference: str | None) -> Future[_Findings[Facts]]:
        """The findings on `reference`, at some time. None is answered at once: there is nothing to look at."""
        if reference is None:
            return _answered(_Findings(None))
        if reference not in self._asked:  # the quick way for a default that thousands of jobs share
            self._asked[reference] = self._ask_once(reference)
        return self._asked[reference]

    def _ask_once(self, reference: str) -> Future[_Findings[Facts]]:
        try:
            source = parse_reference(reference)
        except MediaError as error:
            return _answered(_Findings(None, ((error.what, error.mend),)))
        key = _identity(source, self._folder)
        if key not in self._asked:
            self._asked[key] = self._pool.submit(self._look, source)
        return self._asked[key]

    def _look(self, source: Source) -> _Findings[Facts]:
        if isinstance(source, UrlSource):
            # The service fetches and checks it: only what it surely can't reach is told here.
            lost = self._remote_service and not source.is_public
            return _Findings(None, (_out_of_reach(source),) if lost else ())
        try:
            data = read(source, self._folder)
            digest = sha256(data).hexdigest()
            if digest not in self._probed:  # two threads at once may both probe it: wasted, not wrong
                self._probed[digest] = self._probe(data, name=source.label)
        except MediaError as error:
            return _Findings(None, ((error.what, error.mend),))
        facts = self._probed[digest]
        return _Findings(facts, tuple((f"{source.label} {what}", mend) for what, mend in self._check(facts)))


def _out_of_reach(source: UrlSource) -> Objection:
    return (
        f"{source.label} is an address of this machine or its network, which the service can't reach.",
        "Put the file where everybody can fetch it, or name its path here.",
    )


def _identity(source: Source, folder: Path) -> Hashable:
    """Equal for references that lead to the same file in the same state; the source itself for all others."""
    if not isinstance(source, FileSource):
        return source
    try:
        path = source.resolved(folder).resolve()
        status = path.stat()
    except (OSError, RuntimeError):  # missing, or a circle of links: reading it will say what is wrong
        return source
    return (path, status.st_size, status.st_mtime_ns)


def _answered(findings: _Findings[Facts]) -> Future[_Findings[Facts]]:
    future: Future[_Findings[Facts]] = Future()
    future.set_result(findings)
    return future
