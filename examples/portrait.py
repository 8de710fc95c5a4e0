"""Draws the example portraits: flat illustrations of a person, head and shoulders, facing the camera.

Every shape is a smooth closed curve through a few points in a 720 x 960 space. It is filled as a mask four times as
large and scaled down at the end, which gives clean edges. `make_media.py` is the script to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

WIDTH, HEIGHT = 720, 960
SCALE = 4
MIDDLE = WIDTH / 2
NEARER, FLOOR = 1.1, 980  # the person is enlarged from the lower edge, to fill the frame

Point = tuple[float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who is drawn: colours, hair and clothes."""

    skin: Colour
    skin_shade: Colour
    lips: Colour
    hair: Colour
    hair_light: Colour
    iris: Colour
    coat: Colour
    coat_shade: Colour
    shirt: Colour
    backdrop: tuple[Colour, Colour]  # the light in the middle, and the corners
    glow: Colour
    long_hair: bool


PRESENTER = Person(
    skin=(240, 196, 168),
    skin_shade=(214, 157, 128),
    lips=(190, 84, 84),
    hair=(74, 44, 36),
    hair_light=(112, 70, 54),
    iris=(86, 62, 44),
    coat=(31, 94, 104),
    coat_shade=(22, 71, 81),
    shirt=(250, 244, 234),
    backdrop=((253, 244, 228), (222, 192, 156)),
    glow=(255, 246, 228),
    long_hair=True,
)
GUIDE = Person(
    skin=(166, 112, 80),
    skin_shade=(130, 82, 56),
    lips=(142, 72, 64),
    hair=(34, 28, 30),
    hair_light=(62, 52, 52),
    iris=(52, 36, 28),
    coat=(226, 160, 58),
    coat_shade=(194, 128, 38),
    shirt=(244, 240, 232),
    backdrop=((208, 230, 232), (120, 164, 178)),
    glow=(236, 247, 246),
    long_hair=False,
)


def draw(person: Person) -> Image.Image:
    """The portrait, 720 x 960 pixels, RGB."""
    canvas = Canvas(person)
    if person.long_hair:
        _hair_behind(canvas)
    body = _body(canvas)
    _neck(canvas)
    (_blazer if person.long_hair else _jumper)(canvas, body)
    _ears(canvas)
    face = _face(canvas)
    _eyes(canvas)
    _brows(canvas)
    _nose(canvas)
    _mouth(canvas)
    if person.long_hair:
        _long_fringe(canvas, face)
    else:
        _beard_shadow(canvas, face)
        _short_hair(canvas)
    return canvas.finished()


