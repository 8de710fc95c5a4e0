"""What the headers of a reply tell: the service's clock, and how long it asks to be left alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER = 60.0  # seconds; the service may ask for ten years
_LONGEST_ROUND_TRIP = timedelta(seconds=5)
_DATE_RESOLUTION = timedelta(seconds=1)


def http_date(text: str | None) -> datetime | None:
    """The moment an HTTP date names; None for what is no date. Dates without a zone are UTC."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def retry_after_seconds(text: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header (seconds or a date), at most a minute.

    None for a negative figure, a date gone by, or anything else that is no time to wait.
    """
    if text is None:
        return None
    if re.fullmatch(r"[0-9]+", text.strip()):
        digits = text.strip().lstrip("0")
        return LONGEST_RETRY_AFTER if len(digits) > 3 else min(float(digits or 0), LONGEST_RETRY_AFTER)
    until = http_date(text)
    if until is None or until <= now:
        return None
    return min((until - now).total_seconds(), LONGEST_RETRY_AFTER)


def measured_skew(date: str | None, *, sent_at: datetime, round_trip: timedelta) -> timedelta | None:
    """How far the service's clock is ahead of ours; None without a usable Date header.

    The header is taken to be written half a round trip after sending. It has its second's fraction cut off,
    so half a second is added. A long round trip (a big upload) says too little and is not used.
    """
    served_at = http_date(date)
    if served_at is None or round_trip > _LONGEST_ROUND_TRIP:
        return None
    return served_at + _DATE_RESOLUTION / 2 - (sent_at + round_trip / 2)
