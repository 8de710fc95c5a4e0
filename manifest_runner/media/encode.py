"""The last step before a job is sent: the text that its `image` or `sound_file` field carries, made to fit.

A file is read again and hashed again here, so what is sent is made from what was checked, planned and counted into the
fingerprint. A portrait that a thousand jobs share is made to fit once.
"""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fit.audio import fit_audio
from manifest_runner.media.fit.image import FittedImage, fit_image
from manifest_runner.media.fit.recipes import AudioRecipe, ImageRecipe
from manifest_runner.media.limits import AUDIO_MAX_BYTES, IMAGE_MAX_BYTES
from manifest_runner.media.opening import opened, sha256_of
from manifest_runner.media.source import Base64Source, FileSource, UrlSource, megabytes, parse_reference
from manifest_runner.models import Box

_REMEMBERED = 64 * 1024 * 1024  # bytes of pictures that were made to fit and may be asked for again


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
        self._pictures: OrderedDict[Hashable, FittedImage] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def image(self, reference: str, facts: ImageFacts | None, recipe: ImageRecipe | None) -> Ready:
        """Raises MediaError when the file can't be read or made to fit, or is another than the one probed."""
        source = parse_reference(reference)
        if isinstance(source, UrlSource):
            return Ready(text=source.url)
        with opened(source, self._folder) as file:
            sha256 = _checked(file, source, facts)
            if recipe is None:
                return Ready(text=_plain(file, source, IMAGE_MAX_BYTES))
            fitted = self._picture(file, recipe, sha256, source.label)
        return Ready(text=_base64(fitted.data), done=fitted.what, place=fitted.place)

    def sound(self, reference: str, facts: AudioFacts | None, recipe: AudioRecipe | None) -> Ready:
        """Raises MediaError like `image`."""
        source = parse_reference(reference)
        if isinstance(source, UrlSource):
            return Ready(text=source.url)
        with opened(source, self._folder) as file:
            _checked(file, source, facts)
            if recipe is None:
                return Ready(text=_plain(file, source, AUDIO_MAX_BYTES))
            fitted = fit_audio(file, recipe, name=source.label)
        return Ready(text=_base64(fitted.data), done=fitted.what)

    def _picture(self, file: BinaryIO, recipe: ImageRecipe, sha256: str, name: str) -> FittedImage:
        key = (sha256, recipe)
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                known = self._pictures.get(key)
                if known is not None:
                    self._pictures.move_to_end(key)
                    return known
            fitted = fit_image(file, recipe, name=name)
            with self._lock:
                self._pictures[key] = fitted
                while sum(len(one.data) for one in self._pictures.values()) > _REMEMBERED:
                    forgotten, _ = self._pictures.popitem(last=False)
                    self._making.pop(forgotten, None)
        return fitted


def _checked(file: BinaryIO, source: FileSource | Base64Source, facts: ImageFacts | AudioFacts | None) -> str:
    """The file's hash, which has to be the one that was probed."""
    sha256 = sha256_of(file)
    if facts is not None and facts.sha256 != sha256:
        raise MediaError(
            f"{source.label} has changed between planning and sending.",
            mend="Leave the media alone while a run goes on, and run again to send it as it is now.",
        )
    return sha256


def _plain(file: BinaryIO, source: FileSource | Base64Source, most: int) -> str:
    data = file.read(most + 1)
    if len(data) > most:
        raise MediaError(f"{source.label} has more than {megabytes(most)}.", mend="Make it smaller.")
    return _base64(data)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
