"""Pictures and recordings made on the spot, the awkward ones among them."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image

CODECS = {
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
    "ogg": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
    "matroska": ("matroska", "aac"),
}


def picture(width: int = 320, height: int = 400, kind: str = "PNG", **options: Any) -> bytes:
    """A gradient."""
    y, x = np.mgrid[0:height, 0:width]
    colours = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1)
    file = io.BytesIO()
    Image.fromarray(colours.astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


def rotated(kind: str, orientation: int) -> bytes:
    """A picture of 320 x 400 pixels whose EXIF data asks for a rotation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return picture(kind=kind, exif=exif)


def png_block(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_claiming(width: int, height: int) -> bytes:
    """A few bytes that claim to be a PNG of any size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = png_block(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + png_block(b"IHDR", head) + pixels + png_block(b"IEND", b"")


def samples(seconds: float, rate: int, *, noise_from: float | None = None) -> np.ndarray[Any, Any]:
    """A tone; or silence, and noise from `noise_from` seconds on, which drives a variable bit rate up."""
    count = round(seconds * rate)
    if noise_from is None:
        return (8000 * np.sin(2 * np.pi * 220 * np.arange(count) / rate)).astype(np.int16)
    sound = np.random.default_rng(7).normal(0, 6000, count).clip(-32_000, 32_000).astype(np.int16)
    sound[: round(noise_from * rate)] = 0
    return sound


def wav(seconds: float, *, rate: int = 16_000, level: float = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((samples(seconds, rate) * level).astype(np.int16).tobytes())
    return file.getvalue()


def encoded(
    kind: str,
    seconds: float,
    *,
    rate: int = 16_000,
    noise_from: float | None = None,
    muxer: dict[str, str] | None = None,
    encoder: dict[str, str] | None = None,
) -> bytes:
    """A recording in one of CODECS."""
    container_format, codec = CODECS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format, options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=encoder or {}, layout="mono")
        sound = samples(seconds, rate, noise_from=noise_from)
        frame = av.AudioFrame.from_ndarray(sound[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def recording(kind: str, seconds: float, *, rate: int = 16_000) -> bytes:
    """A tone in the quickest way to it."""
    if kind == "wav":
        return wav(seconds, rate=rate)
    return encoded(
        kind, seconds, rate=rate, encoder={"aac_coder": "fast"} if kind in ("m4a", "aac") else None
    )


def mp3_of_variable_rate(seconds: float) -> bytes:
    """Quiet at first, loud then, and without the header that says how many frames there are."""
    return encoded(
        "mp3",
        seconds,
        rate=44_100,
        noise_from=seconds / 2,
        muxer={"write_xing": "0"},
        encoder={"flags": "+qscale", "global_quality": "4"},
    )


def film(*, sound: bool = True) -> bytes:
    """Two seconds of an MP4 video."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            heard = av.AudioFrame.from_ndarray(samples(2, 16_000)[None, :], format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 16_000, 0, Fraction(1, 16_000)
            container.mux(audio.encode(heard))
            container.mux(audio.encode(None))
    return file.getvalue()


def with_cover(mp3: bytes) -> bytes:
    """An MP3 with an album's picture in an ID3 tag."""
    body = b"\0image/png\0\x03\0" + picture(300, 300)
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    length = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + length + frame + mp3
