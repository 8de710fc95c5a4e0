"""The last step before a job is sent: what its `image` or `sound_file` field carries, made to fit.

A file is read and hashed again here, so what is sent is what was checked, planned and counted into the fingerprint: the
very bytes that had the probed hash. A portrait or a recording that a thousand jobs share is read once, made to fit once
and in memory once, as long as its file shows no sign of a change.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, Protocol, TypeVar

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fit.audio import fit_audio
from manifest_runner.media.fit.image import FittedImage, fit_image
from manifest_runner.media.fit.recipes import AudioRecipe, Fitted, ImageRecipe
from manifest_runner.media.limits import AUDIO_MAX_BYTES, IMAGE_MAX_BYTES
from manifest_runner.media.opening import opened, sha256_of
from manifest_runner.media.probe.look import file_state
from manifest_runner.media.source import Base64Source, FileSource, UrlSource, megabytes, parse_reference
from manifest_runner.models import Box

# Bytes that may be asked for again. Sounds are seldom shared, and a campaign has as many as jobs.
_PICTURES_REMEMBERED, _SOUNDS_REMEMBERED = 32 * 1024 * 1024, 16 * 1024 * 1024
_HASHES_REMEMBERED = 4096  # files


class _HasData(Protocol):
    @property
    def data(self) -> bytes: ...


Made = TypeVar("Made", bound=_HasData)
MadeToFit = TypeVar("MadeToFit", bound=Fitted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """`media` goes into the request: a URL, or the content itself. `done` says what was done to the file; None: it
    goes as it is."""

    media: str | bytes
    done: str | None = None
    place: Callable[[Box], Box | None] = lambda box: box
    """Where a box of the person's picture is in the one that is sent."""


class Encoder:
    """Makes media ready to send; references are relative to `folder`. May be asked from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes = _Hashes()
        self._plain_pictures: _Memory[_Plain] = _Memory(_PICTURES_REMEMBERED)
        self._plain_sounds: _Memory[_Plain] = _Memory(_SOUNDS_REMEMBERED)
        self._pictures: _Memory[FittedImage] = _Memory(_PICTURES_REMEMBERED)
        self._sounds: _Memory[Fitted] = _Memory(_SOUNDS_REMEMBERED)

    def image(self, reference: str, facts: ImageFacts | None, recipe: ImageRecipe | None) -> Ready:
        """Raises MediaError when the file can't be read or made to fit, or is another than the one probed."""
        source = parse_reference(reference)
        if isinstance(source, UrlSource):
            return Ready(media=source.url)
        if recipe is None:
            return Ready(media=self._plain(source, facts, self._plain_pictures, IMAGE_MAX_BYTES))
        fitted = self._fitted(
            source, facts, (self._pictures, recipe), lambda file: fit_image(file, recipe, name=source.label)
        )
        return Ready(media=fitted.data, done=fitted.what, place=fitted.place)

    def sound(self, reference: str, facts: AudioFacts | None, recipe: AudioRecipe | None) -> Ready:
        """Raises MediaError like `image`."""
        source = parse_reference(reference)
        if isinstance(source, UrlSource):
            return Ready(media=source.url)
        if recipe is None:
            return Ready(media=self._plain(source, facts, self._plain_sounds, AUDIO_MAX_BYTES))
        fitted = self._fitted(
            source, facts, (self._sounds, recipe), lambda file: fit_audio(file, recipe, name=source.label)
        )
        return Ready(media=fitted.data, done=fitted.what)

    def _plain(
        self,
        source: FileSource | Base64Source,
        facts: ImageFacts | AudioFacts | None,
        memory: _Memory[_Plain],
        most: int,
    ) -> bytes:
        """The content as it is: read in one go, hashed from those very bytes."""

        def read() -> _Plain:
            with opened(source, self._folder) as file:
                data = file.read(most + 1)
            if len(data) > most:
                raise MediaError(f"{source.label} has more than {megabytes(most)}.", mend="Make it smaller.")
            return _Plain(data, hashlib.sha256(data).hexdigest())

        key = file_state(source, self._folder)

        def unchanged() -> bool:
            return key == file_state(source, self._folder)

        found = read() if key is None else memory.once(key, read, lasting=unchanged)
        _refuse_another(source, facts, found.sha256)
        return found.data

    def _fitted(
        self,
        source: FileSource | Base64Source,
        facts: ImageFacts | AudioFacts | None,
        way: tuple[_Memory[MadeToFit], ImageRecipe | AudioRecipe],
        fit: Callable[[BinaryIO], MadeToFit],
    ) -> MadeToFit:
        memory, recipe = way
        sha256 = self._hash_of(source)
        _refuse_another(source, facts, sha256)

        def make() -> MadeToFit:
            with opened(source, self._folder) as file:
                made = fit(file)
                if sha256_of(file, label=source.label) != sha256:  # somebody has written to it meanwhile
                    raise _changed(source)
            return made

        return memory.once((sha256, recipe), make)

    def _hash_of(self, source: FileSource | Base64Source) -> str:
        key = file_state(source, self._folder)
        known = self._hashes.get(key) if key else None
        if known is not None:
            return known
        with opened(source, self._folder) as file:
            sha256 = sha256_of(file, label=source.label)
        if key and key == file_state(source, self._folder):  # it stayed as it was meanwhile
            self._hashes.put(key, sha256)
        return sha256


@dataclass(frozen=True, slots=True)
class _Plain:
    data: bytes
    sha256: str


class _Memory(Generic[Made]):
    """What was made lately, each made once however many threads ask for it at a time, up to so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._made: OrderedDict[Hashable, Made] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def once(
        self, key: Hashable, make: Callable[[], Made], *, lasting: Callable[[], bool] = lambda: True
    ) -> Made:
        """What was made under this key, or is made now; kept only if it is `lasting`, as asked afterwards."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._made:
                    self._made.move_to_end(key)
                    return self._made[key]
            kept = False
            try:
                made = make()
                kept = lasting()
            finally:
                with self._lock:
                    if kept:
                        self._keep(key, made)
                    else:
                        self._making.pop(key, None)
        return made

    def _keep(self, key: Hashable, made: Made) -> None:
        if (before := self._made.pop(key, None)) is not None:  # made twice after all
            self._bytes -= len(before.data)
        self._made[key] = made
        self._bytes += len(made.data)
        while self._bytes > self._most and self._made:
            forgotten, gone = self._made.popitem(last=False)
            self._bytes -= len(gone.data)
            self._making.pop(forgotten, None)


class _Hashes:
    """The hashes of files, by what shows that they have not changed since."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> str | None:
        with self._lock:
            return self._known.get(key)

    def put(self, key: Hashable, sha256: str) -> None:
        with self._lock:
            self._known[key] = sha256
            while len(self._known) > _HASHES_REMEMBERED:
                self._known.popitem(last=False)


def _refuse_another(
    source: FileSource | Base64Source, facts: ImageFacts | AudioFacts | None, sha256: str
) -> None:
    if facts is not None and facts.sha256 != sha256:
        raise _changed(source)


def _changed(source: FileSource | Base64Source) -> MediaError:
    return MediaError(
        f"{source.label} has changed between planning and sending.",
        mend="Leave the media alone while a run goes on, and run again to send it as it is now.",
    )
