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

from manifest_runner.bounded_http import BoundedConnection

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


class Connection(BoundedConnection):
    """A client's connection."""

    def headers_within(self) -> float:
        return HEADERS_WITHIN

    def body_within(self) -> float:
        return BODY_WITHIN

    def most(self) -> int:
        return connection_limit()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(cast(asyncio.Transport, InOnePiece(transport, self.loop)))


def quieten_full_tables(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A loop's exception handler: that no descriptor is left is one line, not a traceback for each client."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in OUT_OF_FILES:
        logger.warning("no more connections can be taken at the moment: %s", error.strerror)
    else:
        loop.default_exception_handler(context)
