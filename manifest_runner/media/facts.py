"""What is known of one picture or one recording once it has been probed. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """A picture, as it really is, whatever its name says.

    `width` and `height` are pixels as people see it, after the rotation its EXIF data asks for.
    """

    format: str  # `jpeg`, `png`, `webp` ...
    width: int
    height: int
    bytes: int
    sha256: str


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
