"""What is known of one picture or one recording once it has been probed. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """A picture, as it really is, whatever its name says.

    `width` and `height` are pixels as people see it, after the rotation its EXIF data asks for.
    """

    format: str  # `jpeg`, `png`, `webp`, `gif`, `bmp`, `tiff`, `avif`, `heif`
    width: int
    height: int
    bytes: int
    sha256: str
    orientation: int = 1  # EXIF's, 1 to 8: how it lies in the file
    colours: str = "RGB"  # Pillow's mode: `RGB`, `RGBA`, `L`, `LA`, `P`, `CMYK`, `I;16` ...
    bits: int = 8  # a channel
    transparent: bool = False
    frames: int = 1  # more than one: it moves, or the file holds several pictures


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioFacts:
    """A recording, as it really is, whatever its name says.

    `seconds` is counted from the packets, to the millisecond. Counting stops soon after the service's longest
    duration is passed, so a figure above that means "at least".
    """

    container: str  # `wav`, `mp3`, `m4a`, `aac`, `ogg` ...
    codec: str  # `pcm_s16le`, `mp3`, `aac` ...
    seconds: Decimal
    channels: int
    sample_rate: int  # Hz
    bytes: int
    sha256: str
    silent: bool = False  # nothing louder than -60 dBFS is in it
