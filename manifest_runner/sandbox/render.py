"""Portrait and sound become an MP4 that any player opens: H.264 and AAC, index at the front.

The same input gives the same bytes (one encoder thread, no dates in the file), so a result is kept under a key of
its input and equal tasks are rendered once. Memory does not grow with the length: the ladder of pictures, one
level for each frame, and the packet in hand.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.stream import VideoStream

from manifest_runner.models import Mode
from manifest_runner.sandbox.picture import BARS, Frame, draw_meter, load_portrait, rung_index, zoom_ladder
from manifest_runner.sandbox.sound import FRAME_RATE, SAMPLE_RATE, Pcm, level_envelope, pcm_blocks, windows

RENDERER_VERSION = "1"  # raise it when the same input gives other pictures: it is part of every key
BT709 = 1  # the number that H.264 has for it, as matrix, primaries and transfer alike
LIMITED_RANGE = 1

# ultrafast with its two worst economies taken back (entropy coding, deblocking): a third quicker than superfast at
# the same size; 10 s of 720p take about 1.5 s on one core.
X264_OPTIONS = {
    "preset": "ultrafast",
    "crf": "24",
    "threads": "1",
    "x264-params": "cabac=1:deblock=0,0:weightp=1",
}
AAC_OPTIONS = {"b": "128000", "aac_coder": "fast"}


class RenderCancelled(Exception):
    """The sandbox is stopping; the task stays unfinished and is rendered after the next start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that the bytes of a result depend on. `image_key`, `audio_key`: sha256 of the media."""

    image_key: str
    audio_key: str
    audio_format: str
    mode: Mode
    watermark: bool

    @property
    def key(self) -> str:
        parts = (RENDERER_VERSION, self.image_key, self.audio_key, self.mode, str(self.watermark))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def render(recipe: Recipe, *, image: Path, audio: Path, target: Path, cancelled: Callable[[], bool]) -> None:
    """Render into `target` in one step: it is whole or it is not there. Blocks; runs in a worker thread.

    Raises RenderCancelled, OSError, av.FFmpegError, BadRecording.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        _write(recipe, image, audio, part, cancelled)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write(recipe: Recipe, image: Path, audio: Path, part: Path, cancelled: Callable[[], bool]) -> None:
    ladder = zoom_ladder(load_portrait(image, recipe.mode), watermark=recipe.watermark)
    levels = level_envelope(audio, recipe.audio_format)
    rows, width = ladder[0].shape
    with av.open(str(part.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = _video_stream(container, width, rows * 2 // 3)
        sound = container.add_stream("aac", rate=SAMPLE_RATE, options=AAC_OPTIONS, layout="stereo")
        sent = 0
        for index, window in enumerate(windows(pcm_blocks(audio, recipe.audio_format))):
            if cancelled():
                raise RenderCancelled
            container.mux(sound.encode(_audio_frame(window, sent)))
            container.mux(video.encode(_video_frame(ladder, levels, index)))
            sent += window.shape[1]
        container.mux(sound.encode(None))
        container.mux(video.encode(None))


def _video_stream(container: OutputContainer, width: int, height: int) -> VideoStream:
    stream = container.add_stream("libx264", rate=FRAME_RATE, options=X264_OPTIONS)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.gop_size = FRAME_RATE * 2
    stream.codec_context.colorspace = BT709
    stream.codec_context.color_primaries = BT709
    stream.codec_context.color_trc = BT709
    stream.codec_context.color_range = LIMITED_RANGE
    return stream


def _video_frame(ladder: list[Frame], levels: npt.NDArray[np.float64], index: int) -> av.VideoFrame:
    picture = ladder[rung_index(float(levels[index]), index / FRAME_RATE)].copy()
    past = np.clip(index - np.arange(BARS // 2 + 1), 0, None)
    draw_meter(picture, levels[past])
    frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
    frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
    return frame


def _audio_frame(window: Pcm, first_sample: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(window), format="fltp", layout="stereo")
    frame.sample_rate = SAMPLE_RATE
    frame.pts, frame.time_base = first_sample, Fraction(1, SAMPLE_RATE)
    return frame
