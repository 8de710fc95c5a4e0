"""The last step before a job is sent: the text that its `image` or `sound_file` field carries, made to fit.

A file is read again and hashed again here, so what is sent is made from what was checked, planned and counted into the
fingerprint. A portrait or a recording that a thousand jobs share is made to fit once.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fit.audio import fit_audio
from manifest_runner.media.fit.image import FittedImage, fit_image
from manifest_runner.media.fit.recipes import AudioRecipe, Fitted, ImageRecipe
from manifest_runner.media.limits import AUDIO_MAX_BYTES, IMAGE_MAX_BYTES
from manifest_runner.media.opening import opened, sha256_of
from manifest_runner.media.source import Base64Source, FileSource, UrlSource, megabytes, parse_reference
from manifest_runner.models import Box

_REMEMBERED = 48 * 1024 * 1024  # bytes each of pictures and of sounds that may be asked for again

Made = TypeVar("Made", bound=Fitted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """`text` goes into the request. `done` says what was done to the file; None: it goes as it is."""

    text: str
    done: str | None = None
    place: Callable[[Box], Box | None] = lambda box: box
    """Where a box of the person's picture is in the one that is sent."""


class Encoder:
    """Makes media ready to send; references are relative to `folder`. May be asked from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pictures: _Memory[FittedImage] = _Memory()
        self._sounds: _Memory[Fitted] = _Memory()

    def image(self, reference: str, facts: ImageFacts | None, recipe: ImageRecipe | None) -> Ready:
        """Raises MediaError when the file can't be read or made to fit, or is another than the one probed."""
        source = parse_reference(reference)
        if isinstance(source, UrlSource):
            return Ready(text=source.url)
        with opened(source, self._folder) as file:
            sha256 = _checked(file, source, facts)
            if recipe is None:
                return Ready(text=_plain(file, source, sha256, IMAGE_MAX_BYTES))
            fitted = self._pictures.once((sha256, recipe), lambda: fit_image(file, recipe, name=source.label))
            _checked(file, source, facts)  # nobody has written to it meanwhile
        return Ready(text=_base64(fitted.data), done=fitted.what, place=fitted.place)

    def sound(self, reference: str, facts: AudioFacts | None, recipe: AudioRecipe | None) -> Ready:
        """Raises MediaError like `image`."""
        source = parse_reference(reference)
        if isinstance(source, UrlSource):
            return Ready(text=source.url)
        with opened(source, self._folder) as file:
            sha256 = _checked(file, source, facts)
            if recipe is None:
                return Ready(text=_plain(file, source, sha256, AUDIO_MAX_BYTES))
            fitted = self._sounds.once((sha256, recipe), lambda: fit_audio(file, recipe, name=source.label))
            _checked(file, source, facts)
        return Ready(text=_base64(fitted.data), done=fitted.what)


class _Memory(Generic[Made]):
    """What was made to fit lately, each made once however many threads ask for it at a time."""

    def __init__(self) -> None:
        self._made: OrderedDict[Hashable, Made] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._made:
                    self._made.move_to_end(key)
                    return self._made[key]
            made = make()
            with self._lock:
                self._made[key] = made
                while sum(len(one.data) for one in self._made.values()) > _REMEMBERED:
                    forgotten, _ = self._made.popitem(last=False)
                    self._making.pop(forgotten, None)
        return made


def _checked(file: BinaryIO, source: FileSource | Base64Source, facts: ImageFacts | AudioFacts | None) -> str:
    """The file's hash, which has to be the one that was probed."""
    sha256 = sha256_of(file, label=source.label)
    if facts is not None and facts.sha256 != sha256:
        raise _changed(source)
    return sha256


def _changed(source: FileSource | Base64Source) -> MediaError:
    return MediaError(
        f"{source.label} has changed between planning and sending.",
        mend="Leave the media alone while a run goes on, and run again to send it as it is now.",
    )


def _plain(file: BinaryIO, source: FileSource | Base64Source, sha256: str, most: int) -> str:
    """The very bytes that were hashed."""
    data = file.read(most + 1)
    if len(data) > most:
        raise MediaError(f"{source.label} has more than {megabytes(most)}.", mend="Make it smaller.")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _changed(source)
    return _base64(data)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
