"""A canvas for soft, clean-edged shapes.

Every shape is a smooth closed curve through a few points in a 720 x 960 space. It is filled as a mask four times as
large and scaled down at the end, which gives clean edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from studio.people import Colour, Person

WIDTH, HEIGHT = 720, 960
SCALE = 4
MIDDLE = WIDTH / 2
NEARER, FLOOR = 1.1, 980  # the person is enlarged from the lower edge, to fill the frame

Point = tuple[float, float]


class Canvas:
    """A large picture that masks are painted onto."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self._image = backdrop(person)

    def mask(self, points: Sequence[Point]) -> Image.Image:
        """A filled smooth curve through `points`."""
        mask = Image.new("L", (WIDTH * SCALE, HEIGHT * SCALE), 0)
        curve = [
            ((MIDDLE + (x - MIDDLE) * NEARER) * SCALE, (FLOOR + (y - FLOOR) * NEARER) * SCALE)
            for x, y in smooth(points)
        ]
        ImageDraw.Draw(mask).polygon(curve, fill=255)
        return mask

    def paint(
        self,
        shape: Sequence[Point] | Image.Image,
        colour: Colour,
        *,
        opacity: float = 1.0,
        soft: float = 0,
        within: Image.Image | None = None,
    ) -> Image.Image:
        """Fill a shape: blurred by `soft` pixels, cut to the mask `within`. Gives back the mask it painted."""
        mask = shape if isinstance(shape, Image.Image) else self.mask(shape)
        if soft:
            mask = blurred(mask, soft)
        if within is not None:
            mask = ImageChops.multiply(mask, within)
        if opacity < 1:
            mask = mask.point(lambda value: round(value * opacity))
        self._image.paste(colour, (0, 0), mask)
        return mask

    def finished(self) -> Image.Image:
        return self._image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def smooth(points: Sequence[Point], steps: int = 24) -> list[Point]:
    """A closed Catmull-Rom curve through `points`; a point given twice in a row makes a corner."""
    knots = np.array(points, dtype=float)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    before, start, end, after = (np.roll(knots, shift, axis=0)[:, None, :] for shift in (1, 0, -1, -2))
    slope_in, slope_out = (end - before) / 2, (after - start) / 2
    # At a corner the curve stops for a moment: a slope there would swing it out beyond the point.
    slope_in[(before == start).all(axis=-1) | (start == end).all(axis=-1)] = 0
    slope_out[(start == end).all(axis=-1) | (end == after).all(axis=-1)] = 0
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * start
        + (t**3 - 2 * t**2 + t) * slope_in
        + (3 * t**2 - 2 * t**3) * end
        + (t**3 - t**2) * slope_out
    )
    return [(float(x), float(y)) for x, y in curve.reshape(-1, 2)]


def oval(x: float, y: float, across: float, down: float) -> list[Point]:
    """Points of an ellipse around (x, y), by its two radii."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(x + across * float(np.cos(a)), y + down * float(np.sin(a))) for a in angles]


def mirrored(points: Sequence[Point]) -> list[Point]:
    """The same shape on the other side of the face."""
    return [(2 * MIDDLE - x, y) for x, y in reversed(points)]


def symmetric(left_half: Sequence[Point]) -> list[Point]:
    """A closed shape from its left half, given from top to bottom; points on the axis are not doubled."""
    return [*left_half, *[point for point in mirrored(left_half) if abs(point[0] - MIDDLE) > 0.5]]


def blurred(mask: Image.Image, radius: float) -> Image.Image:
    """Blurred at an eighth of the size: as smooth to the eye, and much quicker."""
    small = mask.resize((mask.width // 8, mask.height // 8), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(radius * SCALE / 8))
    return small.resize(mask.size, Image.Resampling.BICUBIC)


def backdrop(person: Person) -> Image.Image:
    """A soft light behind the head that falls off towards the corners."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    distance = np.hypot((x - MIDDLE * 0.92) / 560, (y - 330) / 720)
    share = np.clip(distance, 0, 1)[..., None] ** 1.3
    near, far = (np.array(colour, dtype=float) for colour in person.backdrop)
    # A little grain keeps eight bits a channel from showing bands.
    grain = np.random.default_rng(7).normal(0, 0.35, (HEIGHT, WIDTH, 1))
    pixels = np.clip(near * (1 - share) + far * share + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((WIDTH * SCALE, HEIGHT * SCALE), Image.Resampling.BICUBIC)
