"""What a TIFF's own tags say that decoding it would take."""

from __future__ import annotations

from typing import BinaryIO, Literal

from PIL import Image

from manifest_runner.media.room import DECODING_ROOM

_MOST_TILE = 100_000_000  # bytes; a tile is decoded whole, however small its picture
_BITS, _SAMPLES, _ROWS_A_STRIP, _TILE_WIDTH, _TILE_HEIGHT = 258, 277, 278, 322, 323  # TIFF's tags
_SIZES = (256, 257, _SAMPLES, _ROWS_A_STRIP, _TILE_WIDTH, _TILE_HEIGHT)  # with width and height


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
