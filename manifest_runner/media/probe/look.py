"""What is found out about one reference: its facts, what is wrong with it, what is strange."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.limits import AUDIO_MAX_BYTES, IMAGE_MAX_BYTES, Objection
from manifest_runner.media.opening import opened, sha256_of
from manifest_runner.media.probe.cache import URLS_KEPT_SECONDS, FileKey, ProbeCache
from manifest_runner.media.probe.url import Refused, Unknown, UrlReader, out_of_reach
from manifest_runner.media.source import Base64Source, FileSource, Source, UrlSource

Facts = TypeVar("Facts", ImageFacts, AudioFacts)

_NOUNS: dict[type, str] = {ImageFacts: "image", AudioFacts: "recording"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings(Generic[Facts]):
    """One reference's facts (None when it could not be probed) and what is wrong with it, or strange."""

    label: str = ""
    facts: Facts | None = None
    passed_on: bool = False  # a URL: the service fetches it as it is
    objections: tuple[Objection, ...] = ()
    warnings: tuple[Objection, ...] = ()


class Look:
    """Looks at one reference. May be asked from several threads."""

    def __init__(
        self, folder: Path, cache: ProbeCache, urls: UrlReader | None, *, remote_service: bool
    ) -> None:
        self._folder = folder
        self._cache = cache
        self._urls = urls
        self._remote_service = remote_service

    def image(self, source: Source) -> Findings[ImageFacts]:
        found = self._look(source, ImageFacts, IMAGE_MAX_BYTES)
        if found.facts is None or found.facts.frames == 1:
            return found
        return _warned(
            found,
            f"{found.label} has several pictures in it: only the first is used.",
            "Give it as a single picture when another one is meant.",
            "image with several pictures",
        )

    def sound(self, source: Source) -> Findings[AudioFacts]:
        found = self._look(source, AudioFacts, AUDIO_MAX_BYTES)
        if found.facts is None or not found.facts.silent:
            return found
        return _warned(
            found,
            f"{found.label} has no sound that can be heard.",
            "Look whether it is the right file: the video will cost as much as any.",
            "recording without a sound",
        )

    def _look(self, source: Source, kind: type[Facts], most: int) -> Findings[Facts]:
        try:
            if isinstance(source, UrlSource):
                return self._look_at_url(source, kind, most)
            return Findings(label=source.label, facts=self._look_at_file(source, kind))
        except MediaError as error:
            objection = Objection(error.what, error.mend, error.kind or f"{_NOUNS[kind]} that can't be read")
            return Findings(label=source.label, objections=(objection,))

    def _look_at_file(self, source: FileSource | Base64Source, kind: type[Facts]) -> Facts:
        key = file_key(source, self._folder)
        known = self._cache.sha256_of(key) if key else None
        if known and (facts := self._known(kind, known)) is not None:
            return facts
        with opened(source, self._folder) as file:
            sha256 = sha256_of(file, label=source.label)
            facts = self._known(kind, sha256)  # a copy under another name
            if facts is None:
                facts = _probe_of(kind)(file, name=source.label, sha256=sha256)
                self._cache.remember_facts(sha256, facts)
            if key and key == file_key(source, self._folder):  # it stayed as it was meanwhile
                self._cache.remember_file(key, sha256)
        return facts

    def _known(self, kind: type[Facts], sha256: str) -> Facts | None:
        facts = self._cache.facts(kind, sha256)
        return facts if facts is not None and facts.sha256 == sha256 else None

    def _look_at_url(self, source: UrlSource, kind: type[Facts], most: int) -> Findings[Facts]:
        if not source.is_public:
            lost = (out_of_reach(source),) if self._remote_service else ()
            return Findings(label=source.label, passed_on=True, objections=lost)
        if self._urls is None:
            return Findings(label=source.label, passed_on=True)
        key = hashlib.sha256(source.url.encode()).hexdigest()  # the URL itself may carry a signature
        facts = self._cache.facts(kind, key, younger_than=URLS_KEPT_SECONDS)
        if facts is None:
            try:
                facts = _probe_of(kind)(self._urls.read(source, most), name=source.label)
            except Refused as refused:
                return Findings(label=source.label, passed_on=True, objections=(refused.objection,))
            except Unknown as unknown:
                return Findings(label=source.label, passed_on=True, warnings=(_unseen(source, unknown),))
            self._cache.remember_facts(key, facts)
        return Findings(label=source.label, facts=facts, passed_on=True)


def _probe_of(kind: type[Facts]) -> Callable[..., Any]:
    """Pillow and av take long to import: what is known from earlier commands does without."""
    from manifest_runner.media.probe.audio import probe_audio  # noqa: PLC0415
    from manifest_runner.media.probe.image import probe_image  # noqa: PLC0415

    return probe_image if kind is ImageFacts else probe_audio


def file_key(source: Source, folder: Path) -> FileKey | None:
    """Equal for references that lead to the same file in the same state; None for what is no file, or can't be seen."""
    if not isinstance(source, FileSource):
        return None
    try:
        path = source.resolved(folder).resolve()
        status = path.stat()
        inode = f"{status.st_dev}:{status.st_ino}:{status.st_ctime_ns}"
        regular = stat.S_ISREG(status.st_mode)
        return (os.fsencode(path), status.st_size, status.st_mtime_ns, inode) if regular else None
    except (OSError, RuntimeError):  # missing, or a circle of links: reading it will say what is wrong
        return None


def file_state(source: Source, folder: Path) -> tuple[int, ...] | None:
    """The same as long as this process runs, and a tenth of the work: whatever the path, it is the file that counts."""
    if not isinstance(source, FileSource):
        return None
    try:
        status = source.resolved(folder).stat()
    except OSError:
        return None
    state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return state if stat.S_ISREG(status.st_mode) else None


def _unseen(source: UrlSource, why: Unknown) -> Objection:
    return Objection(
        f"{source.label} was not looked at: {why}.",
        "The service fetches it by itself; what it finds there is not known yet.",
        "URL that could not be looked at",
    )


def _warned(found: Findings[Facts], what: str, mend: str, kind: str) -> Findings[Facts]:
    return replace(found, warnings=(*found.warnings, Objection(what, mend, kind)))
