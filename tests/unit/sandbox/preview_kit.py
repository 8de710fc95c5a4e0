"""Portraits and recordings for previews, and a look at what the rendered video shows."""

from __future__ import annotations

import importlib.util
import wave
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

from manifest_runner.models import Box, Mode
from manifest_runner.sandbox.preview.face import finder_version
from manifest_runner.sandbox.preview.render import render
from manifest_runner.sandbox.preview.scene import Recipe

ASSETS = Path(__file__).resolve().parents[3] / "examples/assets"
PRESENTER, GUIDE, WELCOME = ASSETS / "presenter.png", ASSETS / "guide.jpg", ASSETS / "welcome.mp3"
WINDOW = 1920  # samples of 48 kHz in a picture
DOG_MOUTH = Box(left=268, top=370, width=104, height=30)


def astronaut() -> Path:
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data" / "astronaut.png"


def dog(path: Path) -> Path:
    """An animal that no finder of faces knows, its mouth in DOG_MOUTH."""
    picture = Image.new("RGB", (640, 640), (200, 220, 180))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((170, 120, 470, 480), fill=(190, 140, 90))
    draw.ellipse((230, 300, 410, 460), fill=(235, 210, 180))
    draw.ellipse((290, 310, 350, 350), fill=(30, 25, 25))
    for left in (270, 320):
        draw.arc((left, 340, left + 50, 395), 20, 160, fill=(60, 40, 40), width=5)
    for middle in (260, 380):
        draw.ellipse((middle - 18, 220, middle + 18, 256), fill=(30, 20, 20))
    picture.save(path)
    return path


def speech(path: Path, *, seconds: float = 6.0, pause: tuple[float, float] = (2.5, 4.0)) -> Path:
    """A buzzing voice in syllables, with a silent stretch, over a hum of 50 Hz and a little hiss."""
    at = np.arange(round(seconds * 48_000)) / 48_000
    buzz = sum(np.sin(2 * np.pi * 130 * n * at) / n for n in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 1.9 * at), 0, 1) * (
        0.45 + 0.55 * np.sin(2 * np.pi * 0.31 * at) ** 2
    )
    speaks = (at < pause[0]) | (at > pause[1])
    noise = np.random.default_rng(7).standard_normal(at.size)
    samples = 0.25 * buzz * syllables * speaks + 0.02 * np.sin(2 * np.pi * 50 * at) + 0.001 * noise
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(48_000)
        writer.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
    return path


def loudness(path: Path) -> np.ndarray:
    """Root mean square of each picture's share of the recording, measured without the project's own code."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=48_000)
    with av.open(str(path)) as container:
        blocks = [
            block.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for block in resampler.resample(frame)
        ]
    samples = np.concatenate(blocks)
    return np.array(
        [np.sqrt(np.mean(samples[start : start + WINDOW] ** 2)) for start in range(0, samples.size, WINDOW)]
    )


def recipe(sound: Path, **options: object) -> Recipe:
    values = {
        "image_key": "image",
        "audio_key": "audio",
        "audio_format": sound.suffix[1:],
        "mode": Mode.STD,
        "watermark": False,
        "face_finder": finder_version(),
        **options,
    }
    return Recipe(**values)  # type: ignore[arg-type]


def rendered(image: Path, sound: Path, target: Path, **options: object) -> Path:
    render(recipe(sound, **options), image=image, audio=sound, target=target, cancelled=lambda: False)
    return target


def luma(video: Path, left: float, top: float, right: float, bottom: float) -> list[np.ndarray]:
    """That part of each picture of a video, in grey."""
    part = (slice(round(top), round(bottom)), slice(round(left), round(right)))
    with av.open(str(video)) as container:
        return [frame.to_ndarray(format="gray")[part] for frame in container.decode(video=0)]


def darkness(
    video: Path, mouth: tuple[tuple[float, float], tuple[float, float]], *, below: int = 70
) -> np.ndarray:
    """How many pixels between and below these corners are as dark as the inside of a mouth; for each picture."""
    (left, top), (right, _) = mouth
    wide = right - left
    parts = luma(video, left, top - 0.2 * wide, right, top + 0.55 * wide)
    return np.array([float((part < below).sum()) for part in parts])
