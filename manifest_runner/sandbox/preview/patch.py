"""Parts of a portrait that take turns, as the encoder's planes, to be laid into a frame at any height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from manifest_runner.sandbox.preview.breath import doubled, lifted
from manifest_runner.sandbox.preview.overlay import Overlay
from manifest_runner.sandbox.preview.picture import Frame, planes_of, to_frame
from manifest_runner.sandbox.preview.sheet import Area, Pixels

ROWS, COLUMNS = 4, 16  # of surroundings that colour conversion and the rows between rows look at


@dataclass(frozen=True, slots=True)
class Patch:
    """`area`: what it covers of a frame; `planes`: Y, U and V, doubled, with rows to spare below."""

    area: Area
    planes: tuple[Frame, ...]

    def lay(self, frame: Frame, overlay: Overlay, lift: float) -> None:
        """Draw it, under the marks, into a frame whose head is lifted by so many pixels."""
        for index, (plane, target) in enumerate(zip(self.planes, planes_of(frame), strict=True)):
            scale = 1 if index == 0 else 2
            top, left = self.area.top // scale, self.area.left // scale
            drawn = lifted(plane, lift / scale, 0, self.area.height // scale)
            here = target[top : top + drawn.shape[0], left : left + drawn.shape[1]]
            here[:] = overlay.over(drawn, index, top, left)


def cut_patch(pixels: Pixels, area: Area, drawn: Pixels, reach: int) -> Patch:
    """The portrait with `drawn` in its area, as a patch that can be lifted by up to `reach` (even) pixels."""
    height, width = pixels.shape[:2]
    laid = Area(
        left=area.left,
        top=max(0, area.top - reach),
        width=area.width,
        height=area.bottom - max(0, area.top - reach),
    )
    top, left = max(0, laid.top - ROWS), max(0, laid.left - COLUMNS)
    bottom, right = min(height, area.bottom + reach + ROWS), min(width, area.right + COLUMNS)
    cut = pixels[top:bottom, left:right].copy()
    cut[area.top - top : area.bottom - top, area.left - left : area.right - left] = drawn
    planes = []
    for index, plane in enumerate(planes_of(to_frame(cut))):
        scale = 1 if index == 0 else 2
        first, column = (laid.top - top) // scale, (area.left - left) // scale
        part = plane[:, column : column + area.width // scale]
        missing = max(0, (laid.height + reach) // scale - (part.shape[0] - first))
        planes.append(doubled(np.pad(part, ((0, missing), (0, 0)), mode="edge"))[2 * first :].copy())
    return Patch(laid, tuple(planes))
