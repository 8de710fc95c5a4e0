"""Small videos in which somebody speaks, with known moments."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from manifest_runner.sandbox.rules import SpeechOrder
from manifest_runner.sandbox.speech.voices import RATE, synthesise

FRAMES_A_SECOND = 5

Samples = np.ndarray[Any, Any]


def write_mp4(
    path: Path, samples: Samples | None, *, rate: int = RATE, layout: str = "mono", picture: bool = True
) -> Path:
    """A black video with AAC sound; `samples` have the shape (n,), or None for a silent film of two seconds."""
    with av.open(str(path), "w", format="mp4") as container:
        seconds = 2 if samples is None else len(samples) / rate
        video = container.add_stream("libx264", rate=FRAMES_A_SECOND, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        if samples is not None:
            sound = container.add_stream("aac", rate=rate, layout=layout)
        for number in range(int(seconds * FRAMES_A_SECOND) + 1):
            frame = av.VideoFrame.from_ndarray(np.zeros((96, 64), np.uint8), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_A_SECOND)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if samples is not None:
            channels = 2 if layout == "stereo" else 1
            planes = np.ascontiguousarray(np.tile(samples.astype(np.float32), (channels, 1)))
            heard = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
            heard.sample_rate, heard.pts, heard.time_base = rate, 0, Fraction(1, rate)
            container.mux(sound.encode(heard))
            container.mux(sound.encode(None))
    return path


def voice(seconds: float, *, rate: int = RATE, level: float = 0.3) -> Samples:
    """A buzz that swells and falls four times a second, as syllables do, and is never silent."""
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * harmonic * time) / harmonic for harmonic in range(1, 12))
    return level * buzz / 2 * (0.7 + 0.3 * np.cos(2 * np.pi * 4 * time))


def silence(seconds: float, *, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate))


def recital(
    sentences: Sequence[str], silences: Sequence[float], *, language: str, voice_id: str, speed: str = "1.0"
) -> tuple[Samples, list[float]]:
    """Sentences spoken one by one with a silence before each, and the moments at which they begin."""
    parts: list[Samples] = []
    moments = []
    for sentence, pause in zip(sentences, silences, strict=True):
        order = SpeechOrder(
            text=sentence, voice_id=voice_id, voice_language=language, voice_speed=Decimal(speed)
        )
        spoken = synthesise(order)
        heard = np.flatnonzero(np.abs(spoken) > 0.01)
        parts.append(silence(pause))
        moments.append(sum(map(len, parts)) / RATE)
        parts.append(spoken[heard[0] : heard[-1] + 1])
    return np.concatenate([*parts, silence(0.4)]), moments
