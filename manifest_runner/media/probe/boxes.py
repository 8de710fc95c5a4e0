"""What an MP4's index claims, read before FFmpeg believes it. Pure.

An index of a few bytes can speak of a hundred million samples, and FFmpeg makes room for all of them at once. So the
tables whose claims cost no bytes of their own are found and added up here first. They are looked for by their names in
everything but the media themselves, not by walking the boxes: FFmpeg takes tables wherever it meets them, and a walk
that differs from its own in the smallest thing would be a way past this check.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from manifest_runner.errors import MediaError

HEADER = 8
LONG_HEADER = 16

MOST_SAMPLES = 1_000_000
"""In all tracks together. Five hours of AAC, or five minutes of film with sound twenty times over."""

MOST_INDEX = 32 * 1024 * 1024
"""Bytes of everything but the media: hours of film need less."""

_MOST_UNCOMPRESSED = 200 * MOST_SAMPLES  # FFmpeg keeps one entry for about a thousand uncompressed samples
_MOST_EDITED = 4 * MOST_SAMPLES  # each entry of an edit list may repeat all samples
_MEDIA = b"mdat"
_COVER = (b"moov", b"udta", b"meta", b"ilst", b"covr")  # the way to an album's picture
_STARTS = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"junk", b"uuid"})


def is_mp4(data: bytes) -> bool:
    """Whether a file begins like an MP4, M4A or QuickTime file."""
    return data[4:8] in _STARTS


def box_at(data: bytes, start: int, room: int) -> tuple[bytes, int, int]:
    """Kind, header and whole length of a box (ISO/IEC 14496-12, 4.2); `room` is what is left from `start` on.

    `data` must have at least HEADER bytes from `start` on. The lengths are as claimed, and can be anything.
    """
    length, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
    if length == 1 and len(data) >= start + LONG_HEADER:
        return kind, LONG_HEADER, int.from_bytes(data[start + 8 : start + LONG_HEADER])
    return kind, HEADER, length or room  # the last box may leave its length open


def index_of(file: BinaryIO, name: str, *, mend: str = "") -> bytes:
    """Everything in an MP4 but the media themselves. Raises MediaError where that is more than MOST_INDEX bytes."""
    size = file.seek(0, os.SEEK_END)
    index = bytearray()
    start = 0
    while start < size:
        file.seek(start)
        header = file.read(LONG_HEADER)
        if len(header) < HEADER:
            kind, length = b"", size - start
        else:
            kind, least, length = box_at(header, 0, size - start)
            if length < least:  # a last one of no sensible length reaches to the end
                kind, length = b"", size - start
        stop = min(start + length, size)
        if kind != _MEDIA:
            if len(index) + stop - start > MOST_INDEX:
                raise MediaError(f"{name} has more than {MOST_INDEX:,} bytes that are no media.", mend=mend)
            file.seek(start)
            index += file.read(stop - start)
        start = stop
    return bytes(index)


def check_index(index: bytes, name: str, *, mend: str = "") -> None:
    """Raises MediaError when the tables in an index claim more than any file that is wanted here has.

    `index` is everything in the file but its `mdat` boxes; `name` is what messages call the file.
    """
    if claim := _absurd_claim(_without_cover(index)):
        raise MediaError(f"{name} {claim}, which no file of this kind needs.", mend=mend)


def _absurd_claim(index: bytes) -> str | None:
    if b"cmov" in index:
        return "has a compressed index"  # which can grow a thousandfold
    samples = sum(_counts(index, b"stsz", 8)) + sum(_counts(index, b"stz2", 8))
    samples += sum(_counts(index, b"trun", 4)) + sum(_counts(index, b"senc", 4))
    edits = sum(_counts(index, b"elst", 4))
    chunks = sum(_counts(index, b"stco", 4)) + sum(_counts(index, b"co64", 4))
    changes = sum(_counts(index, b"stsc", 4))
    if samples > MOST_SAMPLES:
        return f"claims to have {samples:,} samples"
    if changes > MOST_SAMPLES:  # asked before they are looked through
        return f"claims to change the size of its chunks {changes:,} times"
    if chunks and (most := _largest_chunk(index)) * chunks > _MOST_UNCOMPRESSED:
        return f"claims to have {chunks:,} chunks of up to {most:,} samples"
    if edits * samples > _MOST_EDITED:
        return f"has an edit list of {edits:,} entries for {samples:,} samples"
    return None


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Kind, start, start of the content and end of each box; a last one of no sensible length reaches to the end."""
    while start + HEADER <= end:
        kind, header, length = box_at(data, start, end - start)
        if length < header:
            kind, length = b"", end - start
        stop = min(start + length, end)
        yield kind, start, start + header, stop
        start = stop
    if start < end:
        yield b"", start, start, end


def _without_cover(index: bytes) -> bytes:
    """The index without the album's picture, in whose bytes the name of a table can stand by chance."""
    start, end, place = 0, len(index), 0
    for step in _COVER:
        inside = next((box for box in _boxes(index, start, end) if box[0] == step), None)
        if inside is None:
            return index
        _, place, start, end = inside
        if step == b"meta":
            start += 4  # version and flags
            if index[start + 4 : start + HEADER] != b"hdlr":
                return index  # FFmpeg would begin to read elsewhere
    return index[:place] + index[end:]


def _counts(index: bytes, kind: bytes, offset: int) -> Iterator[int]:
    """What each table of a kind gives as its count, `offset` bytes into its content."""
    for content in _contents(index, kind):
        yield int.from_bytes(index[content + offset : content + offset + 4])


def _largest_chunk(index: bytes) -> int:
    """The most samples that a chunk of any track has. An entry has 12 bytes: first chunk, samples, description."""
    largest = 0
    for content in _contents(index, b"stsc"):
        entries = int.from_bytes(index[content + 4 : content + 8])
        table = index[content + 8 : content + 8 + 12 * entries]
        largest = max([largest, *(int.from_bytes(table[at : at + 4]) for at in range(4, len(table), 12))])
    return largest


def _contents(index: bytes, kind: bytes) -> Iterator[int]:
    """Where the content of each box of a kind begins, wherever it may stand."""
    place = index.find(kind)
    while place >= 0:
        is_long = place >= 4 and index[place - 4 : place] == b"\0\0\0\1"
        yield place + (12 if is_long else 4)
        place = index.find(kind, place + 4)
