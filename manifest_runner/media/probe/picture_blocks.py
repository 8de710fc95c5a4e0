"""A picture's file, block by block: whether it goes on to its own end mark, and little is beside the pixels.

A decoder keeps what it does not know, and a file can have as much of that as its author likes.
"""

from __future__ import annotations

import io
import os
import time
import zlib
from typing import BinaryIO

MOST_BESIDE = 32_000_000
"""Bytes of a picture that are no pixels; a printer's profile has two million."""

_TAIL = 4096  # bytes
_MOST_BLOCK = 16_000_000  # bytes of one of a PNG's blocks, which are read whole
_MOST_PIXEL_BLOCK = 100_000_000  # some programs write all pixels as one
_MOST_BLOCKS = 300_000  # of a PNG of 2 GB in blocks of 8 kB
_MOST_SEGMENTS = 100_000  # before a JPEG's pixels
_MOST_READS = 300_000  # of a header; a picture's 32 MB as a GIF are 250 thousand
_SECONDS = 10.0  # at most for them


class Overladen(Exception):
    """There is more beside the pixels than is kept."""


def png_ends(file: BinaryIO) -> bool:
    """Whether all blocks up to IEND are there, with the right sums. No block is read whole.

    Raises Overladen where a decoder would: it keeps blocks that it does not know, and reads those behind the pixels.
    """
    file.seek(8)
    beside = 0
    for _ in range(_MOST_BLOCKS):
        head = file.read(8)
        if len(head) < 8:
            return False
        size, kind = int.from_bytes(head[:4]), head[4:]
        beside += size if kind not in (b"IDAT", b"fdAT") else 0
        if beside > MOST_BESIDE or size > (_MOST_PIXEL_BLOCK if kind == b"IDAT" else _MOST_BLOCK):
            raise Overladen
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
    raise Overladen


def jpeg_ends(file: BinaryIO) -> bool:
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
        if place > MOST_BESIDE:
            break
    raise Overladen


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


class Header(io.BufferedIOBase):
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
