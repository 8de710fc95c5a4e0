"""Recordings: which format the bytes really have, and what they sound like.

Everything is decoded through one path, `pcm_blocks`, by the check of a create call as well as by the renderer:
what passed the check can be rendered, and both agree on how long it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.video.stream import VideoStream

SAMPLE_RATE = 48_000  # Hz, of everything that is decoded here
FRAME_RATE = 25  # pictures a second; the envelope has one level for each
WINDOW = SAMPLE_RATE // FRAME_RATE  # samples a picture

# The demuxer is named, never guessed by FFmpeg: its playlist formats would open files and addresses that a hostile
# upload names.
DEMUXERS = {"mp3": "mp3", "wav": "wav", "m4a": "mov", "aac": "aac"}

Pcm = npt.NDArray[np.float32]


class BadRecording(Exception):
    """These bytes are no recording that can be decoded. The text says why, to follow the parameter's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioFacts:
    format: str  # a key of DEMUXERS
    seconds: Decimal  # decoded, to the millisecond


def sniff_format(data: bytes) -> str | None:
    """The format that the bytes themselves show, whatever a name says; None when it is none of the four."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "wav"
    if data[4:8] == b"ftyp":
        return "m4a"
    frame = data[_id3_length(data) :].lstrip(b"\0")[:2]
    if len(frame) == 2 and frame[0] == 0xFF and frame[1] & 0xE0 == 0xE0:
        layer = frame[1] >> 1 & 0b11
        return {0b00: "aac", 0b01: "mp3"}.get(layer)
    return "mp3" if data[:3] == b"ID3" else None


def _id3_length(data: bytes) -> int:
    """Bytes taken by a leading ID3v2 tag; its length is written seven bits a byte."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def measure(data: bytes, *, stop_after: float) -> AudioFacts:
    """Decode to the end and count, or stop once `stop_after` seconds are passed: headers lie (a VBR mp3's by 63 %).

    Raises BadRecording.
    """
    format_name = sniff_format(data)
    if format_name is None:
        raise BadRecording("is no mp3, wav, m4a or aac recording")
    samples = 0
    for block in pcm_blocks(data, format_name):
        samples += block.shape[1]
        if samples > stop_after * SAMPLE_RATE:
            break
    if not samples:
        raise BadRecording("holds no sound that can be decoded")
    return AudioFacts(format=format_name, seconds=seconds_of(samples))


def seconds_of(samples: int) -> Decimal:
    return (Decimal(samples) / SAMPLE_RATE).quantize(Decimal("0.001"))


def pcm_blocks(source: bytes | Path, format_name: str) -> Iterator[Pcm]:
    """The recording as blocks of float samples, shape (2, n), 48 kHz stereo. Never more than a packet in memory.

    A few packets that can't be decoded are passed over, as players do; more than one in ten raises BadRecording.
    """
    file = str(source) if isinstance(source, Path) else BytesIO(source)
    try:
        with av.open(file, "r", format=DEMUXERS[format_name]) as container:
            if not container.streams.audio:
                raise BadRecording("has no audio stream")
            if any(not _is_cover(stream) for stream in container.streams.video):
                raise BadRecording("is a video, not a recording")
            converter = _Converter()
            for frame in _decoded(container):
                yield from converter.convert(frame)
            yield from converter.flush()
    except (av.FFmpegError, ValueError) as error:
        raise BadRecording(f"can't be decoded as {format_name} ({type(error).__name__})") from None


def _is_cover(stream: VideoStream) -> bool:
    """Whether a picture stream is the cover of an album rather than a film: covers are still pictures."""
    return stream.codec_context.name in ("mjpeg", "png")


def _decoded(container: InputContainer) -> Iterator[AudioFrame]:
    good = bad = 0
    for packet in container.demux(container.streams.audio[0]):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            bad += 1
            continue
        for frame in frames:
            if isinstance(frame, AudioFrame):
                good += 1
                yield frame
    if bad * 10 > good:
        raise BadRecording(f"is damaged: {bad} of its packets can't be decoded")


class _Converter:
    """Resamples to 48 kHz stereo floats; starts anew when a stream changes its rate or layout on the way."""

    def __init__(self) -> None:
        self._shape: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def convert(self, frame: AudioFrame) -> Iterator[Pcm]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            yield from self.flush()
            self._shape = shape
            self._resampler = AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
        frame.pts = None  # gaps in a stream's clock must not become silence
        yield from self._push(frame)

    def flush(self) -> Iterator[Pcm]:
        yield from self._push(None)
        self._resampler = None

    def _push(self, frame: AudioFrame | None) -> Iterator[Pcm]:
        if self._resampler is None:
            return
        for block in self._resampler.resample(frame):
            yield block.to_ndarray().astype(np.float32, copy=False)


def windows(blocks: Iterator[Pcm]) -> Iterator[Pcm]:
    """The same samples cut into windows of one picture each, shape (2, WINDOW); the last may be shorter."""
    rest: Pcm = np.empty((2, 0), dtype=np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block], axis=1)
        whole = rest.shape[1] // WINDOW * WINDOW
        for start in range(0, whole, WINDOW):
            yield rest[:, start : start + WINDOW]
        rest = rest[:, whole:]
    if rest.shape[1]:
        yield rest


def level_envelope(source: Path, format_name: str) -> npt.NDArray[np.float64]:
    """How loud the recording is at each picture, 0 to 1, relative to its own loud passages; shape (pictures,)."""
    loudness = np.array(
        [float(np.sqrt(np.mean(np.square(window)))) for window in windows(pcm_blocks(source, format_name))]
    )
    reference = float(np.percentile(loudness, 95)) if loudness.size else 0.0
    if reference < 1e-4:  # below -80 dBFS: silence, which must not be blown up into movement
        return np.zeros_like(loudness)
    return _smoothed(np.clip(loudness / reference, 0, 1) ** 0.6)


def _smoothed(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Quick to rise and slow to fall, as meters are: syllables show, single periods of the voice don't."""
    smooth = np.empty_like(levels)
    held = 0.0
    for index, level in enumerate(levels):
        held += (level - held) * (0.7 if level > held else 0.3)
        smooth[index] = held
    return smooth
