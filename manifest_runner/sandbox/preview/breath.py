"""The head's slow rise and fall: the same portrait a little higher from rung to rung.

Motion is up and down only, and by parts of a pixel. So a plane is doubled once, with rows between its rows, and what
is drawn at any height is a mixture of two neighbouring rows of it: sharp enough, and cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from manifest_runner.sandbox.preview.picture import Frame, planes_of
from manifest_runner.sandbox.preview.sheet import Area, Floats, step

RUNGS = 16
PERIOD = 4.2  # seconds for one breath
HIGHEST = 0.007  # of the picture's shorter side
OF_FACE = 0.016  # and of the face's height


@dataclass(frozen=True, kw_only=True, slots=True)
class Breath:
    """`head` moves as a whole, by `rise` pixels at most; around it the movement fades out over `fading` pixels."""

    head: Area
    fading: float
    rise: float

    @classmethod
    def of(cls, head: Area, face_height: float, size: tuple[int, int]) -> Breath:
        return cls(head=head, fading=face_height * 0.6, rise=min(HIGHEST * min(size), OF_FACE * face_height))

    @property
    def reach(self) -> int:
        """Rows that what is drawn needs to spare around it; even."""
        return int(self.rise) // 2 * 2 + 4

    def rung_at(self, seconds: float) -> int:
        return round((1 - float(np.cos(2 * np.pi * seconds / PERIOD))) / 2 * (RUNGS - 1))

    def lift(self, rung: int) -> float:
        """How many pixels higher the head is."""
        return self.rise * rung / (RUNGS - 1)

    def weights(self, size: tuple[int, int]) -> tuple[Floats, Floats]:
        """How much of the movement each column and each row of luma takes part in; the product is a pixel's."""
        spans = ((self.head.left, self.head.right, size[0]), (self.head.top, self.head.bottom, size[1]))
        across, down = (
            step(1 - np.clip(np.maximum(start - at, at - stop), 0, None) / self.fading)
            for start, stop, length in spans
            for at in [np.arange(length, dtype=np.float32)]
        )
        return across, down


def doubled(plane: Frame) -> Frame:
    """The plane with a row between each two of its rows, shape (2 * rows, columns); rows stay as they were."""
    padded = np.pad(plane, ((1, 2), (0, 0)), mode="edge").astype(np.int16)
    between = (9 * (padded[1:-2] + padded[2:-1]) - padded[:-3] - padded[3:] + 8) >> 4
    both = np.empty((plane.shape[0] * 2, plane.shape[1]), dtype=np.uint8)
    both[0::2], both[1::2] = plane, np.clip(between, 0, 255)
    return both


def lifted(plane: Frame, lift: float, first: int, count: int) -> Frame:
    """`count` rows from row `first`, as they are when a doubled plane is lifted by this many of its plain rows."""
    whole, part = divmod(round(lift * 2 * 256), 256)
    start = 2 * first + whole
    upper = plane[start : start + 2 * count : 2].astype(np.uint16)
    if not part:
        return upper.astype(np.uint8)
    lower = plane[start + 1 : start + 1 + 2 * count : 2]
    mixed: Frame = ((upper * (256 - part) + lower * np.uint16(part) + 128) >> 8).astype(np.uint8)
    return mixed


def breathing(frame: Frame, breath: Breath) -> list[Frame]:
    """RUNGS frames, from the portrait as it is to the head at its highest."""
    rungs = [frame.copy() for _ in range(RUNGS)]
    height, width = frame.shape[0] * 2 // 3, frame.shape[1]
    across, down = breath.weights((width, height))
    for index, plane in enumerate(planes_of(frame)):
        scale = 1 if index == 0 else 2
        moving = np.flatnonzero(across[::scale]), np.flatnonzero(down[::scale])
        rows, columns = (slice(int(found[0]), int(found[-1]) + 1) for found in reversed(moving))
        part = doubled(plane[:, columns])
        # in 256ths of a doubled row, for a lift of one pixel of luma
        rate = down[::scale][rows, None] * across[::scale][None, columns] * (512 / scale)
        for rung in range(1, RUNGS):
            planes_of(rungs[rung])[index][rows, columns] = _waved(part, rows.start, rate * breath.lift(rung))
    return rungs


def _waved(plane: Frame, first: int, shift: Floats) -> Frame:
    """Rows of a doubled plane from plain row `first`, each pixel from `shift` 256ths of a doubled row below it."""
    count, width = shift.shape
    at = np.rint(shift).astype(np.int32)
    at += np.arange(first, first + count, dtype=np.int32)[:, None] * 512
    np.clip(at, 0, (plane.shape[0] - 2) * 256 + 255, out=at)
    part = (at & 255).astype(np.uint16)
    at >>= 8
    at *= width
    at += np.arange(width, dtype=np.int32)
    flat = plane.reshape(-1)
    mixed: Frame = (
        (flat.take(at) * (256 - part) + flat[width:].take(at) * part + np.uint16(128)) >> 8
    ).astype(np.uint8)
    return mixed
