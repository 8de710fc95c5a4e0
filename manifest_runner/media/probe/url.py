"""What media URLs lead to, looked at with bounds: so many bytes, so many seconds, so many requests a host.

The service fetches the URL itself; this is to tell a person beforehand what it will find there. A manifest may come
from anybody and must not become a load on somebody's server, nor (see `bounded_get`) a way into a private network.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from functools import cached_property
from types import TracebackType
from urllib.parse import urljoin

import httpx

from manifest_runner.addresses import Address, is_public
from manifest_runner.bounded_get import MOST_HOPS, PHASE_SECONDS, Gone, TooMuch, Unreadable, ask, hop_of
from manifest_runner.http_logs import quiet_http_logs
from manifest_runner.media.limits import Objection
from manifest_runner.media.source import UrlSource, megabytes

SECONDS = 15.0  # for one URL: looking up names, all hops, and whatever its servers do to draw it out


class Refused(Exception):
    """The service would not take what is there."""

    def __init__(self, objection: Objection) -> None:
        super().__init__(objection.what)
        self.objection = objection


class Unknown(Exception):
    """It could not be looked at from here, which says little of whether the service can. The text says why."""


class UrlReader:
    """Reads what URLs lead to; may be asked from several threads. All of them together are bounded as well.

    The requests run in an event loop of their own, where a deadline ends a request whatever it is waiting for. Each
    has a client of its own: cookies are not kept, and what a cancelled request leaves behind is closed with it.
    """

    AT_ONCE = 2
    MOST_OF_A_HOST = 60  # requests
    MOST_FAILURES = 2  # of a host that is reached, and doesn't answer
    LOOK_SECONDS = 90.0  # from the first URL on; what is not read by then is left unknown

    def __init__(self, *, allowed: Callable[[Address], bool] = is_public) -> None:
        quiet_http_logs()  # a URL may carry a signature
        self._allowed = allowed
        self._lock = threading.Lock()  # for the three that follow
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # The rest is the loop's alone.
        self._stopping = asyncio.Event()
        self._turns = asyncio.Semaphore(self.AT_ONCE)
        self._ends: float | None = None
        self._lost: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Takes a while, and most manifests name no URL."""
        return httpx.create_ssl_context(trust_env=False)

    def __enter__(self) -> UrlReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends what is being read: its `read` raises Unknown."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._stopping.set)
            thread.join(PHASE_SECONDS)

    def read(self, source: UrlSource, most: int) -> bytes:
        """The bytes there, at most `most`. Raises Refused, Unknown."""
        with self._lock:
            if self._closed:
                raise Unknown("looking was given up")
            loop = self._loop = self._loop or self._start()
            answer = asyncio.run_coroutine_threadsafe(self._look(source, most), loop)
        try:
            return answer.result()
        except CancelledError:
            raise Unknown("looking was given up") from None

    def _start(self) -> asyncio.AbstractEventLoop:
        started: Future[asyncio.AbstractEventLoop] = Future()

        async def serve() -> None:
            started.set_result(asyncio.get_running_loop())
            await self._stopping.wait()  # then `run` cancels what is still going on

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="look-at-urls", daemon=True)
        self._thread.start()
        return started.result()

    async def _look(self, source: UrlSource, most: int) -> bytes:
        loop = asyncio.get_running_loop()
        if self._ends is None:
            self._ends = loop.time() + self.LOOK_SECONDS
        try:
            async with asyncio.timeout_at(self._ends), self._turns:
                if loop.time() >= self._ends:
                    raise TimeoutError
                return await self._follow(source, most)
        except TimeoutError:
            raise Unknown("there were too many URLs to look at all of them") from None

    async def _follow(self, source: UrlSource, most: int) -> bytes:
        url, host = source.url, ""
        try:
            async with asyncio.timeout(SECONDS):
                for _ in range(MOST_HOPS + 1):
                    hop = hop_of(url)
                    host = hop.host
                    self._admit(host)
                    found = await ask(hop, most, tls=self._tls, allowed=self._allowed)
                    if isinstance(found, bytes):
                        return found
                    url = urljoin(url, found)
        except Gone as error:
            raise Refused(_nothing_there(source, error.status)) from None
        except TooMuch:
            raise Refused(_too_large(source, most)) from None
        except Unreadable as error:
            raise Unknown(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise Unknown(self._failed(host, error)) from None
        raise Unknown(f"it leads through more than {MOST_HOPS} redirections")

    def _admit(self, host: str) -> None:
        if host in self._lost:
            raise Unknown("its host could not be reached before")
        if self._failures[host] >= self.MOST_FAILURES:
            raise Unknown("its host did not answer before")
        if self._asked[host] >= self.MOST_OF_A_HOST:
            raise Unknown(f"{self.MOST_OF_A_HOST} requests were sent to its host before")
        self._asked[host] += 1

    def _failed(self, host: str, error: Exception) -> str:
        """Why it is unknown; remembered, so that the next URL of the host need not find it out."""
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | socket.gaierror):
            self._lost.add(host)
            nameless = isinstance(error, socket.gaierror)
            return "no host of that name was found" if nameless else "its host could not be reached"
        if isinstance(error, httpx.HTTPError | OSError):
            self._failures[host] += 1
        if isinstance(error, TimeoutError):
            return f"it took more than {SECONDS:g} s"
        return f"it could not be read ({type(error).__name__})"


def out_of_reach(source: UrlSource) -> Objection:
    return Objection(
        f"{source.label} is an address of this machine or its network, which the service can't reach.",
        "Put the file where everybody can fetch it, or name its path here.",
        "URL that the service can't reach",
    )


def _nothing_there(source: UrlSource, status: int) -> Objection:
    return Objection(
        f"{source.label} leads to nothing: its server answers {status}.",
        "Mend the URL, or name the path of a file.",
        "URL that leads to nothing",
    )


def _too_large(source: UrlSource, most: int) -> Objection:
    return Objection(
        f"{source.label} leads to more than {megabytes(most)}, which the service does not take.",
        "Download it and name the file's path here: then it is made to fit.",
        "URL of a file that is too large",
    )
