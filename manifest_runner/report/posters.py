"""One picture of each preview, as a small JPEG: what a page shows until the video is played."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from manifest_runner.errors import MediaError, NeedsPerson
from manifest_runner.report.putting import put

FOLDER = "posters"
LONGEST_SIDE = 640  # pixels: enough for a card at twice the density
QUALITY = 80
_MOST_PIXELS = 4096 * 4096  # of a frame
_MOST_PACKETS = 400  # that are decoded; the service has a key frame every few seconds
_SECONDS = 5.0
_CODECS = ("h264", "hevc", "mpeg4", "av1", "libdav1d")  # FFmpeg's names of their decoders
_SOUND = ("aac", "mp3", "mp3float")
_NAME = re.compile(r"[0-9a-f]{32}\.jpg")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def make_posters(
    videos: Mapping[str, Path],
    folder: Path,
    *,
    progress: Callable[[int], None] | None = None,
    check: Callable[[Path], object] | None = None,
) -> dict[str, str]:
    """Posters of `videos` (by the SHA-256 of each) in `folder`/posters: by SHA-256, their paths below `folder`.

    A poster is named after its video's content, so one that is there is not made again; those of videos that are not
    named any more are deleted. A video that can't be shown has none. `progress` is called with the number of videos
    newly looked at; `check` raises MediaError for a file that had better not be opened. Raises NeedsPerson where they
    can't be written, OSError.
    """
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        raise NeedsPerson(
            f"The pictures of the page can't be put into {place}: it is a link.", mend="Take it away."
        )
    found: dict[str, str] = {}
    pool = ThreadPoolExecutor(os.cpu_count() or 1, "poster")
    try:
        asked = {
            sha256: pool.submit(_make, video, place / _name(sha256), check)
            for sha256, video in videos.items()
            if _SHA256.fullmatch(sha256)
        }
        for sha256, answer in asked.items():
            if answer.result():
                found[sha256] = f"{FOLDER}/{_name(sha256)}"
            if progress:
                progress(1)
    finally:  # after Ctrl-C those still waiting are not made
        pool.shutdown(cancel_futures=True)
    _tidy(place, {_name(sha256) for sha256 in found})
    return found


def _name(sha256: str) -> str:
    return f"{sha256[:32]}.jpg"


def _make(video: Path, target: Path, check: Callable[[Path], object] | None) -> bool:
    if target.is_file() and not target.is_symlink():
        return True
    try:
        if check is not None:
            check(video)
        picture = _picture(video)
    except (MediaError, FFmpegError, OSError, ValueError, ArithmeticError):  # no video, or one of no sense
        return False
    if picture is not None:
        put(target, [picture])
    return picture is not None


def _picture(video: Path) -> bytes | None:
    """A frame a third into the video, where somebody speaks, as JPEG."""
    # What lies in the folder may be another file by now than the one that was fetched: its frames are bounded.
    options = {"max_pixels": str(_MOST_PIXELS), "codec_whitelist": ",".join((*_CODECS, *_SOUND))}
    with av.open(str(video.absolute()), format="mp4", options=options, metadata_errors="ignore") as container:
        if not container.streams.video:
            return None
        stream = container.streams.video[0]
        codec = stream.codec_context  # None for a codec that FFmpeg does not know, whatever PyAV's types say
        if not codec or codec.name not in _CODECS or stream.width * stream.height > _MOST_PIXELS:
            return None
        codec.options = {**codec.options, "max_pixels": str(_MOST_PIXELS)}
        codec.thread_count = 1  # each thread would hold frames, and several videos are looked at anyway
        wanted = (stream.duration or 0) // 3
        container.seek(wanted, stream=stream)  # to the key frame before it
        last = _frame_at(container, stream, wanted)
        if last is None:
            return None
        image = Image.fromarray(last.to_ndarray(format="rgb24"))
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    out = BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _frame_at(container: InputContainer, stream: VideoStream, wanted: int) -> VideoFrame | None:
    """The frame at a time, or the last one before it that is found in reasonable time."""
    last = None
    until = time.monotonic() + _SECONDS
    for packet in islice(container.demux(stream), _MOST_PACKETS):
        for frame in packet.decode():
            last = frame
            if frame.pts is not None and frame.pts >= wanted:
                return last
        if time.monotonic() > until:
            break
    return last


def _tidy(place: Path, kept: Collection[str]) -> None:
    for path in list(place.iterdir()):
        if _NAME.fullmatch(path.name) and path.name not in kept:
            path.unlink()
