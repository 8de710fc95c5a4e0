"""A recording's facts: its true container and codec, and a duration counted from its packets.

The duration in a header is never believed (a VBR mp3's was 63 % off); no sample is decoded.
"""

from __future__ import annotations

import hashlib
import struct
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from manifest_runner.errors import MediaError
from manifest_runner.media.boxes import check_index, index_of, is_mp4
from manifest_runner.media.facts import AudioFacts
from manifest_runner.media.sniff import looks_like
from manifest_runner.media.source import FileSource, read

COUNT_UP_TO = 301
"""Seconds. Counting stops here: a little over the service's longest duration."""

# A playlist can name other files and addresses, and FFmpeg would open them. So only plain containers may be
# recognised, and no protocol may be used at all: the bytes come from memory.
_OPTIONS = {
    "protocol_whitelist": "none",
    "format_whitelist": "wav,w64,mp3,aac,ogg,flac,matroska,avi,aiff,amr,asf",
}
_MP4_OPTIONS = {**_OPTIONS, "format_whitelist": "mov"}  # only where the index has been checked
_NAMES = {"mov": "m4a"}  # by the first of FFmpeg's names for a demuxer
_CUT = Fraction(1, 4)  # seconds that may be missing against an index before a file counts as cut off
_STREAMED = 0x7FFF_0000  # a WAV data size from here on was written by a program that could not seek back


def probe_audio(data: bytes | Path, *, name: str = "The recording") -> AudioFacts:
    """The facts of the recording in `data` (its bytes, or a file's path). `name` is what messages call it.

    Raises MediaError for what is no recording, has no sound in it, is a video, or is cut off. Says nothing of the
    service's limits: that is `limits.audio_problems`.
    """
    if isinstance(data, Path):
        data = read(FileSource(str(data)), Path())
    options = _OPTIONS
    if is_mp4(data):
        check_index(index_of(data), name, mend="Export it again as MP3 or M4A.")
        options = _MP4_OPTIONS
    try:
        # Titles and names inside may be in any encoding, and are of no interest.
        with av.open(BytesIO(data), mode="r", options=options, metadata_errors="ignore") as container:
            kind = container.format.name.split(",")[0]
            kind = _NAMES.get(kind, kind)
            stream, tick = _only_sound(container, name)
            seconds = _counted(container, stream, tick, kind)
            promised = _promised(stream, tick, kind, data)
            codec = stream.codec_context
            facts = AudioFacts(
                container=kind,
                codec=codec.codec.canonical_name,
                seconds=Decimal(round(seconds * 1000)) / 1000,
                channels=codec.channels,
                sample_rate=codec.sample_rate,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
    except (av.FFmpegError, ValueError, ArithmeticError) as error:
        raise _no_recording(name, data) from error
    if seconds < COUNT_UP_TO and promised - seconds > _CUT:
        raise MediaError(
            f"{name} is cut off: {facts.seconds} s are there, {float(promised):.1f} s were recorded.",
            mend="Copy it again from where it came from.",
        )
    return facts


def _only_sound(container: InputContainer, name: str) -> tuple[AudioStream, Fraction]:
    """The stream of sound and its tick in seconds. A cover picture inside does not make a file a video."""
    if any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video):
        raise MediaError(f"{name} is a video.", mend="Export its sound alone, as MP3 or M4A.")
    if not container.streams.audio:
        raise MediaError(f"{name} has no sound in it.", mend="Give a recording of a voice.")
    stream = container.streams.audio[0]
    codec = stream.codec_context  # None for a codec that FFmpeg does not know, whatever PyAV's types say
    if not (codec and codec.sample_rate and codec.channels and stream.time_base):
        raise MediaError(f"{name} has no sound that can be read.", mend="Record or export it again.")
    return stream, stream.time_base


def _counted(container: InputContainer, stream: AudioStream, tick: Fraction, kind: str) -> Fraction:
    """Seconds of sound, summed over the packets; stops soon after COUNT_UP_TO."""
    rate = stream.codec_context.sample_rate
    seconds = Fraction(0)
    for packet in container.demux(stream):
        seconds += (packet.duration or 0) * tick
        # The encoder's delay and padding are silence that players leave out. It's 0.18 s in an MP3 at 8 kHz.
        if kind in ("mp3", "m4a") and packet.has_sidedata("skip_samples"):
            skip = bytes(packet.get_sidedata("skip_samples"))
            seconds -= Fraction(sum(struct.unpack_from("<II", skip)), rate)
        if seconds > COUNT_UP_TO:
            break
    return seconds


def _promised(stream: AudioStream, tick: Fraction, kind: str, data: bytes) -> Fraction:
    """Seconds that an index in the file says there are; 0 where none can be relied on.

    An MP4's sample table is exact, and so is a WAV's data size. An MP3's figure is often a guess.
    """
    if kind == "m4a" and stream.duration:
        return stream.duration * tick
    if kind == "wav":
        return _wav_promise(data)
    return Fraction(0)


def _wav_promise(data: bytes) -> Fraction:
    """Seconds by a RIFF file's own sizes: the data block's bytes over the format block's bytes a second."""
    place, byte_rate = 12, 0
    while place + 8 <= len(data):
        block, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if block == b"fmt " and place + 20 <= len(data):
            byte_rate = int.from_bytes(data[place + 16 : place + 20], "little")
        if block == b"data":
            return Fraction(size, byte_rate) if byte_rate and size < _STREAMED else Fraction(0)
        place += 8 + size + size % 2
    return Fraction(0)


def _no_recording(name: str, data: bytes) -> MediaError:
    words = looks_like(data)
    if words.endswith(("recording", "MP4 file")):
        return MediaError(
            f"{name} is a recording that is damaged or cut off.",
            mend="Export or copy it again from where it came from.",
        )
    return MediaError(
        f"{name} is no recording that can be read: it looks like {words}.",
        mend="Give an MP3, WAV, M4A or AAC file.",
    )
