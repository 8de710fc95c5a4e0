"""Where things are in a portrait: a feature's own coordinates, the area around it, and colours read from there.

A feature, such as a mouth, is looked at in a sheet of its own: turned upright and scaled, so that one set of numbers
fits a mouth of 20 pixels as well as one of 500. Pixels are RGB, 8 bit, shape (height, width, 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from manifest_runner.sandbox.preview.face import Point

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

CELLS = 80  # of a sheet, for the width of the feature
REACH_U, REACH_UP, REACH_DOWN = 1.5, 0.55, 0.75  # half-widths to each side; widths up and down
GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Axes:
    """A feature's own coordinates: `u` runs from -1 to 1 between its two ends, `v` down from the line between them,
    in widths of the feature."""

    centre: Point
    width: float  # pixels
    tilt: float  # radians; the right end lower is positive

    @classmethod
    def between(cls, left: Point, right: Point) -> Axes:
        across, down = right[0] - left[0], right[1] - left[1]
        return cls(
            centre=((left[0] + right[0]) / 2, (left[1] + right[1]) / 2),
            width=max(1.0, float(np.hypot(across, down))),
            tilt=float(np.arctan2(down, across)),
        )

    def point(self, u: float, v: float) -> Point:
        along, down = u * self.width / 2, v * self.width
        cos, sin = math.cos(self.tilt), math.sin(self.tilt)
        return (
            float(self.centre[0] + along * cos - down * sin),
            float(self.centre[1] + along * sin + down * cos),
        )

    def coordinates(self, left: int, top: int, width: int, height: int) -> tuple[Floats, Floats]:
        """u and v of each pixel of a box, each of shape (height, width)."""
        y, x = np.mgrid[top : top + height, left : left + width].astype(np.float32)
        x, y = x + 0.5 - self.centre[0], y + 0.5 - self.centre[1]
        cos, sin = math.cos(self.tilt), math.sin(self.tilt)
        return (x * cos + y * sin) * (2 / self.width), (y * cos - x * sin) / self.width

    def sheet(self, portrait: Image.Image) -> Floats:
        """The surroundings upright and scaled, RGB, shape (rows, columns, 3)."""
        # Coarser pictures are enough here, and one that is far finer than the sheet would alias.
        by = max(1, int(self.width / CELLS))
        coarse = replace(self, centre=(self.centre[0] / by, self.centre[1] / by), width=self.width / by)
        return sampled(np.asarray(portrait.reduce(by)), coarse, *sheet_coordinates())


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """A rectangle of a picture, its edges on even pixels: chroma has one sample for two of them each way."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def around(cls, points: Iterable[Point], size: tuple[int, int]) -> Area:
        """The smallest area that holds the points, as far as they lie in a picture of this (even) size."""
        xs, ys = zip(*points, strict=True)
        left, top = _down(min(xs), size[0]), _down(min(ys), size[1])
        right, bottom = _down(max(xs) + 2, size[0]), _down(max(ys) + 2, size[1])
        return cls(left=left, top=top, width=right - left, height=bottom - top)

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def right(self) -> int:
        return self.left + self.width

    def above(self, row: int) -> Area:
        """What of it lies above this (even) row."""
        return replace(self, height=max(0, min(self.bottom, row) - self.top))


def sampled(pixels: Pixels, axes: Axes, u: Floats, v: Floats) -> Floats:
    """Colours at these coordinates, bilinear; the picture's edge goes on beyond it."""
    along, down = u * (axes.width / 2), v * axes.width
    cos, sin = math.cos(axes.tilt), math.sin(axes.tilt)
    height, width = pixels.shape[:2]
    x = np.clip(axes.centre[0] - 0.5 + along * cos - down * sin, 0, width - 1.001)
    y = np.clip(axes.centre[1] - 0.5 + along * sin + down * cos, 0, height - 1.001)
    column, row = x.astype(np.int32), y.astype(np.int32)
    right, below = x - column.astype(np.float32), y - row.astype(np.float32)
    at = row * width + column
    both = right * below
    shares = ((0, 1 - right - below + both), (1, right - both), (width, below - both), (width + 1, both))
    colours = np.zeros((*at.shape, 3), dtype=np.float32)
    for channel in range(3):  # each by itself: a plane of bytes is read far quicker than one of triples
        flat = pixels[..., channel].ravel()
        for offset, share in shares:
            colours[..., channel] += flat[offset:].take(at) * share
    return colours


def to_pixels(colours: Floats) -> Pixels:
    pixels: Pixels = np.clip(colours + 0.5, 0, 255).astype(np.uint8)
    return pixels


def step(value: npt.NDArray[np.floating]) -> Floats:
    """0 below 0, 1 above 1, smooth between."""
    held = np.clip(value, 0, 1)
    return np.asarray(held * held * (3 - 2 * held), dtype=np.float32)


def sheet_coordinates() -> tuple[Floats, Floats]:
    columns, rows = round(REACH_U * CELLS), round((REACH_UP + REACH_DOWN) * CELLS)
    u = (np.arange(columns, dtype=np.float32) + 0.5) * (2 / CELLS) - REACH_U
    v = (np.arange(rows, dtype=np.float32) + 0.5) / CELLS - REACH_UP
    return np.broadcast_to(u, (rows, columns)), np.broadcast_to(v[:, None], (rows, columns))


def median(sheet: Floats, where: npt.NDArray[np.bool_]) -> Floats:
    return np.asarray(np.median(sheet[where], axis=0), dtype=np.float32)


def redness(colours: Floats) -> Floats:
    """How much of red and green is red: 0.5 for grey, more for lips than for the skin around them."""
    red, green = colours[..., 0], colours[..., 1]
    return np.asarray((red + 8) / (red + green + 16), dtype=np.float32)


def blurred(field: Floats) -> Floats:
    """Mean of 3 x 3 cells, channel by channel."""
    padded = np.pad(field, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9, dtype=np.float32)


def _down(value: float, most: int) -> int:
    return int(np.clip(value // 2 * 2, 0, most))
