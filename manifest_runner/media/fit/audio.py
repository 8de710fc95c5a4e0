"""Makes a recording fit: an MP3 of a constant bit rate, as an `AudioRecipe` says.

It is decoded and encoded packet by packet, so that memory does not grow with its length. What comes out depends on
nothing but what goes in: no date, no name, no random number is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from typing import BinaryIO

import av
import numpy as np
import numpy.typing as npt
from av.audio.format import AudioFormat
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer

from manifest_runner.errors import MediaError
from manifest_runner.media.fit.recipes import BIT_RATES, AudioRecipe, Fitted, audio_words
from manifest_runner.media.limits import AUDIO_MAX_BYTES, AUDIO_MAX_SECONDS, AUDIO_MIN_SECONDS
from manifest_runner.media.probe.audio import open_sound
from manifest_runner.media.source import megabytes

_SAMPLES = "s16p"  # 16 bits: in this format FFmpeg lowers a mix of five channels so that nothing is clipped
_SLACK = Decimal("0.1")  # seconds that decoding may find above what the packets said
_MORE, _MORE_SHARE = (
    Decimal("0.5"),
    Decimal("0.02"),
)  # seconds, and share, that an honest index may be short of
_BAD_SHARE = 10  # one packet in so many may be damaged
_ENCODER = {"compression_level": "5"}  # three times as quick as 2, and no different to hear
# Without an ID3 tag, and without the library's version. The Xing header stays: with it, players leave out the
# silence that the encoder adds, and a recording of exactly 2 s lasts exactly 2 s.
_MUXER = {"id3v2_version": "0", "write_xing": "1", "fflags": "+bitexact"}


def fit_audio(file: BinaryIO, recipe: AudioRecipe, *, name: str) -> Fitted:
    """The recording in `file` (open for reading and seeking), made to fit. `name` is what messages call it.

    Raises MediaError for what can't be decoded, or lasts longer than its packets said.
    """
    for kbps in (rate for rate in BIT_RATES if rate <= recipe.kbps):
        try:
            data, found = _encoded(file, recipe, kbps, name)
        except (av.FFmpegError, OSError, ValueError, ArithmeticError) as error:  # OSError: a seek to nowhere
            raise _damaged(name) from error
        planned = recipe.source_seconds
        if not recipe.cut and found > planned + max(_MORE, planned * _MORE_SHARE):
            raise MediaError(
                f"{name} has more sound in it than its index says: {found} s, where {planned} s were planned.",
                mend="Export it again: what is sent has to be what the estimate and the budget speak of.",
            )
        if len(data) <= AUDIO_MAX_BYTES:
            done = audio_words(recipe, kbps=kbps, seconds=found)
            return Fitted(
                data=data, what=f"{done}, {megabytes(len(data))}", sha256=hashlib.sha256(data).hexdigest()
            )
    raise MediaError(f"{name} can't be made smaller than 5 MB.", mend="Give a shorter recording.")


def _encoded(file: BinaryIO, recipe: AudioRecipe, kbps: int, name: str) -> tuple[bytes, Decimal]:
    """An MP3, and the seconds of sound that were found in the source (or kept of it)."""
    rate = recipe.sample_rate
    most = int((recipe.seconds if recipe.cut else AUDIO_MAX_SECONDS + _SLACK) * rate)
    result = BytesIO()
    with av.open(result, "w", format="mp3", options=_MUXER) as container:
        stream = container.add_stream("libmp3lame", rate=rate, options=_ENCODER, layout=_layout(recipe))
        stream.bit_rate = kbps * 1000
        stream.codec_context.format = AudioFormat(_SAMPLES)
        writer = _Writer(container, stream, rate)
        health = _Health()
        for frame in _frames(file, recipe, name, health):
            writer.write(frame, most)
            if writer.samples >= most:
                break
        if health.is_bad:
            raise _damaged(name)
        found = writer.samples
        if not found:
            raise MediaError(f"{name} has no sound that can be decoded.", mend="Record or export it again.")
        if found >= most and not recipe.cut:
            raise MediaError(
                f"{name} lasts more than {AUDIO_MAX_SECONDS} s.", mend="Shorten it, or set `fit.trim: true`."
            )
        writer.finish(int(AUDIO_MIN_SECONDS) * rate)
    return result.getvalue(), (Decimal(found) / rate).quantize(Decimal("0.001"))


def _layout(recipe: AudioRecipe) -> str:
    return "mono" if recipe.channels == 1 else "stereo"


@dataclass
class _Health:
    """How many packets could be decoded, and how many could not."""

    good: int = 0
    bad: int = 0

    @property
    def is_bad(self) -> bool:
        return self.bad * _BAD_SHARE > self.good + self.bad


def _frames(file: BinaryIO, recipe: AudioRecipe, name: str, health: _Health) -> Iterator[AudioFrame]:
    """The sound in the result's rate and layout. A stream that changes its own on the way stays one recording.

    Packets that can't be decoded are passed over, as players do, and counted.
    """
    converter = _Converter(_layout(recipe), recipe.sample_rate)
    with open_sound(file, name) as container:
        if not container.streams.audio:
            raise MediaError(f"{name} has no sound in it.", mend="Give a recording of a voice.")
        for packet in container.demux(container.streams.audio[0]):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                health.bad += 1
                continue
            health.good += bool(frames)
            for frame in frames:
                yield from converter.converted(frame)
        yield from converter.rest()


class _Converter:
    """Resamples whatever comes to one rate and layout."""

    def __init__(self, layout: str, rate: int) -> None:
        self._layout = layout
        self._rate = rate
        self._kind: tuple[str, str, int] | None = None
        self._resampler = AudioResampler(_SAMPLES, layout, rate)

    def converted(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:  # a resampler is set up for the first frame that it sees
            yield from self.rest()
            self._kind, self._resampler = kind, AudioResampler(_SAMPLES, self._layout, self._rate)
        frame.pts = None  # a gap in the stream's clock is no silence
        yield from self._resampler.resample(frame)

    def rest(self) -> Iterator[AudioFrame]:
        """What the resampler still holds back. It takes nothing any more after that."""
        if self._kind is not None:
            yield from self._resampler.resample(None)
            self._kind = None


class _Writer:
    """Encodes frames one after the other and counts their samples."""

    def __init__(self, container: OutputContainer, stream: AudioStream, rate: int) -> None:
        self._container = container
        self._stream = stream
        self._rate = rate
        self.samples = 0

    def write(self, frame: AudioFrame, most: int) -> None:
        """Nothing of `frame` that lies beyond `most` samples from the start is written."""
        room = most - self.samples
        if frame.samples > room:
            frame = self._frame_of(np.ascontiguousarray(frame.to_ndarray()[:, :room], np.int16))
        frame.pts, frame.time_base = self.samples, Fraction(1, self._rate)
        self.samples += frame.samples
        self._container.mux(self._stream.encode(frame))

    def finish(self, least: int) -> None:
        """Silence up to `least` samples, and what the encoder still holds back."""
        if self.samples < least:
            silence = np.zeros((self._stream.codec_context.channels, least - self.samples), np.int16)
            self.write(self._frame_of(silence), least)
        self._container.mux(self._stream.encode(None))

    def _frame_of(self, samples: npt.NDArray[np.int16]) -> AudioFrame:
        """A frame of samples, shape (channels, n)."""
        frame = AudioFrame.from_ndarray(samples, _SAMPLES, self._stream.codec_context.layout.name)
        frame.sample_rate = self._rate
        return frame


def _damaged(name: str) -> MediaError:
    return MediaError(
        f"{name} is a recording that is damaged or cut off.",
        mend="Export or copy it again from where it came from.",
    )