class Canvas:
    """A large picture that masks are painted onto."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self._image = _backdrop(person)

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


def _backdrop(person: Person) -> Image.Image:
    """A soft light behind the head that falls off towards the corners."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    distance = np.hypot((x - MIDDLE * 0.92) / 560, (y - 330) / 720)
    share = np.clip(distance, 0, 1)[..., None] ** 1.3
    near, far = (np.array(colour, dtype=float) for colour in person.backdrop)
    # A little grain keeps eight bits a channel from showing bands.
    grain = np.random.default_rng(7).normal(0, 0.35, (HEIGHT, WIDTH, 1))
    pixels = np.clip(near * (1 - share) + far * share + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((WIDTH * SCALE, HEIGHT * SCALE), Image.Resampling.BICUBIC)


def _hair_behind(canvas: Canvas) -> None:
    shape = symmetric(
        [
            (360, 178),
            (282, 190),
            (222, 244),
            (198, 340),
            (194, 450),
            (184, 560),
            (198, 624),
            (252, 648),
            (360, 652),
        ]
    )
    canvas.paint([(x + 6, y + 16) for x, y in shape], canvas.person.backdrop[1], opacity=0.6, soft=22)
    hair = canvas.paint(shape, canvas.person.hair)
    canvas.paint(oval(214, 470, 26, 190), canvas.person.hair_light, opacity=0.45, soft=14, within=hair)
    canvas.paint(oval(508, 470, 20, 190), canvas.person.hair_light, opacity=0.3, soft=14, within=hair)


def _body(canvas: Canvas) -> Image.Image:
    """Shoulders and chest. Gives back their mask, which the shadows of the clothes stay in."""
    shape = symmetric(
        [(360, 606), (296, 632), (216, 668), (138, 712), (98, 800), (76, 980), (76, 980), (360, 990)]
    )
    canvas.paint([(x, y - 8) for x, y in shape], canvas.person.backdrop[1], opacity=0.5, soft=20)
    body = canvas.paint(shape, canvas.person.coat)
    canvas.paint(oval(150, 900, 60, 190), canvas.person.coat_shade, opacity=0.8, soft=30, within=body)
    canvas.paint(oval(590, 900, 80, 200), canvas.person.coat_shade, opacity=0.9, soft=30, within=body)
    canvas.paint(oval(236, 690, 90, 24), canvas.person.shirt, opacity=0.16, soft=16, within=body)
    return body


def _neck(canvas: Canvas) -> None:
    skin, shade = canvas.person.skin, canvas.person.skin_shade
    wide = 0 if canvas.person.long_hair else 12
    half = [(360, 500), (302 - wide, 510), (304 - wide, 578), (294 - wide, 622), (264 - wide, 650)]
    half += [(302, 700), (360, 736 - 2 * wide)]
    neck = canvas.paint(symmetric(half), skin)
    canvas.paint(oval(366, 556, 96, 56), shade, opacity=0.85, soft=14, within=neck)
    canvas.paint(oval(424, 610, 20, 90), shade, opacity=0.4, soft=12, within=neck)


def _jumper(canvas: Canvas, body: Image.Image) -> None:
    """A round collar: a band between two curves, in two halves that meet on the axis."""
    person = canvas.person
    upper = [(282, 628), (282, 628), (292, 662), (322, 690), (360, 698)]
    lower = [(360, 728), (310, 718), (268, 684), (252, 646), (252, 646)]
    band = [*upper, *mirrored(upper)[1:], *mirrored(lower)[:-1], *lower]
    canvas.paint([(x, y + 5) for x, y in band], person.coat_shade, opacity=0.7, soft=5, within=body)
    collar = canvas.paint(band, person.coat)
    canvas.paint([(x, y + 12) for x, y in band], person.coat_shade, opacity=0.55, soft=5, within=collar)


def _blazer(canvas: Canvas, body: Image.Image) -> None:
    person = canvas.person
    shirt = [(306, 632), (286, 670), (318, 770), (360, 880), (402, 770), (434, 670), (414, 632), (360, 724)]
    canvas.paint(shirt, person.shirt)
    lapel = [(290, 628), (290, 628), (254, 658), (232, 742), (232, 742), (278, 752), (266, 782), (266, 782)]
    lapel += [(360, 966), (360, 966), (318, 772)]
    for side in (lapel, mirrored(lapel)):
        canvas.paint([(x, y + 6) for x, y in side], person.coat_shade, opacity=0.9, soft=6, within=body)
        mask = canvas.paint(side, person.coat)
        canvas.paint(oval(360, 850, 40, 150), person.coat_shade, opacity=0.5, soft=16, within=mask)


def _ears(canvas: Canvas) -> None:
    for side in (-1, 1):
        x = MIDDLE + side * 122
        ear = canvas.paint(oval(x, 416, 20, 34), canvas.person.skin)
        canvas.paint(
            oval(x - side * 4, 420, 11, 20), canvas.person.skin_shade, opacity=0.6, soft=4, within=ear
        )


def _face(canvas: Canvas) -> Image.Image:
    person = canvas.person
    jaw = 0 if person.long_hair else 10  # a wider jaw
    face = canvas.paint(
        symmetric(
            [
                (360, 232),
                (290, 244),
                (246, 306),
                (238, 396),
                (247 - jaw, 464),
                (276 - jaw, 522),
                (318 - jaw / 2, 560),
                (360, 572),
            ]
        ),
        person.skin,
    )
    canvas.paint(oval(492, 440, 52, 190), person.skin_shade, opacity=0.5, soft=22, within=face)
    canvas.paint(oval(360, 588, 100, 26), person.skin_shade, opacity=0.45, soft=14, within=face)
    for side in (-1, 1):
        canvas.paint(oval(MIDDLE + side * 72, 470, 30, 20), person.lips, opacity=0.26, soft=12, within=face)
    canvas.paint(oval(318, 300, 60, 40), person.glow, opacity=0.22, soft=20, within=face)
    return face


def _eyes(canvas: Canvas) -> None:
    person = canvas.person
    red, green, blue = (value // 2 for value in person.hair)
    for side in (-1, 1):
        x = MIDDLE + side * 54
        canvas.paint(oval(x, 402, 38, 24), person.skin_shade, opacity=0.35, soft=8)
        outline = [(x - side * 29, 412), (x - side * 14, 400), (x + side * 5, 396), (x + side * 30, 406)]
        outline += [(x + side * 15, 418), (x - side * 10, 419)]
        white = canvas.paint(outline, (252, 249, 245))
        canvas.paint(oval(x, 407, 15, 15), person.iris, within=white)
        canvas.paint(oval(x, 412, 10, 8), person.hair_light, opacity=0.6, soft=3, within=white)
        canvas.paint(oval(x, 407, 7, 7), (18, 14, 14), within=white)
        canvas.paint(oval(x, 397, 32, 7), person.skin_shade, opacity=0.55, soft=3, within=white)
        canvas.paint(oval(x - 5, 402, 3.6, 3.6), (255, 255, 255))
        lash = [(x - side * 30, 414), (x - side * 14, 400), (x + side * 5, 395), (x + side * 34, 404)]
        thick = 5.5 if person.long_hair else 3
        lash += [(x + side * 37, 400), (x + side * 6, 395 - thick), (x - side * 15, 400 - thick)]
        canvas.paint(lash, (red, green, blue))
        fold = [(x - side * 24, 393), (x + side * 4, 383), (x + side * 32, 391), (x + side * 4, 386)]
        canvas.paint(fold, person.skin_shade, opacity=0.9)


def _brows(canvas: Canvas) -> None:
    heavy = 3.5 if canvas.person.long_hair else 7
    for side in (-1, 1):
        x = MIDDLE + side * 54
        brow = [(x - side * 30, 364), (x, 354), (x + side * 24, 357), (x + side * 43, 372)]
        brow += [(x + side * 22, 360 + heavy), (x, 359 + heavy), (x - side * 30, 367 + heavy)]
        canvas.paint(brow, canvas.person.hair, opacity=0.92)


def _nose(canvas: Canvas) -> None:
    shade = canvas.person.skin_shade
    canvas.paint(oval(374, 440, 9, 36), shade, opacity=0.5, soft=7)
    canvas.paint(oval(354, 446, 8, 26), canvas.person.glow, opacity=0.3, soft=6)
    canvas.paint([(338, 468), (348, 478), (360, 481), (372, 478), (383, 467), (374, 485), (346, 485)], shade)
    canvas.paint(oval(360, 466, 16, 11), canvas.person.skin, opacity=0.7, soft=4)


def _mouth(canvas: Canvas) -> None:
    person = canvas.person
    canvas.paint(oval(360, 544, 30, 7), person.skin_shade, opacity=0.6, soft=6)
    lips = [(309, 504), (336, 505), (351, 503), (360, 506), (369, 503), (384, 505), (411, 504)]
    lips += [(388, 524), (360, 532), (332, 524)]
    mask = canvas.paint(lips, person.lips)
    canvas.paint(
        [(315, 506), (344, 511), (360, 513), (376, 511), (405, 506), (380, 521), (340, 521)], (122, 44, 46)
    )
    teeth = [(323, 508), (345, 511), (360, 512.5), (375, 511), (397, 508), (377, 518.5), (343, 518.5)]
    canvas.paint(teeth, (250, 244, 238), within=mask)
    canvas.paint(oval(354, 526, 18, 2.6), (255, 255, 255), opacity=0.3, soft=3, within=mask)
    for side in (-1, 1):
        canvas.paint(oval(MIDDLE + side * 55, 503, 5, 6), person.skin_shade, opacity=0.7, soft=3)


def _long_fringe(canvas: Canvas, face: Image.Image) -> None:
    person = canvas.person
    left = [(392, 206), (318, 196), (250, 236), (218, 320), (214, 430), (222, 520), (240, 560), (250, 500)]
    left += [(248, 420), (262, 352), (304, 300), (362, 262)]
    right = [(392, 206), (440, 214), (486, 262), (504, 350), (506, 450), (496, 540), (478, 566), (472, 490)]
    right += [(474, 420), (466, 350), (434, 296), (380, 256)]
    for lock in (left, right):
        canvas.paint([(x, y + 9) for x, y in lock], person.skin_shade, opacity=0.7, soft=7, within=face)
    for lock in (left, right):
        mask = canvas.paint(lock, person.hair)
        canvas.paint(oval(300, 258, 70, 22), person.hair_light, opacity=0.8, soft=12, within=mask)
        canvas.paint(oval(468, 290, 22, 60), person.hair_light, opacity=0.5, soft=12, within=mask)


def _short_hair(canvas: Canvas) -> None:
    person = canvas.person
    hair = [(238, 404), (232, 340), (232, 270), (272, 206), (340, 178), (414, 184), (470, 222), (490, 290)]
    hair += [
        (487, 350),
        (482, 404),
        (472, 352),
        (462, 312),
        (424, 284),
        (360, 290),
        (300, 280),
        (262, 312),
        (248, 356),
    ]
    mask = canvas.paint(hair, person.hair)
    canvas.paint(oval(312, 222, 70, 20), person.hair_light, opacity=0.9, soft=12, within=mask)


def _beard_shadow(canvas: Canvas, face: Image.Image) -> None:
    """A short beard along the jaw and above the lip, leaving the mouth free."""
    jaw = [(214, 392), (214, 500), (270, 570), (360, 600), (450, 570), (506, 500), (506, 392), (478, 392)]
    jaw += [(470, 440), (452, 482), (420, 494), (384, 489), (360, 492), (336, 489), (300, 494), (268, 482)]
    jaw += [(250, 440), (242, 392)]
    mouth = canvas.mask(
        [(302, 503), (330, 500), (360, 502), (390, 500), (418, 503), (394, 530), (360, 540), (326, 530)]
    )
    beard = ImageChops.subtract(blurred(canvas.mask(jaw), 1.5), blurred(mouth, 1.5))
    canvas.paint(beard, canvas.person.hair, opacity=0.88, within=face)
    canvas.paint(oval(330, 566, 60, 16), canvas.person.hair_light, opacity=0.4, soft=10, within=face)
