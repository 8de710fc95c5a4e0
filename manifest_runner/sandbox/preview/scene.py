"""What a preview shows: a portrait that speaks where there is a mouth to move, a level meter where there is none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from manifest_runner.models import Box, Mode
from manifest_runner.sandbox.preview.face import Face, Point, find_faces
from manifest_runner.sandbox.preview.lips import Mouth, look_at_mouth
from manifest_runner.sandbox.preview.mouth import mouth_area
from manifest_runner.sandbox.preview.opening import opening_envelope
from manifest_runner.sandbox.preview.picture import (
    BARS,
    Frame,
    draw_meter,
    load_portrait,
    portrait_size,
    rung_index,
    zoom_ladder,
)
from manifest_runner.sandbox.preview.puppet import Puppet, blink_times
from manifest_runner.sandbox.sound import FRAME_RATE, level_envelope

RENDERER_VERSION = "3"  # raise it when the same input gives other pictures: it is part of every key
SMALLEST_MOUTH = 0.025  # of the picture's shorter side: a smaller one does not read as speech, the meter does


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that the bytes of a result depend on. `image_key`, `audio_key`: sha256 of the media.

    `mouth`: where the mouth is, in pixels of the upright picture, when it has been told. `face_finder`: names what
    finds it otherwise; empty when nothing does.
    """

    image_key: str
    audio_key: str
    audio_format: str
    mode: Mode
    watermark: bool
    mouth: Box | None = None
    face_finder: str = ""

    @property
    def key(self) -> str:
        parts = (
            RENDERER_VERSION,
            self.image_key,
            self.audio_key,
            self.mode,
            str(self.watermark),
            str(self.mouth),
            self.face_finder,
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Scene(Protocol):
    def frame(self, index: int) -> Frame:
        """The picture of this number, a new array."""
        ...


class MeterScene:
    """The portrait comes closer as the voice grows louder, and a meter shows the level."""

    def __init__(self, portrait: Image.Image, levels: npt.NDArray[np.float64], *, watermark: bool) -> None:
        self._ladder, self._levels = zoom_ladder(portrait, watermark=watermark), levels

    def frame(self, index: int) -> Frame:
        picture = self._ladder[rung_index(float(self._levels[index]), index / FRAME_RATE)].copy()
        past = np.clip(index - np.arange(BARS // 2 + 1), 0, None)
        draw_meter(picture, self._levels[past])
        return picture


def open_scene(recipe: Recipe, *, image: Path, audio: Path) -> Scene:
    """Raises OSError, BadRecording."""
    portrait = load_portrait(image, recipe.mode)
    faces = find_faces(portrait) if recipe.face_finder else []
    if recipe.mouth is None:
        face = faces[0] if faces else None
        mouth = None if face is None else look_at_mouth(portrait, *face.mouth, exact=False)
    else:
        box = _scaled(recipe.mouth, portrait_size(image), portrait.size)
        mouth, face = _boxed_mouth(portrait, box), _face_around(box, faces)
    if mouth is None or not _can_be_seen(mouth, portrait.size):
        return MeterScene(portrait, level_envelope(audio, recipe.audio_format), watermark=recipe.watermark)
    openings = opening_envelope(audio, recipe.audio_format)
    blinks = blink_times(recipe.key, openings.size)
    return Puppet(portrait, mouth, face, openings=openings, blinks=blinks, watermark=recipe.watermark)


def _can_be_seen(mouth: Mouth, size: tuple[int, int]) -> bool:
    area = mouth_area(mouth, size)
    return (
        mouth.axes.width >= SMALLEST_MOUTH * min(size) and min(area.width, area.height) > mouth.axes.width / 2
    )


@dataclass(frozen=True, slots=True)
class _Rectangle:
    """A box in pixels of the video."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> Point:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def _scaled(box: Box, upright: tuple[int, int], size: tuple[int, int]) -> _Rectangle:
    across, down = size[0] / upright[0], size[1] / upright[1]
    return _Rectangle(
        box.left * across, box.top * down, (box.left + box.width) * across, (box.top + box.height) * down
    )


def _boxed_mouth(portrait: Image.Image, box: _Rectangle) -> Mouth:
    middle = box.middle[1]
    return look_at_mouth(portrait, (box.left, middle), (box.right, middle), exact=True)


def _face_around(box: _Rectangle, faces: list[Face]) -> Face | None:
    """The face that this mouth belongs to, if it is one that was found: only its eyes blink."""
    return next((face for face in faces if face.holds(box.middle)), None)
