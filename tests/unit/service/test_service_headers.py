from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from manifest_runner.service.headers import http_date, measured_skew, retry_after_seconds

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("5", 5.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("61", 60.0),
        ("315360000", 60.0),
        ("9" * 5000, 60.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Mon, 02 Nov 2026 09:30:12 GMT", 12.0),
        ("Mon, 02 Nov 2026 09:29:59 GMT", None),
        ("Sat, 02 Nov 2136 09:30:00 GMT", 60.0),
        ("Mon, 99 Nov 2026 09:30:12 GMT", None),
        ("Mon, 02 Nov 99999999999 09:30:12 GMT", None),
    ],
)
def test_retry_after(text, seconds) -> None:
    assert retry_after_seconds(text, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon, 02 Nov 2026 09:30:00 GMT", NOW),
        ("Mon, 02 Nov 2026 10:30:00 +0100", NOW),
        ("Mon, 02 Nov 2026 09:30:00 -0000", NOW),
        ("yesterday", None),
        (None, None),
    ],
)
def test_http_dates(text, moment) -> None:
    assert http_date(text) == moment


@pytest.mark.parametrize(
    ("date", "round_trip", "skew"),
    [
        ("Mon, 02 Nov 2026 09:30:00 GMT", 1.0, 0.0),
        ("Mon, 02 Nov 2026 09:40:00 GMT", 0.0, 600.5),
        ("Mon, 02 Nov 2026 09:20:00 GMT", 2.0, -600.5),
        ("Mon, 02 Nov 2026 09:30:00 GMT", 5.1, None),
        ("nonsense", 0.1, None),
        (None, 0.1, None),
    ],
)
def test_the_clock_skew(date, round_trip, skew) -> None:
    measured = measured_skew(date, sent_at=NOW, round_trip=timedelta(seconds=round_trip))
    assert measured == (None if skew is None else timedelta(seconds=skew))
