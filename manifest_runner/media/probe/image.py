"""A picture's facts from its header, with a check that the file is whole. No pixel is decoded.

What a decoder would keep beside the pixels (profiles, notes, blocks that it does not know) is bounded: a file can have
as much of that as its author likes.
"""

from __future__ import annotations

import io
import os
import struct
import time
import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import BinaryIO, Literal, cast

from PIL import Image, UnidentifiedImageError

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import ImageFacts
from manifest_runner.media.fit.room import DECODING_ROOM
from manifest_runner.media.opening import as_file, sha256_of, size_of
from manifest_runner.media.probe.sniff import looks_like
from manifest_runner.media.source import megabytes

# Pillow only warns of a decompression bomb. A filter set once is safe in threads; catch_warnings is not.
warnings.simplefilter("error", Image.DecompressionBombWarning)
# A broken block beside the pixels costs what it says and no more: nothing that a person need read on the terminal.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# The decoders that may see a stranger's bytes; HEIF joins them where its extra is installed.
_KNOWN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_NAMES = {"MPO": "jpeg"}  # phones put several JPEG pictures into one file; a reader of JPEG takes the first
_ORIENTATION = 0x0112
_TAIL = 4096  # bytes
_MOST_BESIDE = 32_000_000  # bytes of a picture that are no pixels; a printer's profile has two million
_MOST_BLOCK = 16_000_000  # bytes of one of a PNG's blocks, which are read whole
_MOST_PIXEL_BLOCK = 100_000_000  # some programs write all pixels as one
_MOST_BLOCKS = 300_000  # of a PNG of 2 GB in blocks of 8 kB
_MOST_SEGMENTS = 100_000  # before a JPEG's pixels
_MOST_TILE = 100_000_000  # bytes; a tile is decoded whole, however small its picture
_MOST_READS = 300_000  # of a header; a picture's 32 MB as a GIF are 250 thousand
_SECONDS = 10.0  # at most for them
_BITS, _SAMPLES, _ROWS_A_STRIP, _TILE_WIDTH, _TILE_HEIGHT = 258, 277, 278, 322, 323  # TIFF's tags
_SIZES = (256, 257, _SAMPLES, _ROWS_A_STRIP, _TILE_WIDTH, _TILE_HEIGHT)  # with width and height
_READ_WHOLE = 64_000_000  # bytes at most of formats whose decoders read all of a file to know its size
_WHOLE_READERS = ("a WebP picture", "an AVIF picture", "a HEIC picture")
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
    RuntimeError,
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
    header = _Header(file, 2 * _READ_WHOLE if is_read_whole else _MOST_BESIDE)
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
    except _Overladen as error:
        raise _overladen(name) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise MediaError(
            f"{name} has too many pixels to be opened safely.",
            mend="Scale it down to 4096 pixels a side or less.",
        ) from error
    except _UNREADABLE as error:
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
    except _UNREADABLE:
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
        return _png_ends(file)
    if kind == "jpeg":
        return _jpeg_ends(file)
    return True


def _png_ends(file: BinaryIO) -> bool:
    """Whether all blocks up to IEND are there, with the right sums. No block is read whole.

    Raises _Overladen where a decoder would: it keeps blocks that it does not know, and reads those behind the pixels.
    """
    file.seek(8)
    beside = 0
    for _ in range(_MOST_BLOCKS):
        head = file.read(8)
        if len(head) < 8:
            return False
        size, kind = int.from_bytes(head[:4]), head[4:]
        beside += size if kind not in (b"IDAT", b"fdAT") else 0
        if beside > _MOST_BESIDE or size > (_MOST_PIXEL_BLOCK if kind == b"IDAT" else _MOST_BLOCK):
            raise _Overladen
        total = zlib.crc32(kind)
        while size:
            chunk = file.read(min(size, 1 << 20))
            if not chunk:
                return False
            total = zlib.crc32(chunk, total)
            size -= len(chunk)
        if file.read(4) != total.to_bytes(4):
            return False
        if kind == b"IEND":
            return True
    raise _Overladen


def _jpeg_ends(file: BinaryIO) -> bool:
    """Whether an end mark follows the first scan. A thumbnail's own end mark, in the header, does not count."""
    place = 2  # behind the start mark
    for _ in range(_MOST_SEGMENTS):
        file.seek(place)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return False
        if head[1] == 0xDA:  # the first scan: from here on FF D9 is the end mark and nothing else
            file.seek(place)
            return _goes_on_to(file, b"\xff\xd9")
        # A fill byte is passed over alone, a segment with its length.
        place += 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:4])
        if place > _MOST_BESIDE:
            break
    raise _Overladen


def tiff_is_too_large(image: Image.Image, file: BinaryIO) -> bool:
    """Whether a TIFF, open in `image`, can't be decoded in the room there is: a strip or a tile of it is decoded whole.

    So is one whose tags are none that a program writes: another reader could understand them otherwise.
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (8,))
    sizes = [tags.get(tag, 0) for tag in (_SAMPLES, _ROWS_A_STRIP, _TILE_WIDTH, _TILE_HEIGHT)]
    if not isinstance(bits, tuple) or not all(isinstance(one, int) for one in (*bits, *sizes)):
        return True
    if _has_odd_tags(file):
        return True
    samples, rows, across, down = sizes
    a_pixel = max(len(bits), len(image.getbands()), samples) * max(bits, default=8)
    tile = across * down * a_pixel // 8
    if not (tile or rows):
        rows = image.height
    strip = image.width * min(rows, image.height) * a_pixel // 8
    room = max(strip, tile) + 4 * image.width * image.height
    return bool(tile > _MOST_TILE or room > DECODING_ROOM)


def _has_odd_tags(file: BinaryIO) -> bool:
    """Whether a TIFF's first directory has a tag twice, or several sizes where there is one: readers differ in which
    they take."""
    file.seek(0)
    head = file.read(16)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    wide = 43 in (head[2], head[3])  # BigTIFF
    word, entry, word_of_count = (8, 20, 8) if wide else (2, 12, 4)
    file.seek(int.from_bytes(head[8:16] if wide else head[4:8], order))
    count = int.from_bytes(file.read(word), order)
    if count > 4096:
        return True
    table = file.read(count * entry)
    tags: set[int] = set()
    for place in range(0, len(table), entry):
        tag = int.from_bytes(table[place : place + 2], order)
        if tag in tags:
            return True
        if tag in _SIZES and int.from_bytes(table[place + 4 : place + 4 + word_of_count], order) != 1:
            return True
        tags.add(tag)
    return False


def _goes_on_to(file: BinaryIO, mark: bytes) -> bool:
    """Whether the mark comes between here and the end. It's looked for near the end first, where it belongs."""
    start = file.tell()
    file.seek(max(start, file.seek(0, os.SEEK_END) - _TAIL))
    if mark in file.read():
        return True
    file.seek(start)
    before = b""
    while chunk := file.read(1 << 20):
        if mark in chunk or mark in before + chunk[: len(mark) - 1]:
            return True
        before = chunk[1 - len(mark) :]
    return False


class _Overladen(Exception):
    """There is more beside the pixels than is kept."""


class _Header(io.BufferedIOBase):
    """A file as Pillow may use it to learn what is in it. Once too much is asked for, or for too long, it is told that
    the file ends."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._left = most
        self._reads = 0
        self._until = time.monotonic() + _SECONDS
        self.is_over = False

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self.is_over or self._reads > _MOST_READS or time.monotonic() > self._until:
            self.is_over = True
            return b""
        data = self._file.read(self._left + 1 if size is None or size < 0 else min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            self.is_over = True
            return b""
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
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
