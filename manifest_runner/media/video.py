"""Whether a fetched file is a whole MP4 that plays: its boxes fill it exactly, and a player can open it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import av
from av.error import FFmpegError

from manifest_runner.errors import MediaError

_HEADER = 8
_LONG_HEADER = 16
_NEEDED = {b"ftyp", b"moov", b"mdat"}


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFacts:
    """What a player sees. `seconds` is of the video stream, to the millisecond."""

    seconds: Decimal
    width: int
    height: int
    has_sound: bool
    bytes: int


def probe_video(path: Path) -> VideoFacts:
    """Look into a fetched MP4. Raises MediaError when it is cut short, is something else, or does not open.

    A file with its index in front opens although its end is missing, so the boxes are counted before FFmpeg looks.
    """
    size = path.stat().st_size
    _count_boxes(path, size)
    try:
        with av.open(str(path), format="mp4") as container:
            if not container.streams.video:
                raise MediaError("The file holds no picture.")
            stream = container.streams.video[0]
            first = next(container.decode(stream), None)
            if first is None:
                raise MediaError("Not one frame of the file can be shown.")
            duration, base = stream.duration, stream.time_base
            if not duration or not base:
                raise MediaError("The file does not say how long it is.")
            return VideoFacts(
                seconds=(Decimal(duration * base.numerator) / base.denominator).quantize(Decimal("0.001")),
                width=stream.width,
                height=stream.height,
                has_sound=bool(container.streams.audio),
                bytes=size,
            )
    except FFmpegError as error:
        raise MediaError(f"The file does not open as a video: {error.strerror}.") from error


def _count_boxes(path: Path, size: int) -> None:
    """Walk the top-level boxes (ISO/IEC 14496-12, 4.2): each names its length, and they end where the file ends."""
    found: set[bytes] = set()
    position = 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(_LONG_HEADER)
            if len(header) < _HEADER:
                raise MediaError(f"The file is cut short: it ends inside a box header at byte {position}.")
            length, kind = int.from_bytes(header[:4]), header[4:8]
            if not found and kind != b"ftyp":
                raise MediaError("The file is no MP4: it does not start like one.")
            if length == 1 and len(header) == _LONG_HEADER:
                length = int.from_bytes(header[8:])
            elif length == 0:  # the last box may leave its length open
                length = size - position
            if length < _HEADER or position + length > size:
                raise MediaError(
                    f"The file is cut short: a box at byte {position} does not fit in {size} bytes."
                )
            found.add(kind)
            position += length
    missing = _NEEDED - found
    if missing:
        raise MediaError(
            f"The file is no whole MP4: {', '.join(sorted(k.decode() for k in missing))} is missing."
        )
