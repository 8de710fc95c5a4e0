"""The memory that decoding pictures takes: how much one needs, and whose turn it is."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DECODING_ROOM = 350_000_000
"""Bytes that decoding pictures may take at any moment, all threads together."""

# Bytes a pixel that decoding takes at its peak, measured with Pillow's and libheif's decoders: some hold a picture
# several times over. What would take more than DECODING_ROOM is refused.
_COSTS = {
    "jpeg": 4.2,
    "png": 4.2,
    "bmp": 4.2,
    "gif": 2.0,
    "tiff": 9.0,
    "avif": 12.0,
    "webp": 16.6,
    "heif": 5.2,
}
# Of anything but JPEG, which is decoded at a fraction of its size where it is large.
_MOST_PIXELS = 64_000_000
_DECODED_COST = 4.2  # bytes a pixel, once a picture is decoded

_READ_WHOLE = ("webp", "avif", "heif")  # files that their decoders hold in memory

DECODABLE = frozenset(_COSTS)
"""The formats, by the names that facts have for them, that can be made to fit."""


def room_for(kind: str, source: tuple[int, int], picture: tuple[int, int], size: int) -> int:
    """Bytes that a file of `size` bytes takes at the peak of decoding it and of scaling `source` to `picture`.

    More than DECODING_ROOM where it has more pixels than anybody's pictures have.
    """
    pixels = source[0] * source[1]
    if kind == "jpeg":
        fraction = jpeg_fraction(source, picture)
        pixels //= fraction * fraction
    elif pixels > _MOST_PIXELS:
        return DECODING_ROOM + 1
    kept = picture[0] * picture[1] * 4
    held = size if kind in _READ_WHOLE else 0
    return held + max(round(pixels * _COSTS.get(kind, 0)), round(pixels * _DECODED_COST) + kept)


def jpeg_fraction(source: tuple[int, int], picture: tuple[int, int]) -> int:
    """1, 2, 4 or 8: a JPEG can be decoded at that fraction of its size, and still is no smaller than `picture`."""
    ratio = min(source[0] // picture[0], source[1] // picture[1])
    return next(fraction for fraction in (8, 4, 2, 1) if fraction <= max(1, ratio))


class Room:
    """Memory that several threads share: each takes what it needs, and waits until it is there."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._door = threading.Lock()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, need: int) -> Iterator[None]:
        need = min(need, self._size)
        with self._door, self._changed:  # one waits at a time: small ones can't keep a large one out for ever
            self._changed.wait_for(lambda: self._free >= need)
            self._free -= need
        try:
            yield
        finally:
            _give_back()
            with self._changed:
                self._free += need
                self._changed.notify_all()


def _trimmer() -> Callable[[int], object]:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # only the GNU library has it
        return lambda _keep: None
    return trim


_trim = _trimmer()


def _give_back() -> None:
    """Have the C library return what was freed: it would keep it, for each thread that ever decoded anything."""
    _trim(0)


ROOM = Room(DECODING_ROOM)
"""Whoever decodes a picture holds its recipe's `room` of it."""
