"""Drawing a mouth that opens: the lower lip and the jaw move down, the upper lip a little up, and between them the
inside of a mouth appears, with teeth and a tongue.

Lengths are in widths of the mouth, along its own axes (`sheet.Axes`). With an opening of 0 the picture is left as
it is. Everything that is drawn takes its colours from the lips and the skin around, so a grey picture stays grey.
"""

from __future__ import annotations

import numpy as np

from manifest_runner.sandbox.preview.lips import Mouth
from manifest_runner.sandbox.preview.sheet import GREY, Area, Floats, Pixels, sampled, step, to_pixels

WIDEST = 0.33  # how far the lips part in the middle, at an opening of 1
WIDEST_SMILE = 0.25  # where teeth show already, the lips are apart to begin with
ROUNDNESS = 0.72  # of the parting: 1 is a parabola, 0.5 a half ellipse
PARTED_SIDES = 0.94  # half-widths: the corners themselves stay closed
UPPER_SHARE = 0.12  # of the parting that the upper lip takes
JAW_SIDES, JAW_DEEP = 1.1, 1.5  # how far the movement reaches: half-widths beyond the corners; widths down
NOSE = 0.42  # and widths up, where the upper lip's movement ends
FLESH = np.array([1, -0.42, -0.4], dtype=np.float32)  # from grey towards the inside of a mouth, RGB
UPPER_TEETH = 0.13  # height of those that are drawn when none show


def mouth_area(mouth: Mouth, size: tuple[int, int]) -> Area:
    """What an opening mouth can change in a picture of this size."""
    reach = 1 + JAW_SIDES
    corners = [mouth.axes.point(u, v) for u in (-reach, reach) for v in (-NOSE - 0.05, JAW_DEEP + 0.3)]
    return Area.around(corners, size)


def open_mouth(pixels: Pixels, mouth: Mouth, area: Area, opening: float) -> Pixels:
    """The pixels of the area, shape (height, width, 3), with the mouth open by 0 to 1 of the widest.

    `pixels` are those of the whole picture.
    """
    u, v = mouth.axes.coordinates(area.left, area.top, area.width, area.height)
    gap = opening * (WIDEST_SMILE if mouth.teeth_show else WIDEST)
    seam = mouth.seam_at(u)
    lip_drop = np.clip(1 - (u / PARTED_SIDES) ** 2, 0, None) ** ROUNDNESS
    parted = gap * lip_drop
    upper, lower = seam - UPPER_SHARE * parted, seam + (1 - UPPER_SHARE) * parted
    below = v > (upper + lower) / 2
    from_v = np.where(
        below, _jaw_source(u, v, seam, lip_drop, gap), _lip_source(v, seam, UPPER_SHARE * parted)
    )
    skin = sampled(pixels, mouth.axes, u, from_v)
    inside = _inside(mouth, u, v - upper, lower - v, parted)
    soft = 1.3 / mouth.axes.width  # edges a pixel or so wide
    shown = step((v - upper) / soft + 0.5) * step((lower - v) / soft + 0.5)
    shown *= step(parted / (2 * soft))  # towards the corners the gap is finer than a pixel
    return to_pixels(skin + (inside - skin) * shown[..., None])


def _jaw_source(u: Floats, v: Floats, seam: Floats, lip_drop: Floats, gap: float) -> Floats:
    """The v from which what now lies at v has come: found by trying, as the movement is known where it begins.

    What is near the lip moves with it, what is deeper moves as broadly as a jaw, and the neck rests.
    """
    jaw_drop = step(1 - (u / (1 + JAW_SIDES)) ** 2)
    source = v
    for _ in range(4):
        depth = source - seam
        deeper = step(depth / 0.5)
        drop = lip_drop + (jaw_drop - lip_drop) * deeper
        rest = 0.4 * step(depth / 0.7) + 0.6 * step((depth - 0.6) / (JAW_DEEP - 0.6))
        source = v - (gap * (1 - UPPER_SHARE)) * drop * (1 - rest)
    return np.maximum(source, seam)


def _lip_source(v: Floats, seam: Floats, rise: Floats) -> Floats:
    """The same for what lies above the seam; it moves so little that one try is enough."""
    nearness = 1 - step((seam - v) / NOSE)
    return np.minimum(v + rise * nearness, seam)


def _inside(mouth: Mouth, u: Floats, from_top: Floats, from_bottom: Floats, parted: Floats) -> Floats:
    """What is seen between the lips, RGB."""
    cavity = _flesh(mouth, light=0.17, tint=14)
    tongue = _flesh(mouth, light=0.55, tint=42)
    height = np.maximum(parted, 1e-3)
    low = np.clip(1 - from_bottom / height, 0, 1)
    on_tongue = step((low - 0.35) / 0.5) * step(1.4 - 2 * u**2) * step((parted - 0.06) / 0.12)
    colours = cavity + (tongue - cavity) * (0.9 * on_tongue)[..., None]
    if not mouth.teeth_show:
        long = np.minimum(UPPER_TEETH, 0.5 * parted) * np.sqrt(np.clip(1 - (u / 0.88) ** 2, 0, 1))
        soft = 0.02
        teeth = step((long - from_top) / soft) * step((parted - 0.05) / 0.08)
        gaps = 1 - 0.1 * np.abs(np.cos(u * (np.pi * 4))) ** 12  # eight teeth, told apart by a hint of shadow
        lit = (0.7 + 0.3 * step(from_top / 0.05)) * (1 - 0.4 * u**2) * gaps
        colours = colours + (_enamel(mouth) * lit[..., None] - colours) * (teeth * 0.95)[..., None]
    return np.asarray(colours, dtype=np.float32)


def _flesh(mouth: Mouth, *, light: float, tint: float) -> Floats:
    """Red of this strength, at this part of the lips' brightness; grey in a grey picture."""
    spread = max(float(np.ptp(mouth.lip)), float(np.ptp(mouth.skin)))
    coloured = tint * min(1.0, spread / 30)
    return np.asarray(float(mouth.lip @ GREY) * light + coloured * FLESH, dtype=np.float32)


def _enamel(mouth: Mouth) -> Floats:
    """Off-white: as bright as the picture's light allows, and a little of the skin's own tint."""
    light = float(np.clip(mouth.skin @ GREY * 1.1 + 20, 120, 228))
    tint = mouth.skin - float(mouth.skin @ GREY)
    return np.asarray(light + 0.25 * tint, dtype=np.float32)
