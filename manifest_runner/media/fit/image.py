"""Makes a picture fit: a JPEG, or a PNG where one sees through it, as an `ImageRecipe` says.

Nothing but the pixels is kept: no place, no date, no profile. What comes out depends on nothing but what goes in.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from manifest_runner.media.fit.decoding import decoded, scaled
from manifest_runner.media.fit.geometry import canvas_around, least_short_side
from manifest_runner.media.fit.recipes import Fitted, ImageRecipe, image_words
from manifest_runner.media.limits import IMAGE_MAX_BYTES
from manifest_runner.media.room import ROOM
from manifest_runner.media.source import megabytes
from manifest_runner.models import Box, Pad

_COEFFICIENTS = 3  # bytes a pixel that a JPEG of several scans is kept in; which are, is not known before
_QUALITIES = (95, 92, 90, 85)  # of JPEG; below, blocks show on a face
_EFFORTS = (3, 6)  # of PNG's compression: quick first, and thorough where that may be what is missing
_GAIN = 1.2  # what the thorough one can make of it, at the most
_SAFER = 0.97  # of the size that should be small enough: files don't shrink quite like their pixels
_BLUR_AT = 16  # the sides are blurred at this fraction of their size: it looks the same, in no time
_BLUR = 3  # pixels there
_DARKER = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedImage(Fitted):
    """A picture that was made to fit, `width` x `height` pixels."""

    width: int
    height: int
    picture: Box  # where the person's picture lies in it; more than that are added sides
    source: tuple[int, int]  # the size that the person's picture had, upright

    def place(self, box: Box) -> Box | None:
        """Where a box of the person's picture, upright, is in this one. None for one that lies outside.

        What reaches beyond the picture is left out; edges are rounded outward.
        """
        across, down = self.picture.width / self.source[0], self.picture.height / self.source[1]
        left, top = max(0, box.left), max(0, box.top)
        right, bottom = min(self.source[0], box.left + box.width), min(self.source[1], box.top + box.height)
        if left >= right or top >= bottom:
            return None
        new_left, new_top = math.floor(left * across), math.floor(top * down)
        return Box(
            self.picture.left + new_left,
            self.picture.top + new_top,
            min(self.picture.width, math.ceil(right * across)) - new_left,
            min(self.picture.height, math.ceil(bottom * down)) - new_top,
        )


def fit_image(file: BinaryIO, recipe: ImageRecipe, *, name: str) -> FittedImage:
    """The picture in `file` (open for reading and seeking), made to fit. `name` is what messages call it.

    Raises MediaError for what can't be decoded. Large pictures are decoded one after the other, whatever the threads.
    """
    perhaps = _COEFFICIENTS * recipe.source[0] * recipe.source[1] if recipe.format == "jpeg" else 0
    with ROOM.taken(recipe.room + perhaps):
        return _fitted(file, recipe, name)


def _fitted(file: BinaryIO, recipe: ImageRecipe, name: str) -> FittedImage:
    whole = decoded(file, recipe, name)
    place = Box(0, 0, *whole.size)
    if recipe.pad:
        whole, place = _with_sides(whole, canvas_around(whole.size), recipe.pad)
    target = "png" if whole.mode == "RGBA" else "jpeg"
    first = whole.size
    while True:
        data, quality = _encoded(whole)
        if len(data) <= IMAGE_MAX_BYTES:
            break
        whole = _smaller(whole, math.sqrt(IMAGE_MAX_BYTES / len(data)) * _SAFER)
    if whole.size != first:
        place = _moved(place, first, whole.size)
    words = image_words(recipe, target=target, picture=(place.width, place.height), whole=whole.size)
    return FittedImage(
        data=data,
        what=", ".join([words, *([f"quality {quality}"] if quality else []), megabytes(len(data))]),
        sha256=hashlib.sha256(data).hexdigest(),
        width=whole.width,
        height=whole.height,
        picture=place,
        source=recipe.source,
    )


def _encoded(image: Image.Image) -> tuple[bytes, int | None]:
    """A PNG, or a JPEG of the highest quality that is small enough (else of the lowest), and its quality."""
    data = b""
    if image.mode == "RGBA":
        for effort in _EFFORTS:
            data = _saved(image, "PNG", compress_level=effort)
            if not IMAGE_MAX_BYTES < len(data) < IMAGE_MAX_BYTES * _GAIN:
                break
        return data, None
    for quality in _QUALITIES:
        data = _saved(image, "JPEG", quality=quality, subsampling=0)
        if len(data) <= IMAGE_MAX_BYTES:
            break
    return data, quality


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _smaller(image: Image.Image, factor: float) -> Image.Image:
    """Scaled down by about `factor`. A PNG of 10 MB has at least 2.5 million pixels: no side becomes too short."""
    long = int(max(image.size) * factor)
    short = least_short_side(long, image.size)
    return scaled(image, (long, short) if image.width >= image.height else (short, long))


def _moved(place: Box, old: tuple[int, int], new: tuple[int, int]) -> Box:
    """Where a part of a picture is once the whole was scaled."""
    across, down = new[0] / old[0], new[1] / old[1]
    left, top = round(place.left * across), round(place.top * down)
    right, bottom = round((place.left + place.width) * across), round((place.top + place.height) * down)
    return Box(left, top, right - left, bottom - top)


def _with_sides(image: Image.Image, size: tuple[int, int], pad: Pad) -> tuple[Image.Image, Box]:
    """The picture in the middle of a larger one, and where it lies there."""
    whole = (
        _blurred(image, size) if pad is Pad.BLUR else Image.new(image.mode, size, _edge_colour(image, size))
    )
    place = Box((size[0] - image.width) // 2, (size[1] - image.height) // 2, image.width, image.height)
    whole.paste(image, (place.left, place.top))
    return whole, place


def _blurred(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture's middle, enlarged to fill `size`, out of focus and a little darker."""
    small = (-(-size[0] // _BLUR_AT), -(-size[1] // _BLUR_AT))
    middle = ImageOps.fit(image, small, Image.Resampling.BOX)
    soft = ImageEnhance.Brightness(middle.filter(ImageFilter.GaussianBlur(_BLUR))).enhance(_DARKER)
    return soft.resize(size, Image.Resampling.BICUBIC)


def _edge_colour(image: Image.Image, size: tuple[int, int]) -> tuple[int, ...]:
    """The mean colour of the two edges that the sides are added to, weighted by how little one sees through it."""
    if size[0] > image.width:
        edges = [image.crop((x, 0, x + 1, image.height)) for x in (0, image.width - 1)]
    else:
        edges = [image.crop((0, y, image.width, y + 1)) for y in (0, image.height - 1)]
    pixels = np.concatenate([np.asarray(edge, np.float64).reshape(-1, len(image.mode)) for edge in edges])
    alpha = pixels[:, 3] if image.mode == "RGBA" else np.full(len(pixels), 255.0)
    weights = alpha if alpha.any() else None
    mean = [*np.average(pixels[:, :3], axis=0, weights=weights), alpha.mean()][: len(image.mode)]
    return tuple(round(float(value)) for value in mean)
