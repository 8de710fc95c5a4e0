"""How connections leave this machine: by which library, with which certificates, through which proxies."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import lru_cache
from urllib.request import getproxies, proxy_bypass

import httpx

from manifest_runner.errors import UsageError
from manifest_runner.http_logs import quiet_http_logs

TRANSPORT = "MANIFEST_RUNNER_TRANSPORT"
USER_AGENT = "manifest-runner"


class Engine(StrEnum):
    """What carries the requests. Both keep the same promises; the tests run on each."""

    AIOHTTP = "aiohttp"  # several times as many requests a second when many are under way
    HTTPX = "httpx"  # httpx's own transport, for networks where the other fails; it keeps no connection


def engine_from(environment: Mapping[str, str]) -> Engine:
    """The engine that the environment wants. UsageError when it names another."""
    wanted = environment.get(TRANSPORT) or Engine.AIOHTTP
    try:
        return Engine(wanted.strip().lower())
    except ValueError:
        raise UsageError(
            f"{TRANSPORT} is {wanted[:40]!a}, which is no transport.",
            mend=f"Set it to {' or '.join(Engine)}, or leave it out.",
        ) from None


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """The trusted authorities (SSL_CERT_FILE and SSL_CERT_DIR count). Read once: it takes longer than a call."""
    return httpx.create_ssl_context()


def pool(keep: int, seconds: float = 4.0) -> httpx.Limits:
    """A pool that keeps so many connections for so many seconds: a little less than the five after which many servers
    close them, for a request that crosses the closing is lost.

    None of our pools bounds how many are open. A request that is cancelled while it queues in httpcore's pool leaves a
    place there taken for ever (seen with httpcore 1.0.9, November 2026); so whoever has much to send queues outside.
    """
    return httpx.Limits(max_connections=None, max_keepalive_connections=keep, keepalive_expiry=seconds)


class _NoCookies(httpx.Cookies):
    """An answer's cookies are not even read: httpx would make several objects of each answer, mostly to find none."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Nothing is kept."""


class Client(httpx.AsyncClient):
    """One that keeps no cookie, whatever is sent or set."""

    @property
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:  # noqa: ARG002 - whatever it is
        raise TypeError("no cookie is kept")


_NO_COOKIES = _NoCookies()


@asynccontextmanager
async def answer_to(client: httpx.AsyncClient, request: httpx.Request) -> AsyncIterator[httpx.Response]:
    """Send a request as it is, with no more headers than it has but `User-Agent`; its answer, to be read within.

    Httpx's client has nothing of its own here to merge into a request, and would take its time to.
    """
    request.headers["User-Agent"] = USER_AGENT
    response = await client.send(request, stream=True)
    try:
        yield response
    finally:
        await response.aclose()


def http_client(
    *,
    timeout: httpx.Timeout,
    limits: httpx.Limits,
    proxies_from_environment: bool = False,
    proxy: str | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    engine: Engine | None = None,
) -> Client:
    """An HTTP/1.1 client that follows no redirect, keeps no cookie and logs no signature. Opens nothing.

    `transport` stands in for the network. `engine` is the environment's where it is None. Through a proxy it is always
    httpx's own transport: there it is told apart what a proxy refused (nothing was sent) from what broke behind it.
    UsageError when the environment names an engine that isn't, or a proxy that can't work.
    """
    quiet_http_logs()
    proxied = proxy is not None or (proxies_from_environment and _names_a_proxy())
    if transport is None and not proxied and (engine or engine_from(os.environ)) is Engine.AIOHTTP:
        from manifest_runner.service.aiohttp_transport import (  # noqa: PLC0415 - slow to import
            CarefulTransport,
        )

        transport = CarefulTransport(tls_context(), limits)
    try:
        return Client(
            transport=transport,
            verify=tls_context(),
            trust_env=proxies_from_environment,
            proxy=proxy,
            follow_redirects=False,
            timeout=timeout,
            limits=_keeping_none(limits),
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        # An unknown scheme, or SOCKS without its package. httpx's words can quote the proxy's password.
        raise UsageError(
            "The proxy that the environment names can't be used.",
            mend="Write HTTPS_PROXY and ALL_PROXY as http://HOST:PORT, or exempt the service by NO_PROXY.",
        ) from None


def _keeping_none(limits: httpx.Limits) -> httpx.Limits:
    """For httpx's own transport. It would take a second answer that came in one packet with the first for the answer to
    the next request, and each one after it for the next but one (seen with httpcore 1.0.9, November 2026)."""
    return httpx.Limits(max_connections=limits.max_connections, max_keepalive_connections=0)


def proxy_for(scheme: str, host: str) -> str | None:
    """The environment's proxy for a host, None where it names none or exempts the host."""
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _names_a_proxy() -> bool:
    """Whether any proxy may be meant for https. Which hosts are exempted from it is for httpx to say."""
    return not {"https", "all"}.isdisjoint(getproxies())
