"""Draws the example portraits: flat illustrations of a person, head and shoulders, facing the camera."""

from __future__ import annotations

from PIL import Image, ImageChops

from studio.canvas import MIDDLE, Canvas, blurred, mirrored, oval, symmetric
from studio.people import Person


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
