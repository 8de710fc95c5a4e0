"""Bounds on what clients can hold: how many connections there are, and how long a request may take to arrive.

Without them, a few hundred connections that never say anything take every file descriptor of the process, and the
one client that means it is not heard any more.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_WITHIN = 10.0  # seconds from the connection, or from a later request's first byte
BODY_WITHIN = 120.0  # seconds from the headers: the largest body takes about one on this machine
MOST = 256
MOST_HELD = 65_536  # bytes of an answer that wait for the rest of it
RESERVED_FILES = 64  # descriptors that the database, the renderer and the event loop keep for themselves
OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)

logger = logging.getLogger(__name__)


def connection_limit() -> int:
    """How many connections may be open: half of the descriptors that this process can spare for them."""
    return min(MOST, max(8, _spare_files() // 2))


def accept_backlog() -> int:
    """How many connections are taken in one turn of the event loop: a few turns' worth may be open unseen."""
    return min(MOST // 2, max(4, _spare_files() // 8))


def _spare_files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST * 4 if soft == resource.RLIM_INFINITY else soft - RESERVED_FILES


class InOnePiece:
    """A transport that sends what is written in one turn of the event loop together.

    An answer's head and body are written one by one, and on a machine with few cores each packet on its way wakes the
    other side: twice as many answers a second leave in one.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if data and not self._written:
            self._loop.call_soon(self._send)
        self._written += data
        if len(self._written) > MOST_HELD:
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._written:
            self._transport.write(bytes(self._written))
            self._written.clear()


class BoundedConnection(H11Protocol):
    """A client's connection that is closed when its request does not arrive in time, or when others need its room."""

    _timer: asyncio.TimerHandle | None = None
    _timed: Any = None  # the state of the request (h11's word) that the timer runs for
    _heard: float = 0.0  # loop time of the last bytes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(cast(asyncio.Transport, InOnePiece(transport, self.loop)))
        self._heard = self.loop.time()
        self._keep_time()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._heard = self.loop.time()
        self._keep_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _keep_time(self) -> None:
        """One timer for all headers and one for the whole body: bytes that trickle in do not prolong them."""
        state = self.conn.their_state
        if state is self._timed:
            return
        self._stop_timer()
        within = {h11.IDLE: HEADERS_WITHIN, h11.SEND_BODY: BODY_WITHIN}.get(state)
        if within is not None:
            self._timed = state
            self._timer = self.loop.call_later(within, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timed = None

    def _make_room(self) -> None:
        """Above the limit, the connection that has been silent longest goes; one that is being answered never."""
        if len(self.connections) <= connection_limit():
            return
        waiting = [
            other
            for other in self.connections
            if isinstance(other, BoundedConnection) and other.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        ]
        victim = min(waiting, key=lambda other: other._heard)  # this one waits too, so there always is one
        self.connections.discard(victim)  # now, as its end is heard of only in the loop's next turn
        victim.transport.abort()


def quieten_full_tables(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A loop's exception handler: that no descriptor is left is one line, not a traceback for each client."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in OUT_OF_FILES:
        logger.warning("no more connections can be taken at the moment: %s", error.strerror)
    else:
        loop.default_exception_handler(context)
