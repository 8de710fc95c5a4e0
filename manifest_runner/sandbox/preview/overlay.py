"""What lies over every frame and does not move with it, mixed into the encoder's planes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from manifest_runner.sandbox.preview.picture import Frame, planes_of, to_frame


@dataclass(frozen=True, slots=True)
class Overlay:
    """Marks as they lie over a frame: for each plane what is kept of 256 parts, and what is added, times 256."""

    kept: tuple[npt.NDArray[np.uint16], ...]
    added: tuple[npt.NDArray[np.uint16], ...]

    @classmethod
    def of(cls, marks: Image.Image) -> Overlay:
        alpha = marks.getchannel("A")
        colours = planes_of(to_frame(np.asarray(marks.convert("RGB"))))
        kept, added = [], []
        for plane, cover in zip(colours, (alpha, alpha.reduce(2), alpha.reduce(2)), strict=True):
            part = (np.asarray(cover, dtype=np.uint32) * 257 + 128) // 256
            kept.append((256 - part).astype(np.uint16))
            added.append((plane * part + 128).astype(np.uint16))
        return cls(tuple(kept), tuple(added))

    def over(self, plane: Frame, index: int, top: int = 0, left: int = 0) -> Frame:
        """A part of plane `index` that begins at this row and column, with the marks over it."""
        here = (slice(top, top + plane.shape[0]), slice(left, left + plane.shape[1]))
        if (self.kept[index][here] == 256).all():
            return plane
        marked: Frame = ((plane * self.kept[index][here] + self.added[index][here]) >> 8).astype(np.uint8)
        return marked
