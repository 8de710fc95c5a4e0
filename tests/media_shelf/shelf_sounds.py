"""The shelf's recordings, made on the spot by FFmpeg (through PyAV) from something like a voice."""

from __future__ import annotations

import io
import struct
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

Pcm = np.ndarray[Any, Any]
QUICK = {"compression_level": "9"}  # of the MP3 encoder


@cache
def voice(seconds: float, rate: int = 48_000, channels: int = 1) -> Pcm:
    """Something that hums and pauses. int16, shape (samples, channels)."""
    time = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * 140 * part * time) / part for part in (1, 2, 3, 5))
    syllables = np.clip(np.sin(2 * np.pi * 2.3 * time), 0, 1)
    heard = (6000 * tone * syllables).astype(np.int16)
    return np.repeat(heard[:, None], channels, axis=1)


def encoded(
    kind: str,
    codec: str,
    pcm: Pcm,
    rate: int,
    *,
    layout: str | None = None,
    samples: str = "s16",
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
) -> bytes:
    """`pcm` in a container of `kind`; what the encoder does not take as it is, PyAV converts for it."""
    layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}[pcm.shape[1]]
    with tempfile.TemporaryDirectory() as folder:
        # Under a name: to put its index in front, FFmpeg opens the file a second time.
        path = Path(folder, "sound")
        _encode(path, kind, codec, pcm, rate, layout, samples, bit_rate, options or {}, muxer or {})
        return path.read_bytes()


def _encode(
    path: Path,
    kind: str,
    codec: str,
    pcm: Pcm,
    rate: int,
    layout: str,
    samples: str,
    bit_rate: int | None,
    options: dict[str, str],
    muxer: dict[str, str],
) -> None:
    with av.open(str(path), "w", format=kind, options=muxer) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, options=options)
        if bit_rate:
            stream.bit_rate = bit_rate
        for start in range(0, len(pcm), rate):
            part = np.ascontiguousarray(pcm[start : start + rate]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format=samples, layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def wav(pcm: Pcm, rate: int, codec: str = "pcm_s16le", **options: Any) -> bytes:
    return encoded("wav", codec, pcm, rate, **options)


def mp3(seconds: float, rate: int = 44_100, *, kbps: int = 64, muxer: dict[str, str] | None = None) -> bytes:
    pcm = voice(seconds, rate)
    return encoded("mp3", "libmp3lame", pcm, rate, bit_rate=kbps * 1000, options=QUICK, muxer=muxer)


def piped_wav() -> bytes:
    """As a program writes it that can't go back to put the sizes in: -1 stands there."""
    data = bytearray(wav(voice(5, 16_000), 16_000))
    data[4:8] = b"\xff" * 4
    place = data.find(b"data")
    data[place + 4 : place + 8] = b"\xff" * 4
    return bytes(data)


def vbr_without_header() -> bytes:
    options = {"flags": "+qscale", "global_quality": "4", **QUICK}
    pcm = np.concatenate([np.zeros((44_100 * 5, 1), np.int16), voice(5, 44_100)])
    return encoded("mp3", "libmp3lame", pcm, 44_100, options=options, muxer={"write_xing": "0"})


def claiming(data: bytes, frames: int) -> bytes:
    """An MP3 whose header says that it has so many frames."""
    place = max(data.find(b"Xing"), data.find(b"Info"))
    assert place > 0
    return data[: place + 8] + struct.pack(">I", frames) + data[place + 12 :]


def three_hours() -> bytes:
    """180 times a minute of MP3, behind a header that says ten seconds."""
    honest = mp3(10, 8_000, kbps=8)
    head = claiming(honest, 139)[: len(honest) // 2]
    minute = mp3(60, 8_000, kbps=8, muxer={"write_xing": "0", "id3v2_version": "0"})
    return head + minute * 180


def with_cover(data: bytes, cover: bytes) -> bytes:
    """An MP3 with an album's picture in an ID3 tag."""
    body = b"\0image/jpeg\0\x03\0" + cover
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    length = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + length + frame + data


def damaged(data: bytes, share: float) -> bytes:
    """Every now and then 300 bytes are noise."""
    noise = np.random.default_rng(3)
    mended = bytearray(data)
    for place in range(8_000, len(data) - 300, round(300 / share)):
        mended[place : place + 300] = noise.bytes(300)
    return bytes(mended)


def film() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for index in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index, np.uint8), format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return file.getvalue()


PLAYLIST = b"#EXTM3U\n#EXTINF:3,One\nhttp://127.0.0.1:9/one.mp3\n/etc/hostname\n"
TEXT = b"Dear colleague, please find the recording attached. Kind regards.\n" * 20
