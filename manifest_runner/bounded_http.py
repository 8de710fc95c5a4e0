"""A server's end of HTTP connections, bounded in time and in number: strangers can't hold what others need.

Uvicorn's protocol on h11 lets a connection wait for ever, and answers some malformed requests twice (read in 0.54,
November 2026).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class BoundedConnection(H11Protocol, ABC):
    """A connection that is cut when its request does not arrive in time, or when others need its room."""

    _timer: asyncio.TimerHandle | None = None
    _timed: Any = None  # the state of the request (h11's word) that the timer runs for
    _heard: float = 0.0  # loop time of the last bytes

    @abstractmethod
    def headers_within(self) -> float:
        """Seconds for a request's headers, from the connection or from its first byte."""

    @abstractmethod
    def body_within(self) -> float:
        """Seconds for its body, from its headers."""

    @abstractmethod
    def most(self) -> int:
        """How many connections may be open."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._heard = self.loop.time()
        self._keep_time()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        super().data_received(data)
        self._keep_time()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is not h11.IDLE:  # one that rests is uvicorn's to close
            self._keep_time()  # of a request that has begun to arrive behind the one that was answered

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What can't be read as HTTP is answered with 400, unless it follows an answer that was given already.

        A request whose body goes wrong has its handler waiting, which must not answer once more.
        """
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.abort()

    def _keep_time(self) -> None:
        """One timer for all headers and one for the whole body: bytes that trickle in do not prolong them."""
        state = self.conn.their_state
        if state is self._timed:
            return
        self._stop_timer()
        if state in (h11.IDLE, h11.SEND_BODY):
            self._timed = state
            within = self.headers_within() if state is h11.IDLE else self.body_within()
            self._timer = self.loop.call_later(within, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timed = None

    def _make_room(self) -> None:
        """Above the bound, the connection that has been silent longest goes; one that is being answered never."""
        if len(self.connections) <= self.most():
            return
        waiting = [
            other
            for other in self.connections
            if isinstance(other, BoundedConnection) and other.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        ]
        silent = min(waiting, key=lambda other: other._heard)  # this one waits too, so there always is one
        self.connections.discard(silent)  # now, as its end is heard of only in the loop's next turn
        silent.transport.abort()
