"""What a media URL leads to, looked at with bounds: so many bytes, so many seconds, few hops, public addresses only.

The service fetches the URL itself; this is to tell a person beforehand what it will find there. A manifest may come
from anybody and must not become a way into a private network: each hop's host is resolved here, every address it has
must be a public one, and the connection goes to the address that was checked.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urljoin, urlsplit

import httpx

from manifest_runner.addresses import Address, is_public
from manifest_runner.http_logs import quiet_http_logs
from manifest_runner.media.limits import Objection
from manifest_runner.media.source import UrlSource, megabytes

SECONDS = 15.0  # for one URL, all hops together
PHASE_SECONDS = 5.0  # to connect, and between two packets
MOST_HOPS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)


class Refused(Exception):
    """The service would not take what is there."""

    def __init__(self, objection: Objection) -> None:
        super().__init__(objection.what)
        self.objection = objection


class Unknown(Exception):
    """It could not be looked at from here, which says little of whether the service can. The text says why."""


class UrlReader:
    """Reads what URLs lead to. A host that could not be reached once is not tried again."""

    def __init__(self, *, allowed: Callable[[Address], bool] = is_public) -> None:
        quiet_http_logs()  # a URL may carry a signature
        self._allowed = allowed
        self._client = httpx.Client(
            timeout=httpx.Timeout(PHASE_SECONDS), follow_redirects=False, trust_env=False
        )
        self._lost: set[str] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> UrlReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def read(self, source: UrlSource, most: int) -> bytes:
        """The bytes there, at most `most`. Raises Refused, Unknown."""
        host = urlsplit(source.url).hostname or ""
        with self._lock:
            if host in self._lost:
                raise Unknown("its host could not be reached before")
        try:
            return self._follow(source, most, time.monotonic() + SECONDS)
        except (httpx.ConnectError, httpx.ConnectTimeout, socket.gaierror) as error:
            with self._lock:
                self._lost.add(host)
            nameless = isinstance(error, socket.gaierror)
            raise Unknown(
                "no host of that name was found" if nameless else "its host could not be reached"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise Unknown(f"it could not be read ({type(error).__name__})") from None

    def _follow(self, source: UrlSource, most: int, deadline: float) -> bytes:
        url = source.url
        for _ in range(MOST_HOPS + 1):
            pinned, headers, extensions = self._pin(url, source)
            with self._client.stream("GET", pinned, headers=headers, extensions=extensions) as response:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    continue
                if response.status_code in _GONE:
                    raise Refused(_nothing_there(source, response.status_code))
                if response.status_code != 200:
                    raise Unknown(f"its server answered {response.status_code}")
                return _read(response, source, most, deadline)
        raise Unknown(f"it leads through more than {MOST_HOPS} redirections")

    def _pin(self, url: str, source: UrlSource) -> tuple[httpx.URL, dict[str, str], dict[str, str]]:
        """The URL with a checked address for its host; the host's own name for the Host header and for TLS."""
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme not in ("http", "https") or not host:
            raise Unknown("it leads to something that is no http(s) URL")
        port = port or (443 if parts.scheme == "https" else 80)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not all(self._allowed(address) for address in addresses):
            raise Refused(out_of_reach(source))
        pinned = httpx.URL(url).copy_with(host=str(addresses[0]), port=port)
        headers = {"Host": parts.netloc.rpartition("@")[2], "Accept-Encoding": "identity"}
        return pinned, headers, {"sni_hostname": host}


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


def _read(response: httpx.Response, source: UrlSource, most: int, deadline: float) -> bytes:
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > most:
            raise Refused(
                Objection(
                    f"{source.label} leads to more than {megabytes(most)}, which the service does not take.",
                    "Download it and name the file's path here: then it is made to fit.",
                    "URL of a file that is too large",
                )
            )
        if time.monotonic() > deadline:
            raise Unknown(f"it took more than {SECONDS:.0f} s")
    return bytes(data)
