"""Serving: the lock on the state folder, the socket, the parts put together, and an end without noise."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import av
import httpx
import uvicorn
from filelock import FileLock, Timeout
from PIL import Image
from starlette.applications import Starlette

from manifest_runner.errors import NeedsPerson, UsageError
from manifest_runner.sandbox.app import AvatarApi, build_app, show_tasks
from manifest_runner.sandbox.callbacks import Callbacks
from manifest_runner.sandbox.calls import CALLS_NAME, Calls
from manifest_runner.sandbox.connections import Connection, accept_backlog, quieten_full_tables
from manifest_runner.sandbox.folders import FILE_MODE, Folders
from manifest_runner.sandbox.intake import Intake
from manifest_runner.sandbox.media_fetch import MediaFetcher
from manifest_runner.sandbox.settings import SandboxSettings, webhook_key
from manifest_runner.sandbox.stand_in import make_stand_in
from manifest_runner.sandbox.store import open_store
from manifest_runner.sandbox.task import Task
from manifest_runner.sandbox.workshop import Workshop

LOCK_WAIT = 15.0  # seconds: a sandbox whose parent was killed may take a moment to end
KERNEL_QUEUE = 1024  # connections
GRACE = 2  # seconds that requests under way have to end


def serve(
    settings: SandboxSettings, *, ready: Callable[[str], None], stop_when: Callable[[], object] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, or until `stop_when`, called in a thread of its own, returns.

    `ready` is called with the base URL once the socket listens. Raises UsageError when the address can't be
    taken and NeedsPerson when the state folder can't be used. Sets the process's handlers for warnings and the
    log level of FFmpeg: meant to be what a process does.
    """
    # PyJWT warns about keys that RFC 7518 finds short; a pretended account may have any.
    warnings.filterwarnings("ignore", message="The HMAC key is")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    av.logging.set_level(None)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("manifest_runner.sandbox").setLevel(
        logging.INFO if settings.verbose else logging.WARNING
    )
    asyncio.run(_serve(settings, ready, stop_when))


async def _serve(
    settings: SandboxSettings, ready: Callable[[str], None], stop_when: Callable[[], object] | None
) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(quieten_full_tables)
    with _stop_on_signals(stop), contextlib.ExitStack() as held:
        if stop_when is not None:
            _stop_after(stop_when, stop)
        folders = Folders(settings.state)
        try:
            folders.claim()
            if not await _lock(folders, stop, held):
                return
            folders.prepare()
        except OSError as error:
            raise NeedsPerson(
                f"The sandbox can't use the folder {settings.state}: {error.strerror or error}.",
                mend="Free the disk or its rights, or choose another state folder.",
            ) from None
        listener = held.enter_context(_listen(settings))
        await _serve_on(listener, settings, folders, ready, stop)


async def _serve_on(
    listener: socket.socket,
    settings: SandboxSettings,
    folders: Folders,
    ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    base_url = _base_url(settings.host, listener)
    async with _assembled(settings, folders, base_url) as app:
        server = _Server(_uvicorn_config(app), when_listening=lambda: ready(base_url))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def _assembled(settings: SandboxSettings, folders: Folders, base_url: str) -> AsyncIterator[Starlette]:
    """All the parts, each opened here and closed in the reverse order."""
    key = None if settings.webhook_secret is None else webhook_key(settings.webhook_secret)
    stand_in = None if settings.previews else make_stand_in(folders)
    calls = Calls() if settings.count_calls else None
    with (
        open_store(folders.database, now_ms=_now_ms(), hasty=not settings.previews) as store,
        ThreadPoolExecutor(2, thread_name_prefix="check") as checkers,
    ):
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=10.0) as client,
            Callbacks(
                client, key=key, receiver=settings.receiver, allow_local=settings.allow_local_callbacks
            ) as callbacks,
        ):

            def announce(task: Task) -> None:
                if task.callback_url is not None:
                    since = _now_ms() - settings.retention_ms
                    callbacks.post(
                        task.callback_url, show_tasks([task], store, since_ms=since, base_url=base_url)[0]
                    )

            async with Workshop(
                store=store,
                folders=folders,
                settings=settings,
                on_change=announce,
                now_ms=_now_ms,
                stand_in=stand_in,
            ) as workshop:
                fetcher = MediaFetcher(client, allow_private=settings.allow_private_media)
                intake = Intake(
                    store=store, folders=folders, fetcher=fetcher, executor=checkers, now_ms=_now_ms
                )
                api = AvatarApi(
                    settings=settings,
                    folders=folders,
                    store=store,
                    workshop=workshop,
                    intake=intake,
                    executor=checkers,
                    now_ms=_now_ms,
                    own_base_url=base_url,
                    stand_in=stand_in,
                )
                yield build_app(api, settings, calls)
        if calls is not None:
            calls.write(settings.state / CALLS_NAME)


class _Server(uvicorn.Server):
    """Tells when it listens, and leaves signals to us: uvicorn raises them again, and the exit code is not 0."""

    def __init__(self, config: uvicorn.Config, *, when_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_listening = when_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            # The loop takes few at a time; more may wait in the kernel, or a new client would wait for a second.
            listener.listen(KERNEL_QUEUE)
        self._when_listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _uvicorn_config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        backlog=accept_backlog(),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE,
    )


@contextlib.contextmanager
def _stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """Only a main thread can listen for signals; elsewhere `stop_when` is the way to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _stop_after(wait: Callable[[], object], stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def watch() -> None:
        wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, name="stop-when", daemon=True).start()


async def _lock(folders: Folders, stop: asyncio.Event, held: contextlib.ExitStack) -> bool:
    """Hold the state folder's lock until `held` closes. False when told to stop while waiting for it."""
    lock = FileLock(folders.lock, mode=FILE_MODE)
    deadline = time.monotonic() + LOCK_WAIT
    while not stop.is_set():
        try:
            held.enter_context(lock.acquire(timeout=0))
        except Timeout:
            if time.monotonic() > deadline:
                raise NeedsPerson(
                    f"Another sandbox is serving the folder {folders.state}.",
                    mend="End it, or choose another state folder.",
                ) from None
            await asyncio.sleep(0.1)
        else:
            return True
    return False


def _listen(settings: SandboxSettings) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        # The protocol is named because asyncio turns Nagle's delay off only where it is: 40 ms an answer otherwise.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise UsageError(
            f"The sandbox can't listen on {settings.host} port {settings.port}: {error.strerror or error}.",
            mend="Choose another port (0 takes a free one) or host.",
        ) from None
    return listener


def _base_url(host: str, listener: socket.socket) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 compared, not bound
    shown = f"[{reachable}]" if ":" in reachable else reachable
    return f"http://{shown}:{listener.getsockname()[1]}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
