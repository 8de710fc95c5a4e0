"""A picture's facts from its header, with a check that the file is whole. No pixel is decoded."""

from __future__ import annotations

import struct
import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import BinaryIO, cast

from PIL import Image, UnidentifiedImageError

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import ImageFacts
from manifest_runner.media.opening import as_file, sha256_of, size_of
from manifest_runner.media.probe.picture_blocks import MOST_BESIDE, Header, Overladen, jpeg_ends, png_ends
from manifest_runner.media.probe.sniff import looks_like
from manifest_runner.media.probe.tiff import tiff_is_too_large
from manifest_runner.media.source import megabytes

# Pillow only warns of a decompression bomb. A filter set once is safe in threads; catch_warnings is not.
warnings.simplefilter("error", Image.DecompressionBombWarning)
# A broken block beside the pixels costs what it says and no more: nothing that a person need read on the terminal.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# The decoders that may see a stranger's bytes; HEIF joins them where its extra is installed.
_KNOWN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_NAMES = {"MPO": "jpeg"}  # phones put several JPEG pictures into one file; a reader of JPEG takes the first
_ORIENTATION = 0x0112
_READ_WHOLE = 64_000_000  # bytes at most of formats whose decoders read all of a file to know its size
_WHOLE_READERS = ("a WebP picture", "an AVIF picture", "a HEIC picture")
_SIDEWAYS = (5, 6, 7, 8)  # the EXIF orientations that swap width and height
# What Pillow raises on hostile bytes, found by feeding it damaged files; each means "can't be read".
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    RuntimeError,
    ArithmeticError,
    struct.error,
    zlib.error,
)


def probe_image(
    data: bytes | Path | BinaryIO, *, name: str = "The picture", sha256: str | None = None
) -> ImageFacts:
    """The facts of the picture in `data` (a file open for reading and seeking, a path, or bytes).

    `name` is what messages call it; `sha256` is given where it is known already. Raises MediaError for what is no
    picture, is cut off, or has so many pixels that decoding it could exhaust the memory. Says nothing of the service's
    limits: that is `limits.image_problems`.
    """
    file = as_file(data)
    is_read_whole = looks_like(file.read(256)) in _WHOLE_READERS
    if size_of(file) > _READ_WHOLE and is_read_whole:
        raise MediaError(f"{name} has more than {megabytes(_READ_WHOLE)}.", mend="Export it as JPEG.")
    header = Header(file, 2 * _READ_WHOLE if is_read_whole else MOST_BESIDE)
    try:
        with Image.open(cast(BinaryIO, header), formats=picture_formats()) as image:
            kind = _NAMES.get(image.format or "", (image.format or "").lower())
            width, height = image.size
            orientation = _orientation(image)
            colours, transparent = image.mode, image.has_transparency_data
            frames = _frames(image, kind)
            too_large = kind == "tiff" and tiff_is_too_large(image, file)
        whole = header.is_over or _is_whole(kind, file)
    except UnidentifiedImageError as error:
        if header.is_over:
            raise _overladen(name) from error
        raise _no_picture(name, file) from error
    except Overladen as error:
        raise _overladen(name) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise MediaError(
            f"{name} has too many pixels to be opened safely.",
            mend="Scale it down to 4096 pixels a side or less.",
        ) from error
    except UNREADABLE as error:
        raise (_overladen(name) if header.is_over else _damaged(name)) from error
    if header.is_over:
        raise _overladen(name)
    if not whole:
        raise _damaged(name)
    if too_large:
        raise too_many_pixels(name)
    sideways = orientation in _SIDEWAYS
    return ImageFacts(
        format=kind,
        width=height if sideways else width,
        height=width if sideways else height,
        bytes=size_of(file),
        sha256=sha256 or sha256_of(file, label=name),
        orientation=orientation,
        colours=colours,
        bits=_bits(file, kind, colours),
        transparent=transparent,
        frames=frames,
    )


@cache
def picture_formats() -> tuple[str, ...]:
    """The decoders that may see a stranger's bytes, by Pillow's names: HEIF only where its extra is installed."""
    try:
        import pillow_heif  # noqa: PLC0415 - an extra
    except ImportError:
        return _KNOWN
    pillow_heif.register_heif_opener(thumbnails=False)
    return (*_KNOWN, "HEIF")


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none or it can't be read: a picture is usable without.

    Only what the header brought is looked at. `getexif()` on a PNG decodes the whole file to find a block that
    stands behind the pixels. TIFF and HEIF are turned by their decoders, and have their upright size from the start.
    """
    try:
        raw = image.info.get("exif")
        if not isinstance(raw, bytes):
            return 1
        exif = Image.Exif()
        exif.load(raw)
        value = exif.get(_ORIENTATION, 1)
    except UNREADABLE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _frames(image: Image.Image, kind: str) -> int:
    """How many pictures are in it. GIF and TIFF would be read to their end to be counted: 2 means "several" there.

    A phone's second picture in one JPEG (MPO) is a part of the first: readers of JPEG never see it.
    """
    if kind in ("gif", "tiff"):
        return 2 if getattr(image, "is_animated", False) else 1
    return 1 if kind == "jpeg" else int(getattr(image, "n_frames", 1))


def _bits(file: BinaryIO, kind: str, colours: str) -> int:
    """Bits a channel, where it can be more than eight without Pillow's mode telling."""
    if kind == "png":
        file.seek(24)  # signature, IHDR's length and name, width, height
        return max(8, int.from_bytes(file.read(1)))
    return {"I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}.get(colours, 8)


def _is_whole(kind: str, file: BinaryIO) -> bool:
    """Whether the file goes on to its own end mark. Others are decoded to their end when they are made to fit."""
    if kind == "png":
        return png_ends(file)
    if kind == "jpeg":
        return jpeg_ends(file)
    return True


def too_many_pixels(name: str) -> MediaError:
    return MediaError(
        f"{name} has too many pixels to be decoded safely.",
        mend="Scale it down to 4096 pixels a side or less, or save it as JPEG.",
    )


def _overladen(name: str) -> MediaError:
    return MediaError(
        f"{name} has more in it beside its pixels than can be read safely.",
        mend="Export it again, as JPEG, without anything added to it.",
        kind="image that can't be read safely",
    )


def _no_picture(name: str, file: BinaryIO) -> MediaError:
    words = looks_like(as_file(file).read(256))
    if words == "a HEIC picture" and "HEIF" not in picture_formats():
        return MediaError(
            f"{name} is a HEIC picture, which can be read with an extra only.",
            mend="Install it (pip install 'manifest-runner[heic]'), or export the picture as JPEG.",
        )
    if words in ("a JPEG picture", "a PNG picture"):
        return _damaged(name)
    return MediaError(
        f"{name} is no picture that can be read: it looks like {words}.", mend="Give a JPEG or PNG file."
    )


def _damaged(name: str) -> MediaError:
    return MediaError(
        f"{name} is a picture that is damaged or cut off.",
        mend="Export or copy it again from where it came from.",
        kind="image that is damaged",
    )
