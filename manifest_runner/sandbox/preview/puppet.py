"""A portrait that speaks: its mouth opens, its eyes blink, its head rises and falls with its breath.

What moves is drawn once, as a ladder of small patches; a frame is a copy of one rung of the breath with patches laid
in. Laid in at any height, a patch fits what is around it, as the head moves as a whole.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from manifest_runner.sandbox.preview.breath import Breath, breathing
from manifest_runner.sandbox.preview.eyes import close_eye, eye_area, look_at_eyes
from manifest_runner.sandbox.preview.face import Face, Point
from manifest_runner.sandbox.preview.lips import Mouth
from manifest_runner.sandbox.preview.mouth import mouth_area, open_mouth
from manifest_runner.sandbox.preview.opening import Levels
from manifest_runner.sandbox.preview.overlay import Overlay
from manifest_runner.sandbox.preview.patch import Patch, cut_patch
from manifest_runner.sandbox.preview.picture import Frame, draw_marks, planes_of, to_frame
from manifest_runner.sandbox.preview.sheet import Area, Pixels
from manifest_runner.sandbox.sound import FRAME_RATE

OPENINGS = 12  # rungs of the mouth's ladder; a closed mouth is the portrait itself
LIDS = (0.55, 1.0)  # how far eyes are closed, on the rungs of their ladder
BLINK = (1, 2, 2, 1)  # the rungs of a blink, picture by picture
BLINK_PAUSE = (2.5, 5.0)  # seconds from blink to blink
FACE_OF_MOUTH = 3.2  # a face's height in widths of its mouth, where only the mouth is known

Rungs = npt.NDArray[np.uint8]


class Puppet:
    """The frames of one preview. `openings`: 0 to 1 for each picture; `blinks`: a rung of the lids for each."""

    def __init__(
        self,
        portrait: Image.Image,
        mouth: Mouth,
        face: Face | None,
        *,
        openings: Levels,
        blinks: Rungs,
        watermark: bool,
    ) -> None:
        self._openings, self._blinks = np.rint(openings * OPENINGS).astype(int), blinks
        pixels = np.asarray(portrait)
        area = mouth_area(mouth, portrait.size)
        self._breath = _breath(area, mouth, face, portrait.size)
        self._overlay = Overlay.of(draw_marks(portrait.size, watermark=watermark, meter=False))
        reach = self._breath.reach
        self._lids = [] if face is None else list(_lids(portrait, pixels, face, area, reach))

        @cache
        def mouth_patch(rung: int) -> Patch:
            return cut_patch(pixels, area, open_mouth(pixels, mouth, area, rung / OPENINGS), reach)

        self._mouth_patch = mouth_patch
        self._rungs = breathing(to_frame(pixels), self._breath)
        for rung in self._rungs:
            for index, plane in enumerate(planes_of(rung)):
                plane[:] = self._overlay.over(plane, index)

    def frame(self, index: int) -> Frame:
        """The picture of this number, of whose memory the caller may do as it likes."""
        rung = self._breath.rung_at(index / FRAME_RATE)
        frame, lift = self._rungs[rung].copy(), self._breath.lift(rung)
        if self._openings[index]:
            self._mouth_patch(int(self._openings[index])).lay(frame, self._overlay, lift)
        if self._blinks[index]:
            for ladder in self._lids:
                ladder[self._blinks[index] - 1].lay(frame, self._overlay, lift)
        return frame


def _breath(area: Area, mouth: Mouth, face: Face | None, size: tuple[int, int]) -> Breath:
    """The whole head, as far as it is known, with room for what is laid into it."""
    corners: list[Point] = [(area.left, area.top - 16.0), (area.right, area.bottom + 16.0)]
    if face is None:
        return Breath.of(Area.around(corners, size), FACE_OF_MOUTH * mouth.axes.width, size)
    margin = face.width * 0.15
    corners.append((face.left - margin, face.top - margin))
    corners.append((face.left + face.width + margin, face.top + face.height))
    return Breath.of(Area.around(corners, size), face.height, size)


def _lids(
    portrait: Image.Image, pixels: Pixels, face: Face, mouth: Area, reach: int
) -> Iterator[list[Patch]]:
    """For each eye its ladder; none for an eye that lies where the mouth moves."""
    for eye in look_at_eyes(portrait, face.eyes):
        area = eye_area(eye, portrait.size).above(mouth.top - reach)
        if area.width and area.height:
            yield [cut_patch(pixels, area, close_eye(pixels, eye, area, closed), reach) for closed in LIDS]


def blink_times(seed: str, pictures: int) -> Rungs:
    """A rung of the lids for each picture, 0 for open eyes: now and then a blink, at equal times for equal seeds."""
    rungs = np.zeros(pictures, dtype=np.uint8)
    chance = random.Random(seed)  # noqa: S311 no secret hangs on a blink
    at = chance.uniform(*BLINK_PAUSE) / 2
    while (start := round(at * FRAME_RATE)) + len(BLINK) <= pictures:
        rungs[start : start + len(BLINK)] = BLINK
        at += chance.uniform(*BLINK_PAUSE)
    return rungs
