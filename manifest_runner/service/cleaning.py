"""Values out of a reply, each hostile until it has passed here. What can't be trusted becomes None."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal

LONGEST_MESSAGE = 500
BLOTTED = "***"
"""What stands in a reply where it quoted one of our keys."""

_LONGEST_ID = 256
_LONGEST_URL = 8192
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 4_102_444_800_000  # the years 2000 to 2100
_UNWANTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, invisible, half a surrogate pair


def message_from(value: object, *, longest: int = LONGEST_MESSAGE) -> str | None:
    """Words for people, on one line, without control or invisible characters. None when there are none."""
    if not isinstance(value, str):
        return None
    plain = "".join(" " if unicodedata.category(character) in _UNWANTED else character for character in value)
    line = " ".join(plain.split())
    return (line if len(line) <= longest else line[: longest - 3] + "...") or None


def id_from(value: object) -> str | None:
    """An id as text, also where the service sends a number (whole ones only, of any size).

    None for one that no path can carry, or that quoted a key: nothing could be looked up under it.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and len(value) <= _LONGEST_ID and fits_path(value) and BLOTTED not in value:
        return value
    return None


def fits_path(text: str) -> bool:
    """Whether a text can be one segment of a path. `.` and `..` would be resolved away even when quoted, by some
    gateways also beside a quoted slash or backslash; white space at the ends is cut off on the way."""
    climbs = {".", ".."} & set(re.split(r"[/\\]", text))
    return bool(text) and text.isprintable() and text == text.strip() and not climbs


def url_from(value: object) -> str | None:
    """An address as it was sent; whether it may be fetched is decided where it is fetched."""
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_URL and value.isascii() and value.isprintable():
        return value
    return None


def moment_from(value: object) -> datetime | None:
    """A time from Unix milliseconds; None outside the years 2000 to 2100."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,16}", value):
        value = int(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value) < 10**16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not _EARLIEST_MS <= value <= _LATEST_MS:
        return None
    return datetime.fromtimestamp(value // 1000, UTC).replace(microsecond=value % 1000 * 1000)


def flag_from(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
