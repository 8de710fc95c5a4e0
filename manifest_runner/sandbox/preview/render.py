"""Portrait and sound become an MP4 that any player opens: H.264 and AAC, index at the front.

The same input gives the same bytes (one encoder thread, no dates in the file), so a result is kept under a key of
its input and equal tasks are rendered once. Memory does not grow with the length: the scene's ladders of
pictures, one level for each frame, and the packet in hand.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from manifest_runner.sandbox.preview.scene import Recipe, Scene, open_scene
from manifest_runner.sandbox.sound import FRAME_RATE, SAMPLE_RATE, Pcm, pcm_blocks, windows

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
    scene = open_scene(recipe, image=image, audio=audio)
    rows, width = scene.frame(0).shape
    with av.open(str(part.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = _video_stream(container, width, rows * 2 // 3)
        sound = container.add_stream("aac", rate=SAMPLE_RATE, options=AAC_OPTIONS, layout="stereo")
        sent = 0
        for index, window in enumerate(windows(pcm_blocks(audio, recipe.audio_format))):
            if cancelled():
                raise RenderCancelled
            container.mux(sound.encode(_audio_frame(window, sent)))
            container.mux(video.encode(_video_frame(scene, index)))
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


def _video_frame(scene: Scene, index: int) -> av.VideoFrame:
    picture = scene.frame(index)
    frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
    frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
    return frame


def _audio_frame(window: Pcm, first_sample: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(window), format="fltp", layout="stereo")
    frame.sample_rate = SAMPLE_RATE
    frame.pts, frame.time_base = first_sample, Fraction(1, SAMPLE_RATE)
    return frame
