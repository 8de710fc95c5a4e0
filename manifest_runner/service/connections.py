"""How connections leave this machine: certificates and the environment's proxies."""

from __future__ import annotations

import ssl
from functools import lru_cache
from urllib.request import getproxies, proxy_bypass

import httpx

from manifest_runner.errors import UsageError
from manifest_runner.http_logs import quiet_http_logs


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """The trusted authorities (SSL_CERT_FILE and SSL_CERT_DIR count). Read once: it takes longer than a call."""
    return httpx.create_ssl_context()


def http_client(
    *,
    timeout: httpx.Timeout,
    limits: httpx.Limits,
    proxies_from_environment: bool = False,
    proxy: str | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """An HTTP/1.1 client that follows no redirect and logs no signature. UsageError when the environment names a
    proxy that can't work."""
    quiet_http_logs()
    try:
        return httpx.AsyncClient(
            transport=transport,
            verify=tls_context(),
            trust_env=proxies_from_environment,
            proxy=proxy,
            follow_redirects=False,
            timeout=timeout,
            limits=limits,
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        # An unknown scheme, or SOCKS without its package. httpx's words can quote the proxy's password.
        raise UsageError(
            "The proxy that the environment names can't be used.",
            mend="Write HTTPS_PROXY and ALL_PROXY as http://HOST:PORT, or exempt the service by NO_PROXY.",
        ) from None


def proxy_for(scheme: str, host: str) -> str | None:
    """The environment's proxy for a host, None where it names none or exempts the host."""
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
