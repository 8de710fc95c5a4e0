"""A small HTTP server inside the running event loop, for strangers: bounded in connections, time and what it says.

It leaves signals, logging and the loop itself to the program around it, which is why uvicorn's protocol is used
here without uvicorn's server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from manifest_runner.bounded_http import BoundedConnection
from manifest_runner.errors import UsageError

REQUEST_WITHIN = 10.0  # seconds for a request's headers, and as long again for its body
REST_WITHIN = 30  # seconds between two requests of one connection
LARGEST_HEADERS = 16 * 1024  # bytes
MOST_CONNECTIONS = 256
KERNEL_QUEUE = 1024  # connections that wait to be taken
TURNS = 3  # of the loop, until a connection that was taken is known; asyncio fails on one whose server is closed before


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where to listen. Port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@contextlib.asynccontextmanager
async def open_door(app: ASGIApp, address: Address) -> AsyncIterator[Address]:
    """Serve `app` within the block; gives the address that it is really at. Raises UsageError when it can't be taken.

    With the block, what is still on its way is cut off: the sender has to try again, or to do without.
    """
    listener = await asyncio.to_thread(_listen, address)  # a host's name may have to be asked for
    config = uvicorn.Config(
        app,
        http=_Connection,
        lifespan="off",
        ws="none",
        log_config=None,
        log_level=logging.ERROR,  # below it: a line for each malformed request, from whoever likes to send them
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=REST_WITHIN,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
    )
    config.load()
    state = ServerState()
    # One that never reads its answers would hold its place for ever: each connection ends with its answer.
    state.default_headers = [(b"connection", b"close")]

    def connection() -> asyncio.Protocol:
        return _Connection(config=config, server_state=state, app_state={})

    # Few are taken in one turn of the loop, so that the bound is felt; more may wait in the kernel.
    server = await asyncio.get_running_loop().create_server(connection, sock=listener, backlog=_most() // 8)
    listener.listen(KERNEL_QUEUE)
    try:
        host, port = listener.getsockname()[:2]
        yield Address(host=host, port=port)
    finally:
        await _close(server, listener, state)


async def _close(server: asyncio.Server, listener: socket.socket, state: ServerState) -> None:
    asyncio.get_running_loop().remove_reader(listener)  # nobody is let in any more
    try:
        for _ in range(TURNS):
            await asyncio.sleep(0)
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
    await asyncio.gather(*state.tasks, return_exceptions=True)


def prove_free(address: Address) -> None:
    """Raises UsageError when the address can't be taken: before anything else begins that would then be cut short."""
    _listen(address).close()


def _listen(address: Address) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, bound = found[0]
        # The protocol is named because asyncio turns Nagle's delay off only where it is: 40 ms an answer otherwise.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(bound)
            listener.listen(1)  # here, as another's port is only refused now
        except BaseException:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = "it is no name or address of a host"
        if isinstance(error, OSError) and not isinstance(error, socket.gaierror):
            reason = error.strerror or str(error)
        raise UsageError(
            f"Callbacks can't be received on {address}: {reason}.",
            mend="Give --listen an address of this machine and a port that is free.",
        ) from None
    return listener


def _most() -> int:
    """How many connections may be open: a quarter of the process's files at most, which others need more."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, max(8, soft // 4))


class _Connection(BoundedConnection):
    """Its bounds are this room's."""

    def headers_within(self) -> float:
        return REQUEST_WITHIN

    def body_within(self) -> float:
        return REQUEST_WITHIN

    def most(self) -> int:
        return _most()
