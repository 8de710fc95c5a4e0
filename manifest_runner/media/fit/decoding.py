"""Decodes a picture and brings it to the size, the colours and the position that are wanted, with little memory.

What is larger than wanted is scaled band by band: beside the decoded picture and the result there is only a band of
each. A JPEG is decoded at a fraction of its size where that is enough.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from itertools import pairwise
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from manifest_runner.errors import MediaError
from manifest_runner.media.fit.geometry import least_short_side
from manifest_runner.media.fit.recipes import ImageRecipe
from manifest_runner.media.probe.image import UNREADABLE, picture_formats, too_many_pixels
from manifest_runner.media.probe.tiff import tiff_is_too_large
from manifest_runner.media.room import DECODING_ROOM

# What Pillow's decoders find odd in a file is nothing that a person need read on the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_BAND = 256  # rows of the result
_SCALED_AS_THEY_ARE = ("RGB", "RGBA", "L", "CMYK", "I;16", "I", "F")
_REACH = 3  # source pixels, for each step of one in the result, that LANCZOS looks to either side
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LARGEST_PROFILE = 4_000_000  # bytes; a printer's profile has two million
_PROFILE_MODES = {"RGB": ("RGB", "RGBA"), "CMYK": ("CMYK",), "GRAY": ("L",)}


def decoded(file: BinaryIO, recipe: ImageRecipe, name: str) -> Image.Image:
    """The picture in `file`, upright, scaled to `recipe.picture`, in sRGB: `RGB`, or `RGBA` where one sees through it.

    Raises MediaError for what can't be decoded, and for what is another picture than the recipe was made for.
    """
    try:
        picture, profile = _scaled_down(file, recipe, name)
        picture = _in_srgb(_in_eight_bits(picture), profile)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise too_many_pixels(name) from error
    except UnidentifiedImageError as error:
        mend = "Install manifest-runner[heic], or export" if recipe.format == "heif" else "Export"
        raise MediaError(
            f"{name} is no picture that can be read here.", mend=f"{mend} it as JPEG."
        ) from error
    except UNREADABLE as error:
        raise MediaError(
            f"{name} is a picture that is damaged or cut off.",
            mend="Export or copy it again from where it came from.",
        ) from error
    if recipe.turn in _TURNS:
        picture = picture.transpose(_TURNS[recipe.turn])
    return picture


def scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`image` in another size. Pixels of a kind that can't be mixed are converted on the way."""
    return _in_bands(lambda first, last: image.crop((0, first, image.width, last)), image.size, size)


