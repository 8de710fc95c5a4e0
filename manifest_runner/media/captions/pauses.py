"""Where a fetched video speaks and where it pauses, by how loud its sound is. Decodes as it goes: memory stays flat.

What counts as a pause follows from the recording itself: its loud passages and its noise. A hum below a quiet voice
is no speech, and a quiet voice over a clean ground is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.error import FFmpegError

from manifest_runner.errors import MediaError
from manifest_runner.media.probe.video import probe_video

RATE = 16_000  # Hz; what lies above 8 kHz tells nothing of pauses
WINDOW = 160  # samples: 10 ms, about a period of a low voice
SECONDS_A_WINDOW = WINDOW / RATE
LONGEST = 330  # seconds of sound that are listened to: a little over the service's longest video
SHORTEST_PAUSE = 10  # windows; the closed lips of a "p" are silent for less
SHORTEST_SOUND = 3  # windows; a click in a pause is shorter
QUIET = -60.0  # dB below full scale: where even the loud passages are quieter, nobody speaks
BELOW_LOUD = 30.0  # dB; speech is seldom quieter against its own loud passages
ABOVE_NOISE = 0.25  # of the way from the noise up to the loud passages
LEAST_RANGE = 6.0  # dB between noise and loud passages; with less there is nothing to tell apart
GAP = 0.05  # seconds that a frame may come late before the gap counts as silence

Levels = npt.NDArray[np.float64]
Pcm = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pause:
    """A silence within the speech, in seconds of the video."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """What is heard, in seconds of the video. The first word begins at `begins`, the last one ends at `ends`.

    The pauses lie between these two, in order, and do not touch. Without speech both are 0.
    """

    seconds: float
    begins: float
    ends: float
    pauses: tuple[Pause, ...] = ()


def find_pauses(path: Path) -> Sound:
    """Listen to the first sound in a fetched MP4. Blocks: about 0.5 s for each minute.

    Raises MediaError when the file is no whole video (as `probe_video` does), or when no sound in it can be decoded.
    """
    if not probe_video(path).has_sound:
        raise MediaError("The video has no sound in it.")
    try:
        # Titles and names inside may be in any encoding, and are of no interest.
        with av.open(str(path.absolute()), format="mp4", metadata_errors="ignore") as container:
            levels = measure_levels(_samples(container))
    except FFmpegError as error:
        raise MediaError(f"The video's sound can't be decoded: {error.strerror}.") from error
    except (ValueError, ArithmeticError) as error:  # figures in it that make no sense
        raise MediaError("The video's sound can't be decoded.") from error
    if not levels.size:
        raise MediaError("The video's sound can't be decoded: there is none.")
    return sound_of(levels)


def sound_of(levels: Levels) -> Sound:
    """The pauses by the level of each window, in dB of full scale, shape (windows,)."""
    seconds = len(levels) * SECONDS_A_WINDOW
    speaks = _speaks(levels)
    if not speaks.any():
        return Sound(seconds=seconds, begins=0, ends=0)
    runs = _runs(speaks)
    pauses = [
        Pause(start * SECONDS_A_WINDOW, end * SECONDS_A_WINDOW)
        for start, end, voice in runs[1:-1]
        if not voice and end - start >= SHORTEST_PAUSE
    ]
    voiced = [(start, end) for start, end, voice in runs if voice]
    return Sound(
        seconds=seconds,
        begins=voiced[0][0] * SECONDS_A_WINDOW,
        ends=voiced[-1][1] * SECONDS_A_WINDOW,
        pauses=tuple(pauses),
    )


def _speaks(levels: Levels) -> npt.NDArray[np.bool_]:
    """Which windows are louder than a pause, without clicks. Where nothing can be told apart, all or none are."""
    noise, loud = np.percentile(levels, [5, 95])
    if loud < QUIET:
        return np.zeros(len(levels), dtype=bool)
    if loud - noise < LEAST_RANGE:
        return np.ones(len(levels), dtype=bool)
    threshold = max(loud - BELOW_LOUD, noise + ABOVE_NOISE * (loud - noise))
    speaks: npt.NDArray[np.bool_] = levels > threshold
    for start, end, voice in _runs(speaks):
        if voice and end - start < SHORTEST_SOUND:
            speaks[start:end] = False
    return speaks


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int, bool]]:
    """Start, end and value of each stretch of equal flags."""
    edges = [0, *(np.flatnonzero(np.diff(flags)) + 1).tolist(), len(flags)]
    return [(start, end, bool(flags[start])) for start, end in pairwise(edges)]


def measure_levels(blocks: Iterator[Pcm]) -> Levels:
    """The level of each whole window of the blocks, which have the shape (n,); at least -100 dB."""
    parts: list[Levels] = []
    rest: Pcm = np.zeros(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        whole = len(rest) // WINDOW
        windows = rest[: whole * WINDOW].reshape(whole, WINDOW).astype(np.float64)
        power = np.mean(np.square(np.nan_to_num(windows, posinf=1, neginf=-1).clip(-1, 1)), axis=1)
        parts.append(10 * np.log10(power + 1e-10))
        rest = rest[whole * WINDOW :]
    return np.concatenate([np.zeros(0), *parts])


def _samples(container: InputContainer) -> Iterator[Pcm]:
    """The sound as blocks of samples at RATE, placed in the video's own time, up to LONGEST."""
    sent, most = 0, LONGEST * RATE
    resampler, form = _resampler(), ""
    for frame in _frames(container):
        if form != (form := f"{frame.format.name} {frame.layout.name} {frame.sample_rate}"):
            resampler = _resampler()  # a stream may change its form on the way
        if frame.time is not None and frame.time - sent / RATE > GAP:
            silence = min(round(frame.time * RATE), most) - sent
            yield np.zeros(silence, np.float32)
            sent += silence
        frame.pts = None
        for block in resampler.resample(frame):
            sent += block.samples
            yield block.to_ndarray()[0]
        if sent >= most:
            return


def _resampler() -> AudioResampler:
    return AudioResampler(format="flt", layout="mono", rate=RATE)


def _frames(container: InputContainer) -> Iterator[AudioFrame]:
    """What can be decoded. A damaged packet is passed over, as players do: its place stays silent."""
    for packet in container.demux(container.streams.audio[0]):
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        yield from (frame for frame in frames if isinstance(frame, AudioFrame))
