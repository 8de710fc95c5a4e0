"""How long each kind of call may take, and what being in doubt about one waits out."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from manifest_runner.errors import UsageError

_SLOWEST_UPLOAD = 256 * 1024  # bytes a second that we count on
_LONGEST_CREATE_SECONDS = 3600.0
_CONNECT_SECONDS = 10.0
_DOUBT_MARGIN = 1.5
_LONGEST_DOWNLOAD_SECONDS = 3600.0
_STRETCH_SECONDS = 60.0
_SLOWEST_DOWNLOAD = 16 * 1024  # bytes a second


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """`create_seconds` is what a paid call may take beside the upload of its body.

    httpx's own time-outs are per operation (one connect, one write, one read), so a server that drips bytes
    would pass each of them for ever. The `..._bound` figures are for the whole call, and the client enforces
    them beside httpx's.
    """

    create_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.create_seconds <= _LONGEST_CREATE_SECONDS:  # refuses NaN too
            raise UsageError(
                f"A create call can't be given {self.create_seconds} seconds.",
                mend=f"Give it more than 0 and at most {_LONGEST_CREATE_SECONDS:.0f}.",
            )

    def create_bound(self, body_bytes: int) -> float:
        """Seconds after which a create call is over, whatever the other side does."""
        return self.create_seconds + body_bytes / _SLOWEST_UPLOAD

    def settle_seconds(self, body_bytes: int) -> float:
        """Seconds from when a create was sent until "not there" can be believed."""
        return self.create_bound(body_bytes) * _DOUBT_MARGIN

    def create(self, body_bytes: int) -> httpx.Timeout:
        """Connecting (TCP, then TLS, each up to `connect`) ends well before the whole bound does, so that a
        service which isn't there is told apart from one which is slow: only the first proves "not sent"."""
        bound = self.create_bound(body_bytes)
        connect = min(_CONNECT_SECONDS, self.create_seconds / 4)
        return httpx.Timeout(connect=connect, write=bound, read=bound, pool=connect)

    @property
    def read_bound(self) -> float:
        """Seconds for a whole look-up or list call."""
        return 60.0

    def reads(self) -> httpx.Timeout:
        return httpx.Timeout(connect=_CONNECT_SECONDS, write=10.0, read=30.0, pool=30.0)

    def downloads(self) -> httpx.Timeout:
        return httpx.Timeout(connect=_CONNECT_SECONDS, write=10.0, read=30.0, pool=30.0)


def too_slow(received_bytes: int, elapsed_seconds: float) -> bool:
    """Whether a stretch of a download was a crawl. Less than a minute proves nothing."""
    return elapsed_seconds >= _STRETCH_SECONDS and received_bytes < elapsed_seconds * _SLOWEST_DOWNLOAD


class DownloadClock:
    """Tells when a download is to be given up. Each minute is judged by itself, so that a fast beginning buys no
    slow rest; and the whole has its bound. `now` is seconds of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self._started = self._stretch_began = now
        self._received = 0

    def objection(self, received_bytes: int, now: float) -> str | None:
        """What is wrong after these further bytes, None while all is well."""
        self._received += received_bytes
        if now - self._started > _LONGEST_DOWNLOAD_SECONDS:
            return f"takes longer than {_LONGEST_DOWNLOAD_SECONDS / 60:.0f} minutes"
        stretch = now - self._stretch_began
        if too_slow(self._received, stretch):
            return "comes too slowly to go on waiting"
        if stretch >= _STRETCH_SECONDS:
            self._stretch_began, self._received = now, 0
        return None
