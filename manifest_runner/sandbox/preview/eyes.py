"""Eyes that blink: how far each is open is read from the portrait, then the skin above is stretched down over it.

The lash line travels down with the lid, so a closed eye ends in lashes, in photographs and drawings alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from manifest_runner.sandbox.preview.face import Point
from manifest_runner.sandbox.preview.sheet import (
    Area,
    Axes,
    Floats,
    Pixels,
    blurred,
    median,
    redness,
    sampled,
    sheet_coordinates,
    step,
    to_pixels,
)

EYE_WIDTH = 0.5  # of the distance of the eyes: what a sheet is scaled for, more or less
TALLEST, LEAST = 0.34, 0.1  # in eye widths, from the middle to a lid
LID = 0.19  # eye widths of skin above the lashes that are stretched; the brow above stays
LASHES = 0.07
MOST_STRANGE, EDGE, GAP = (
    200.0,
    0.45,
    3,
)  # distance from skin that counts no more; part of it at an edge; cells


@dataclass(frozen=True, kw_only=True, slots=True)
class Eye:
    """An eye in its axes: its middle, how far it reaches to each side (half-widths), and to each lid (widths)."""

    axes: Axes
    u: float
    v: float
    reach: float
    height: float

    def lids(self, u: Floats) -> tuple[Floats, Floats]:
        """Where the upper edge of the lashes and the lower lid lie at each u; they meet at the eye's ends."""
        bulge = np.clip(1 - ((u - self.u) / self.reach) ** 2, 0, None) ** 0.8
        ends = self.v + 0.35 * self.height
        return ends - 1.35 * self.height * bulge, ends + 0.65 * self.height * bulge


def look_at_eyes(portrait: Image.Image, eyes: tuple[Point, Point]) -> tuple[Eye, Eye]:
    between = Axes.between(*eyes)
    left, right = (
        _look_at_eye(portrait, Axes(centre=eye, width=max(1.0, between.width * EYE_WIDTH), tilt=between.tilt))
        for eye in eyes
    )
    return left, right


def _look_at_eye(portrait: Image.Image, axes: Axes) -> Eye:
    sheet = axes.sheet(portrait)
    u, v = sheet_coordinates()
    skin = median(sheet, (np.abs(u) < 0.9) & (v > 0.45) & (v < 0.65))
    strange = np.abs(blurred(sheet - skin)).sum(axis=2) + 400 * np.abs(redness(sheet) - redness(skin))
    near = (np.abs(u) < 0.8) & (np.abs(v) < 0.3)
    cap = min(MOST_STRANGE, float(np.percentile(strange[near], 90)))  # or the iris would outweigh the white
    held = np.minimum(strange, cap)
    middle_u, middle_v = _middle(held, u, v)
    rows = held[:, np.abs(u[0] - middle_u) < 0.35].mean(axis=1)
    top, bottom = _run(rows, v[:, 0], middle_v, within=TALLEST, least=EDGE * cap)
    columns = held[(v[:, 0] > (top + bottom) / 2 - 0.06) & (v[:, 0] < (top + bottom) / 2 + 0.1)].max(axis=0)
    start, end = _run(columns, u[0], middle_u, within=1.3, least=EDGE * cap)
    return Eye(
        axes=axes,
        u=float(np.clip((start + end) / 2, middle_u - 0.2, middle_u + 0.2)),
        v=(top + bottom) / 2,
        reach=float(np.clip((end - start) / 2 + 0.06, 0.8, 1.3)),
        height=float(np.clip((bottom - top) / 2, LEAST, TALLEST)),
    )


def _middle(strange: Floats, u: Floats, v: Floats) -> tuple[float, float]:
    """Where what is not skin gathers around; found by moving a window of an eye's size to its own middle."""
    middle_u, middle_v = 0.0, 0.0
    for _ in range(6):
        inside = (np.abs(u - middle_u) < 1.0) & (np.abs(v - middle_v) < 0.28)
        weights = strange[inside] ** 2 + 1e-6
        middle_u = float(np.clip(np.average(u[inside], weights=weights), -0.35, 0.35))
        middle_v = float(np.clip(np.average(v[inside], weights=weights), -0.2, 0.2))
    return middle_u, middle_v


def _run(profile: Floats, places: Floats, near: float, *, within: float, least: float) -> tuple[float, float]:
    """From where to where the values around `near` are high; gaps of a few cells count as high."""
    high = places[(profile > least) & (np.abs(places - near) < within)]
    if not high.size:
        return near - within / 2, near + within / 2
    runs = np.split(high, np.flatnonzero(np.diff(high) > GAP * float(places[1] - places[0])) + 1)
    best = min(runs, key=lambda run: (max(run[0] - near, near - run[-1], 0.0), -run.size))
    return float(best[0]), float(best[-1])


def eye_area(eye: Eye, size: tuple[int, int]) -> Area:
    """What a closing eye can change in a picture of this size."""
    u = (eye.u - eye.reach - 0.1, eye.u + eye.reach + 0.1)
    v = (eye.v - eye.height - LID - 0.1, eye.v + eye.height + LASHES + 0.1)
    return Area.around([eye.axes.point(x, y) for x in u for y in v], size)


def close_eye(pixels: Pixels, eye: Eye, area: Area, closed: float) -> Pixels:
    """The pixels of the area with the eye closed by 0 to 1. `pixels` are those of the whole picture."""
    u, v = eye.axes.coordinates(area.left, area.top, area.width, area.height)
    upper, lower = eye.lids(u)
    drop = closed * (lower - upper)
    edge, brow = upper + drop, upper - LID
    stretched = brow + (v - brow) * (LID / (LID + drop))
    source = np.where(v < edge, np.where(v < brow, v, stretched), v - drop)
    skin = sampled(pixels, eye.axes, u, source)
    here = pixels[area.top : area.bottom, area.left : area.right].astype(np.float32)
    soft = 1.5 / eye.axes.width
    lid = step((edge + LASHES - v) / soft + 0.5) * step(drop / soft)
    darker = 1 - 0.35 * step(1 - np.abs(v - edge - LASHES / 2) / LASHES) * step(drop / (3 * soft))
    return to_pixels(here + (skin * darker[..., None] - here) * lid[..., None])
