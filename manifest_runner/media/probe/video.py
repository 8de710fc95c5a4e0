"""Whether a fetched file is a whole MP4 that plays: its boxes fill it exactly, and a player can open it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from manifest_runner.errors import MediaError
from manifest_runner.media.probe.boxes import HEADER, LONG_HEADER, MOST_INDEX, box_at, check_index

_MOST_PIXELS = 8192 * 8192 // 4
"""Of a frame. No decoder makes room for a larger one, whatever the index said before."""

_SECONDS = 10.0  # that the first frame may take
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

    A file with its index in front opens although its end is missing, so the boxes are counted before FFmpeg looks;
    and an index that claims absurd things must not come before FFmpeg at all.
    """
    size = path.stat().st_size
    check_index(_count_boxes(path, size), "The file")
    try:
        # Titles and names inside may be in any encoding, and are of no interest.
        options = {"max_pixels": str(_MOST_PIXELS)}  # for what FFmpeg decodes to know the streams
        with av.open(
            str(path.absolute()), format="mp4", options=options, metadata_errors="ignore"
        ) as container:
            if not container.streams.video:
                raise MediaError("The file holds no picture.")
            stream = container.streams.video[0]
            codec: object = (
                stream.codec_context
            )  # None for a codec that FFmpeg does not know, whatever PyAV's types say
            if codec is None:
                raise MediaError("Not one frame of the file can be shown.")
            if stream.width * stream.height > _MOST_PIXELS:
                raise MediaError(
                    f"The file's frames of {stream.width} x {stream.height} pixels are too large to be looked at."
                )
            if not _shows_a_frame(container, stream):
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
    except (ValueError, ArithmeticError) as error:  # figures or texts in it that Python can't hold
        raise MediaError(
            "The file does not open as a video: what it says of itself makes no sense."
        ) from error


def _shows_a_frame(container: InputContainer, stream: VideoStream) -> bool:
    """Whether one can be decoded in reasonable time."""
    codec = stream.codec_context
    codec.options = {**codec.options, "max_pixels": str(_MOST_PIXELS)}
    codec.thread_count = 1  # each thread would hold frames
    until = time.monotonic() + _SECONDS
    for packet in container.demux(stream):
        if packet.decode():
            return True
        if time.monotonic() > until:
            break
    return False


def _count_boxes(path: Path, size: int) -> bytes:
    """Walk the top-level boxes: each names its length, and they end where the file ends.

    Returns the file without its `mdat` boxes.
    """
    found: set[bytes] = set()
    index = bytearray()
    position = 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(LONG_HEADER)
            if len(header) < HEADER:
                raise MediaError(f"The file is cut short: it ends inside a box header at byte {position}.")
            kind, least, length = box_at(header, 0, size - position)
            if not found and kind != b"ftyp":
                raise MediaError("The file is no MP4: it does not start like one.")
            if length < least or position + length > size:
                raise MediaError(
                    f"The file is cut short: a box at byte {position} does not fit in {size} bytes."
                )
            if kind != b"mdat":
                if len(index) + length > MOST_INDEX:
                    raise MediaError(f"The file has more than {MOST_INDEX:,} bytes that are no media.")
                file.seek(position)
                index += file.read(length)
            found.add(kind)
            position += length
    missing = _NEEDED - found
    if missing:
        raise MediaError(
            f"The file is no whole MP4: {', '.join(sorted(k.decode() for k in missing))} is missing."
        )
    return bytes(index)
