"""Looking closely at a mouth: where it ends, where the lips part, which colours are there.

A finder of faces says where a mouth is to within a tenth of its width; what is drawn has to fit better than that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from manifest_runner.sandbox.preview.face import Point
from manifest_runner.sandbox.preview.sheet import (
    CELLS,
    GREY,
    Axes,
    Floats,
    blurred,
    median,
    redness,
    sheet_coordinates,
)

DEFAULT_SAG = 0.05  # widths: how far the middle of lips that can't be made out lies below their corners


@dataclass(frozen=True, kw_only=True, slots=True)
class Mouth:
    """`seam`: the line along which the lips part, as v = seam(u), a polynomial's coefficients, highest first.

    It runs below teeth that show, so that they stay with the upper lip. Colours are RGB.
    """

    axes: Axes
    seam: Floats
    teeth_show: bool
    lip: Floats
    skin: Floats

    def seam_at(self, u: Floats) -> Floats:
        return np.asarray(np.polyval(self.seam, np.clip(u, -1, 1)), dtype=np.float32)


def look_at_mouth(portrait: Image.Image, left: Point, right: Point, *, exact: bool) -> Mouth:
    """The mouth between these corners; unless they are `exact`, they are moved to where the lips end."""
    axes = Axes.between(left, right)
    if not exact:
        axes = _with_real_corners(axes, axes.sheet(portrait))
    sheet = axes.sheet(portrait)
    u, v = sheet_coordinates()
    seam = _seam(sheet, u, v)
    bottom = np.polyval(seam, np.clip(u, -1, 1))
    middle = np.abs(u) < 0.45
    skin, lip = _skin(sheet, u, v), median(sheet, middle & (v > bottom + 0.03) & (v < bottom + 0.10))
    above = sheet[middle & (v > bottom - 0.12) & (v < bottom - 0.03)]
    teeth_show = bool(_teeth(above, skin).mean() > 0.4)
    return Mouth(axes=axes, seam=seam, teeth_show=teeth_show, lip=lip, skin=skin)


def _skin(sheet: Floats, u: Floats, v: Floats) -> Floats:
    cheeks = (np.abs(u) > 1.3) & (np.abs(v) < 0.2)
    chin = (np.abs(u) < 0.5) & (v > 0.5) & (v < 0.65)
    return median(sheet, cheeks | chin)


def _teeth(colours: Floats, skin: Floats) -> npt.NDArray[np.bool_]:
    """Where it is as bright as skin and less red."""
    bright = colours @ GREY > 0.85 * float(skin @ GREY)
    return np.asarray(bright & (redness(colours) < redness(skin) - 0.005))


def _with_real_corners(axes: Axes, sheet: Floats) -> Axes:
    """Corners moved, by a fifth of the width at most, to where what is not skin ends."""
    u, v = sheet_coordinates()
    skin = _skin(sheet, u, v)
    strange = np.abs(blurred(sheet - skin)).sum(axis=2) + 400 * np.abs(redness(sheet) - redness(skin))
    band = np.where((v > -0.12) & (v < 0.14), strange, 0)
    across = band.max(axis=0)
    mouth = across > 0.4 * float(np.percentile(across[np.abs(u[0]) < 0.85], 90))
    ends = []
    for side in (-1, 1):
        reach = side * u[0]
        ours = np.flatnonzero(mouth & (reach > 0.75) & (reach < 1.25))
        if not ours.size or mouth[(reach > 1.25)].mean() > 0.8:
            return axes  # what is not skin goes on and on: a beard, or a hand
        column = int(ours.max() if side > 0 else ours.min())
        row = int(np.argmax(band[:, column]))
        ends.append(axes.point(float(u[0, column]), float(np.clip(v[row, 0], -0.1, 0.1))))
    return Axes.between(*ends)


def _seam(sheet: Floats, u: Floats, v: Floats) -> Floats:
    """The best way from corner to corner: along dark lines, and along the upper edges of lower lips."""
    light, red = blurred(sheet) @ GREY, blurred(redness(sheet)[..., None])[..., 0]
    near, far = 3, 7  # rows: what lies within an edge, and beyond a line
    dark = np.clip(np.minimum(_shifted(light, far), _shifted(light, -far)) - light, 0, None)
    lip_above = np.maximum.accumulate(red, axis=0)
    skin_red = float(np.median(red[np.abs(u) > 1.3]))
    lip_red = float(np.percentile(red[(np.abs(u) < 0.8) & (np.abs(v) < 0.3)], 95))
    was_lip = np.clip((_shifted(lip_above, -far) - skin_red) / max(lip_red - skin_red, 1e-3), 0, 1)
    edge = np.clip(_shifted(red, near) - _shifted(red, -near), 0, None) * was_lip
    teeth = _teeth(sheet, _skin(sheet, u, v)) & (np.abs(u) < 0.9) & (v > -0.15) & (v < 0.35)
    teeth_below = np.cumsum(teeth[::-1], axis=0)[::-1] / (0.05 * CELLS)
    inside = np.abs(u[0]) <= 1
    room = 0.08 + 0.24 * (1 - u**2)  # far from the corners a seam may lie lower, at them it can't
    worth = (
        dark / max(float(np.percentile(dark, 99)), 12.0)
        + 1.3 * edge / max(float(np.percentile(edge, 99)), 0.01)
        - ((v - DEFAULT_SAG * 1.5 * (1 - u**2)) / room) ** 2
        - np.clip(teeth_below, 0, 1.5)
    )[:, inside]
    rows = _best_way(worth)
    found_u, found_v = u[0, inside], v[rows, 0]
    weights = np.clip(worth[rows, np.arange(rows.size)], 0, None) + 0.05
    basis = np.stack([found_u**4, found_u**2, found_u, np.ones_like(found_u)], axis=1)
    fourth, second, slope, middle = np.linalg.lstsq(basis * weights[:, None], found_v * weights, rcond=None)[
        0
    ]
    if np.abs(basis @ (fourth, second, slope, middle)).max() > 0.4:  # no line that lips have
        fourth, second, slope, middle = 0, -DEFAULT_SAG, 0, DEFAULT_SAG
    return np.array([fourth, 0, second, slope, middle], dtype=np.float32)


def _best_way(worth: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """The row for each column that makes the sum the greatest, one row up or down from column to column."""
    rows, columns = worth.shape
    total, came_from = worth[:, 0].copy(), np.zeros((columns, rows), dtype=np.intp)
    for column in range(1, columns):
        padded = np.pad(total, 1, constant_values=-np.inf)
        steps = np.stack([padded[1:-1], padded[:-2], padded[2:]])  # straight on wins where all are equal
        choice = steps.argmax(axis=0)
        came_from[column] = np.arange(rows) + np.array([0, -1, 1])[choice]
        total = steps.max(axis=0) + worth[:, column]
    way = np.zeros(columns, dtype=np.intp)
    way[-1] = int(total.argmax())
    for column in range(columns - 1, 0, -1):
        way[column - 1] = came_from[column, way[column]]
    return way


def _shifted(field: Floats, rows: int) -> Floats:
    """The value so many rows further down; that of the last row beyond it."""
    index = np.clip(np.arange(field.shape[0]) + rows, 0, field.shape[0] - 1)
    return field[index]
