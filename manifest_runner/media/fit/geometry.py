"""Sizes of fitted pictures, (width, height) in pixels. Pure.

Sides are rounded so that the aspect never grows: one pixel less on the shorter side of a picture that is just short
enough would make it one that the service refuses.
"""

from __future__ import annotations

import math

from manifest_runner.media.limits import IMAGE_MAX_ASPECT

MAX_SIDE = 4096
"""Pixels of a fitted picture's longer side. The service renders at most 1080 lines: more would be lost there."""


def within_largest(size: tuple[int, int]) -> tuple[int, int]:
    """At most MAX_SIDE pixels a side, in the same proportion."""
    if max(size) <= MAX_SIDE:
        return size
    short = least_short_side(MAX_SIDE, size)
    return (MAX_SIDE, short) if size[0] >= size[1] else (short, MAX_SIDE)


def canvas_around(size: tuple[int, int]) -> tuple[int, int]:
    """The smallest canvas around a picture that is too long or too tall whose aspect is within the limit."""
    long = max(size)
    short = math.ceil(long / IMAGE_MAX_ASPECT)
    return (long, short) if size[0] >= size[1] else (short, long)


def least_short_side(long: int, proportion: tuple[int, int]) -> int:
    """The shorter side that keeps a `proportion` of two sides, rounded up: down could pass the largest aspect."""
    short, whole = sorted(proportion)
    return max(1, -(-short * long // whole))
