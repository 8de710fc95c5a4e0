"""A sheet that lies at a URL, such as a Google Sheet that was published as CSV."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from manifest_runner.addresses import is_public
from manifest_runner.bounded_get import Gone, TooMuch, Unreadable, fetch
from manifest_runner.errors import ManifestError
from manifest_runner.manifest.text import MAX_BYTES
from manifest_runner.models import Location, Problem

SECONDS = 60.0  # for all of it

_URL = re.compile(r"https?://", re.IGNORECASE)
_HTML = re.compile(rb"\s*(<!doctype\s+html|<html)", re.IGNORECASE)
_LONG = re.compile(r"[^/]{25,}")
_PUBLISH = (
    "In Google Sheets: File, Share, Publish to the web, the sheet that is meant, Comma-separated values; name the link "
    "that is shown there."
)


def is_url(named: str) -> bool:
    return _URL.match(named) is not None


def fetch_sheet(url: str, named_at: Location) -> bytes:
    """The sheet's bytes. Raises ManifestError, which names nothing of the URL that may be a secret."""
    name = file_name(url)
    try:
        data = fetch(url, MAX_BYTES, seconds=SECONDS, allowed=is_public)
    except Gone as error:
        raise _stop(
            named_at, f"{name} leads to nothing: its server answers {error.status}.", _PUBLISH
        ) from None
    except TooMuch:
        raise _stop(named_at, f"{name} is over {MAX_BYTES // 1024**2} MB.", "Split the sheet.") from None
    except Unreadable as error:
        raise _stop(
            named_at,
            f"{name} could not be fetched: {error}.",
            "Check the link and the network, or download the sheet and name its file.",
        ) from None
    if _HTML.match(data[:1000]):
        raise _stop(named_at, f"{name} is a web page, no sheet.", _PUBLISH)
    return data


def file_name(url: str) -> str:
    """How the sheet is named in messages: without what may be a key to it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "the link"
    return f"{parts.scheme}://{host}{_LONG.sub(lambda found: found[0][:8] + '…', parts.path)}"


def _stop(location: Location, what: str, mend: str) -> ManifestError:
    return ManifestError([Problem(location=location, what=what, mend=mend)])