def _in_bands(
    rows: Callable[[int, int], Image.Image], source: tuple[int, int], size: tuple[int, int]
) -> Image.Image:
    """A picture of the size `source`, of which `rows(first, last)` gives a part, in another size.

    Each band is cut out with as many rows around it as the filter reaches to, so no seam can be seen.
    """
    if source == size:
        return _mixable(rows(0, source[1]))
    width, height = size
    step = source[1] / height
    reach = math.ceil(_REACH * max(step, 1)) + 1
    result: Image.Image | None = None
    count = -(
        -height // _BAND
    )  # of equal bands: a thin one would be scaled in another order, and rounded otherwise
    edges = [height * number // count for number in range(count + 1)]
    for top, bottom in pairwise(edges):
        first = max(0, math.floor(top * step) - reach)
        last = min(source[1], math.ceil(bottom * step) + reach)
        box = (0, top * step - first, source[0], min(bottom * step, last) - first)
        part = _mixable(rows(first, last)).resize((width, bottom - top), Image.Resampling.LANCZOS, box)
        if result is None:
            result = Image.new(part.mode, size)
        result.paste(part, (0, top))
    assert result is not None  # noqa: S101 - a picture has a row
    return result


def _scaled_down(file: BinaryIO, recipe: ImageRecipe, name: str) -> tuple[Image.Image, bytes | None]:
    """The picture as it lies in the file, in the size that is wanted, and its colour profile."""
    file.seek(0)
    with Image.open(file, formats=picture_formats()) as image:
        if image.size != recipe.stored:
            raise MediaError(
                f"{name} is {image.width} x {image.height} pixels, and was something else when it was checked.",
                mend="Leave the media alone while a run goes on, and run again.",
            )
        size = recipe.picture if recipe.source == recipe.stored else recipe.picture[::-1]
        profile = image.info.get("icc_profile")
        if not isinstance(profile, bytes):
            profile = None
        if image.format == "HEIF":
            return _in_bands(_heif_rows(file), image.size, size), profile
        if image.format in ("JPEG", "MPO"):
            size = _drafted(image, file, recipe, size, name)
        elif image.format == "TIFF":
            place = file.tell()
            if tiff_is_too_large(image, file):
                raise too_many_pixels(name)
            file.seek(place)
        image.load()
        return scaled(image, size), profile


def _drafted(
    image: Image.Image, file: BinaryIO, recipe: ImageRecipe, size: tuple[int, int], name: str
) -> tuple[int, int]:
    """Have a JPEG decoded at a fraction of its size; returns the size that is wanted of it.

    That is smaller than `size` where the coefficients of several scans, which are kept to the last, leave no room.
    """
    kept = _coefficients(image, file)
    if kept + recipe.room > DECODING_ROOM:
        half = (image.width // 2, image.height // 2)
        if kept + half[0] * half[1] * 4 > DECODING_ROOM:
            raise too_many_pixels(name)
        long = min(max(half), max(size))
        short = least_short_side(long, size)
        size = (long, short) if size[0] >= size[1] else (short, long)
        image.draft(None, half)
    else:
        image.draft(None, size)
    return size


def _coefficients(image: Image.Image, file: BinaryIO) -> int:
    """Bytes that a JPEG's coefficients take, two each; 0 where one scan has everything and they are not kept.

    A picture of several scans is a progressive one, or one whose colours follow each other.
    """
    parts: list[int] = [across * down for _, across, down, _ in getattr(image, "layer", [])]
    if not image.info.get("progressive") and _parts_of_first_scan(file) == len(parts):
        return 0
    return 2 * image.width * image.height * sum(parts) // max([1, *parts])


def _parts_of_first_scan(file: BinaryIO) -> int:
    """How many of a JPEG's colours its first scan brings. The file is left where it was."""
    before, place = file.tell(), 2  # behind the start mark
    try:
        while True:
            file.seek(place)
            head = file.read(5)
            if len(head) < 5 or head[0] != 0xFF:
                return 0
            if head[1] == 0xDA:
                return head[4]
            place += 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:4])
    finally:
        file.seek(before)


def _heif_rows(file: BinaryIO) -> Callable[[int, int], Image.Image]:
    """Rows of a HEIF picture, made into Pillow's by the band: a phone's 48 million pixels would be there twice."""
    import pillow_heif  # noqa: PLC0415 - an extra

    file.seek(0)
    opened = pillow_heif.open_heif(file)
    frame = opened[opened.primary_index]
    mode, width, stride = frame.mode, frame.size[0], frame.stride

    def rows(first: int, last: int) -> Image.Image:
        # Asked of the frame each time, which keeps it: older releases' data are gone as soon as their frame is.
        data = frame.data[first * stride : last * stride]
        return Image.frombytes(mode, (width, last - first), data, "raw", mode, stride)

    return rows


def _mixable(image: Image.Image) -> Image.Image:
    """`image` in a mode whose values can be mixed; one that says which colour is see-through gets a channel for it."""
    if image.mode in _SCALED_AS_THEY_ARE and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return image.convert("I").convert("I;16")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """`I;16`, `I` and `F` become `L`."""
    if image.mode not in ("I;16", "I", "F"):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
    white = 65_535.0 if image.mode == "I;16" else _white(float(values.max()))
    return Image.fromarray(np.rint(values.clip(0, white) * (255 / white)).astype(np.uint8))


def _white(most: float) -> float:
    """What white is in a picture whose mode does not tell, by its largest value: scaling may have added to that."""
    if most <= 1.05:
        return 1.0
    if most <= 255 * 1.05:
        return 255.0
    return 65_535.0 if 32_768 < most <= 65_535 * 1.05 else most


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """`RGB` or `RGBA` in the colours that everybody assumes. A profile that makes no sense is left out of account."""
    if profile and len(profile) <= _LARGEST_PROFILE:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            image = _converted(image, ImageCms.ImageCmsProfile(BytesIO(profile)))
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    image.info.clear()  # where it was taken, by whom, with what: nobody's business
    return image


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    if image.mode not in _PROFILE_MODES.get(profile.profile.xcolor_space.strip(), ()):
        return image
    if "srgb" in (profile.profile.profile_description or "").lower():
        return image
    done = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGBA" if image.mode == "RGBA" else "RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return image if done is None else done
