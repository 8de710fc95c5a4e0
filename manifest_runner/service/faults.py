"""The one place where httpx's exceptions become ours, and where it is said which of them prove "not sent".

Both transports raise the same kinds: aiohttp's are made into them in aiohttp_transport.py, which says why they hold.
Read in httpcore 1.0 (HTTP/1.1, which is all we speak, `retries=0`, which is its default), November 2026:

- ConnectError and ConnectTimeout come from the TCP connect and from the TLS handshake, through a proxy's tunnel
  too. No byte of the request is written before both are done.
- ProxyError comes from a proxy that refused CONNECT or a SOCKS handshake: there is no way to the service yet.
  A proxy whose connection *breaks* gives Read/Write/RemoteProtocolError instead and counts as maybe sent.
- PoolTimeout: the request never got a connection.
- UnsupportedProtocol, InvalidURL and LocalProtocolError sound like our own mistake before sending, but prove
  nothing: httpx reads the Location of a redirect even when it is not to follow it, and raises these *after* a POST
  was answered (seen with `302` and `Location: mailto:x`). Addresses and headers are checked before they come here.
- A WriteError while sending is swallowed there, and an answer is read nevertheless, so it surfaces as a ReadError
  or RemoteProtocolError: maybe sent. Aiohttp gives up at once.
- An idle connection that the server has closed is noticed before reuse and replaced. If the close crosses our
  request, the outcome is a ReadError or RemoteProtocolError, never a silent second sending: maybe sent. Paid calls
  avoid even that by never riding on a used connection (see client.py).
"""

from __future__ import annotations

import re

import httpx

from manifest_runner.errors import RequestPhase, TransportFault
from manifest_runner.service.cleaning import message_from

TRANSPORT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError)
"""What can come out of a call. OSError has TimeoutError (our own whole-call bound) and ssl.SSLError in it; ValueError
is what httpx makes of some addresses in a redirect that it only reads (`https://xn--0/`, `https://[`)."""

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (httpx.ConnectTimeout, "no connection came about in time"),
    (httpx.PoolTimeout, "no connection was free in time"),
    (httpx.ProxyError, "the proxy refused to connect"),
    (httpx.ConnectError, "no connection could be made"),
    (httpx.TimeoutException, "no answer came in time"),
    (TimeoutError, "the whole call took too long"),
    (httpx.RemoteProtocolError, "the connection was closed, or what came is no HTTP"),
    (httpx.NetworkError, "the connection broke"),
)
_NUMBERED = re.compile(r"^\[Errno -?\d+\] ")  # how Python begins what the system says


def transport_fault(error: Exception, where: str) -> TransportFault:
    """Our fault for one of TRANSPORT_ERRORS. `where` is the call as a person knows it, free of secrets.

    Raise it *after* the except block: httpx's exceptions hold the request with its headers, and neither
    `__cause__` nor `__context__` shall lead there.
    """
    phase = RequestPhase.NOT_SENT if isinstance(error, _NEVER_SENT) else RequestPhase.MAYBE_SENT
    return TransportFault(f"{where}: {fault_words(error)}.", phase=phase)


def fault_words(error: Exception) -> str:
    """What happened, in plain words. The exception's own text is used only where it can't hold a header."""
    words = next(
        (words for kind, words in _WORDS if isinstance(error, kind)), "the call could not be carried out"
    )
    if isinstance(error, httpx.ConnectError) and (detail := message_from(str(error), longest=200)):
        return f"{words} ({_NUMBERED.sub('', detail).rstrip('.')})"
    return words
