"""A recording's facts: its true container and codec, and a duration counted from its packets.

The duration in a header is never believed (a VBR mp3's was 63 % off). Samples are decoded only up to the first that
can be heard. What FFmpeg would keep beside the sound (pictures, attachments, packets without an end) is bounded.
"""

from __future__ import annotations

import os
import struct
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import AudioFacts
from manifest_runner.media.opening import as_file, sha256_of, size_of
from manifest_runner.media.probe.boxes import MOST_INDEX, check_index, index_of, is_mp4
from manifest_runner.media.probe.sniff import looks_like

COUNT_UP_TO = 301
"""Seconds. Counting stops here: a little over the service's longest duration."""

# A playlist can name other files and addresses, and FFmpeg would open them. So only plain containers may be
# recognised, and no protocol may be used at all: the bytes come from the file that we have opened.
_OPTIONS = {
    "protocol_whitelist": "none",
    "format_whitelist": "wav,w64,mp3,aac,ogg,flac,matroska,avi,aiff,amr,asf",
    # Bytes of packets that are looked at beforehand: a packet of one byte takes a hundred in memory.
    "probesize": "250000",
}
_MP4_OPTIONS = {**_OPTIONS, "format_whitelist": "mov"}  # only where the index has been checked
_NAMES = {"mov": "m4a"}  # by the first of FFmpeg's names for a demuxer
_CUT = Fraction(1, 4)  # seconds that may be missing against an index before a file counts as cut off
_HEARD = 33  # of 32768: -60 dBFS
_MOST_BLOCKS = 1000  # before a WAV's sound
_MOST_BEFORE = 32_000_000  # bytes read until the sound begins; a large cover picture is there too
_MOST_BETWEEN = 16_000_000  # and from a packet to the next
# Of these a few bytes can make an entry in a list that takes a hundred.
_MOST_OF_LISTS = 8_000_000
_LISTS = (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75")  # Matroska, ASF; and AVI
_HEAD = 12  # bytes that tell them
_MOST_PACKETS = 400_000  # AAC has 100 a second, Opus 400
_SECONDS = 10.0  # that reading may take
_LISTENING = 3.0  # seconds; what was silent until then counts as sound
_STREAMED = 0x7FFF_0000  # a WAV data size from here on was written by a program that could not seek back


def probe_audio(
    data: bytes | Path | BinaryIO, *, name: str = "The recording", sha256: str | None = None
) -> AudioFacts:
    """The facts of the recording in `data` (a file open for reading and seeking, a path, or bytes).

    `name` is what messages call it; `sha256` is given where it is known already. Raises MediaError for what is no
    recording, has no sound in it, is a video, or is cut off. Says nothing of the service's limits: that is
    `limits.audio_problems`.
    """
    file = as_file(data)
    bounded = _Bounded(file, name)
    try:
        with _opened(bounded, file, name) as container:
            kind = container.format.name.split(",")[0]
            kind = _NAMES.get(kind, kind)
            stream, tick = _only_sound(container, name)
            listener = Listener()
            seconds = _counted(container, stream, tick, listener, bounded)
            promised = _promised(stream, tick, kind, file)
            codec = stream.codec_context
            codec_name, channels, rate = codec.codec.canonical_name, codec.channels, codec.sample_rate
    except (av.FFmpegError, ValueError, ArithmeticError) as error:
        bounded.check()
        raise _no_recording(name, file) from error
    bounded.check()
    if seconds < COUNT_UP_TO and promised - seconds > _CUT:
        raise MediaError(
            f"{name} is cut off: {float(seconds):.1f} s are there, {float(promised):.1f} s were recorded.",
            mend="Copy it again from where it came from.",
        )
    return AudioFacts(
        container=kind,
        codec=codec_name,
        seconds=Decimal(round(seconds * 1000)) / 1000,
        channels=channels,
        sample_rate=rate,
        bytes=size_of(file),
        sha256=sha256 or sha256_of(file, label=name),
        silent=not listener.heard,
    )


def open_sound(file: BinaryIO, name: str) -> InputContainer:
    """A container of plain sound, open: no playlist, no other file, no address, no absurd index.

    Raises MediaError, av.FFmpegError, ValueError.
    """
    bounded = _Bounded(file, name)
    try:
        container = _opened(bounded, file, name)
    except av.FFmpegError:
        bounded.check()
        raise
    bounded.check()
    bounded.free()  # what is wanted of it was counted before
    return container


def _opened(bounded: _Bounded, file: BinaryIO, name: str) -> InputContainer:
    file.seek(0)
    head = file.read(_HEAD)
    options = _OPTIONS
    if is_mp4(head):
        mend = "Export it again as MP3 or M4A."
        check_index(index_of(file, name, mend=mend), name, mend=mend)
        options = _MP4_OPTIONS
        bounded.allow(MOST_INDEX + _MOST_BETWEEN)
    elif head.startswith(_LISTS) or head[8:] == b"AVI ":
        bounded.allow(_MOST_OF_LISTS)
    file.seek(0)
    # Titles and names inside may be in any encoding, and are of no interest.
    return av.open(bounded, mode="r", options=options, metadata_errors="ignore")


class _Bounded:
    """A file as FFmpeg may use it: what it seeks in vain (before the start of a tiny file, say) it is told, and nothing
    is printed.

    Once it has read too much without coming to a packet, or for too long, it is told that the file ends, and `check`
    raises MediaError.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name = name
        self._left = _MOST_BEFORE
        self._until = time.monotonic() + _SECONDS
        self._is_free = self._is_over = False
        self.tell = file.tell

    def allow(self, count: int) -> None:
        """So many bytes from here on."""
        self._left = count

    def free(self) -> None:
        self._is_free = True

    def check(self) -> None:
        """Raises MediaError when FFmpeg was told lies, so that nothing may be concluded."""
        if self._is_over or (not self._is_free and time.monotonic() > self._until):
            raise _overladen(self.name)

    def read(self, size: int = -1) -> bytes:
        if self._is_free:
            return self._file.read(size)
        if self._is_over or time.monotonic() > self._until:
            self._is_over = True
            return b""
        data = self._file.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            self._is_over = True
            return b""
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -1


class Listener:
    """Decodes packets up to the first in which something can be heard: of most recordings, a few.

    What can't be decoded counts as sound: whether it is damaged is found out when it is made to fit.
    """

    def __init__(self) -> None:
        self.heard = False
        self._until = time.monotonic() + _LISTENING
        self._level = AudioResampler(format="s16", layout="mono")

    def hear(self, packet: Packet[AudioStream]) -> None:
        try:
            levels = (level for frame in packet.decode() for level in self._level.resample(frame))
            self.heard = any(_is_heard(level) for level in levels) or time.monotonic() > self._until
        except (av.FFmpegError, ValueError):
            self.heard = True


def _is_heard(frame: AudioFrame) -> bool:
    samples = frame.to_ndarray()
    return bool(samples.size) and int(abs(samples.astype("int32")).max()) > _HEARD


def _only_sound(container: InputContainer, name: str) -> tuple[AudioStream, Fraction]:
    """The stream of sound and its tick in seconds. A cover picture inside does not make a file a video."""
    if any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video):
        raise MediaError(
            f"{name} is a video.",
            mend="Export its sound alone, as MP3 or M4A.",
            kind="video in place of a recording",
        )
    if not container.streams.audio:
        raise MediaError(f"{name} has no sound in it.", mend="Give a recording of a voice.")
    stream = container.streams.audio[0]
    codec = stream.codec_context  # None for a codec that FFmpeg does not know, whatever PyAV's types say
    if not (codec and codec.sample_rate and codec.channels and stream.time_base):
        raise MediaError(f"{name} has no sound that can be read.", mend="Record or export it again.")
    return stream, stream.time_base


def _counted(
    container: InputContainer, stream: AudioStream, tick: Fraction, listener: Listener, bounded: _Bounded
) -> Fraction:
    """Seconds of sound, summed over the packets; stops soon after COUNT_UP_TO.

    Raises MediaError for packets that come to nothing.
    """
    enough = COUNT_UP_TO / tick
    ticks, first, last = 0, None, None
    for number, packet in enumerate(container.demux(stream)):
        bounded.check()
        bounded.allow(_MOST_BETWEEN)
        if number > _MOST_PACKETS:
            raise _overladen(bounded.name)
        if packet.size:  # the last one of all only says that there are no more
            ticks += packet.duration or 0
            first, last = first or packet, packet
        if not listener.heard:
            listener.hear(packet)
        if ticks > enough:
            break
    ends = {id(packet): packet for packet in (first, last) if packet is not None}
    return ticks * tick - sum((_skipped(packet, stream) for packet in ends.values()), Fraction(0))


def _skipped(packet: Packet[AudioStream], stream: AudioStream) -> Fraction:
    """The encoder's delay and padding, in seconds: silence that players leave out. It's 0.18 s in an MP3 at 8 kHz."""
    if not packet.has_sidedata("skip_samples"):
        return Fraction(0)
    samples = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    return Fraction(sum(samples), stream.codec_context.sample_rate)


def _promised(stream: AudioStream, tick: Fraction, kind: str, file: BinaryIO) -> Fraction:
    """Seconds that an index in the file says there are; 0 where none can be relied on.

    An MP4's sample table is exact, and so is a WAV's data size. An MP3's figure is often a guess.
    """
    if kind == "m4a" and stream.duration:
        return stream.duration * tick
    if kind == "wav":
        return _wav_promise(file)
    return Fraction(0)


def _wav_promise(file: BinaryIO) -> Fraction:
    """Seconds by a RIFF file's own sizes: the data block's bytes over the format block's bytes a second."""
    place, byte_rate = 12, 0
    for _ in range(_MOST_BLOCKS):
        file.seek(place)
        head = file.read(20)
        if len(head) < 8:
            break
        block, size = head[:4], int.from_bytes(head[4:8], "little")
        if block == b"fmt " and len(head) == 20:
            byte_rate = int.from_bytes(head[16:20], "little")
        if block == b"data":
            return Fraction(size, byte_rate) if byte_rate and size < _STREAMED else Fraction(0)
        place += 8 + size + size % 2
    return Fraction(0)


def _overladen(name: str) -> MediaError:
    return MediaError(
        f"{name} keeps so much else beside its sound that it can't be read safely.",
        mend="Export its sound alone, as MP3 or M4A.",
        kind="recording that can't be read safely",
    )


def _no_recording(name: str, file: BinaryIO) -> MediaError:
    words = looks_like(as_file(file).read(256))
    if words.endswith(("recording", "MP4 file")):
        return MediaError(
            f"{name} is a recording that is damaged or cut off.",
            mend="Export or copy it again from where it came from.",
            kind="recording that is damaged",
        )
    return MediaError(
        f"{name} is no recording that can be read: it looks like {words}.",
        mend="Give an MP3, WAV, M4A or AAC file.",
    )
