"""A picture's facts from its header, with a check that the file is whole. No pixel is decoded."""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import ImageFacts
from manifest_runner.media.sniff import looks_like
from manifest_runner.media.source import FileSource, read

# Pillow only warns of a decompression bomb. A filter set once is safe in threads; catch_warnings is not.
warnings.simplefilter("error", Image.DecompressionBombWarning)
# A broken EXIF block costs the picture's rotation and no more: nothing that a person need read on the terminal.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

# The decoders that may see a stranger's bytes. TIFF's is left out: it logs what it dislikes straight to the terminal.
_KNOWN = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_NAMES = {"MPO": "jpeg"}  # phones put several JPEG pictures into one file; a reader of JPEG takes the first
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)  # the EXIF orientations that swap width and height
# What Pillow raises on hostile bytes, found by feeding it damaged files; each means "can't be read".
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    struct.error,
    zlib.error,
)


def probe_image(data: bytes | Path, *, name: str = "The picture") -> ImageFacts:
    """The facts of the picture in `data` (its bytes, or a file's path). `name` is what messages call it.

    Raises MediaError for what is no picture, is cut off, or has so many pixels that decoding it could exhaust the
    memory. Says nothing of the service's limits: that is `limits.image_problems`.
    """
    if isinstance(data, Path):
        data = read(FileSource(str(data)), Path())
    try:
        with Image.open(BytesIO(data), formats=_KNOWN) as image:
            kind = _NAMES.get(image.format or "", (image.format or "").lower())
            width, height = image.size
            sideways = _orientation(image, kind) in _SIDEWAYS
            whole = _is_whole(image, kind, data)
    except UnidentifiedImageError as error:
        raise _no_picture(name, data) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise MediaError(
            f"{name} has too many pixels to be opened safely.",
            mend="Scale it down to 4096 pixels a side or less.",
        ) from error
    except _UNREADABLE as error:
        raise _damaged(name) from error
    if not whole:
        raise _damaged(name)
    return ImageFacts(
        format=kind,
        width=height if sideways else width,
        height=width if sideways else height,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _orientation(image: Image.Image, kind: str) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none or it can't be read: a picture is usable without.

    Only what the header brought is looked at. `getexif()` on a PNG decodes the whole file to find a block that
    stands behind the pixels.
    """
    raw = image.info.get("exif")
    if kind not in ("jpeg", "png") or not isinstance(raw, bytes):
        return 1
    exif = Image.Exif()
    try:
        exif.load(raw)
        value = exif.get(_ORIENTATION, 1)
    except _UNREADABLE:
        return 1
    return value if isinstance(value, int) else 1


def _is_whole(image: Image.Image, kind: str, data: bytes) -> bool:
    """Whether the file goes on to its own end mark. Formats that the service refuses anyway are not checked."""
    if kind == "png":
        image.verify()  # walks the blocks up to IEND and checks each sum; raises where one is missing or wrong
        return True
    if kind == "jpeg":
        return _jpeg_ends(data)
    return True


def _jpeg_ends(data: bytes) -> bool:
    """Whether an end mark follows the first scan. A thumbnail's own end mark, in the header, does not count."""
    place = 2  # behind the start mark
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xDA:  # the first scan: from here on FF D9 is the end mark and nothing else
            return data.find(b"\xff\xd9", place) != -1
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return False


def _no_picture(name: str, data: bytes) -> MediaError:
    words = looks_like(data)
    if words in ("a JPEG picture", "a PNG picture"):
        return _damaged(name)
    return MediaError(
        f"{name} is no picture that can be read: it looks like {words}.", mend="Give a JPEG or PNG file."
    )


def _damaged(name: str) -> MediaError:
    return MediaError(
        f"{name} is a picture that is damaged or cut off.",
        mend="Export or copy it again from where it came from.",
    )
