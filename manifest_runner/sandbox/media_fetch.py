"""Media that a create call names by URL, fetched with bounds on size, time, hops and where it may lead."""

from __future__ import annotations

import asyncio
from urllib.parse import urljoin

import httpx

from manifest_runner.sandbox.addresses import Address, ForbiddenAddress, NoTarget, Target, is_public, pin
from manifest_runner.sandbox.media_rules import too_large
from manifest_runner.sandbox.refusals import bad_parameter

MAX_HOPS = 3
DEADLINE = 20.0  # seconds for the whole file
REDIRECTS = (301, 302, 303, 307, 308)


class MediaFetcher:
    """Fetches with the client it is given. `allow_private` lifts the rule on addresses, for tests and intranets."""

    def __init__(self, client: httpx.AsyncClient, *, allow_private: bool) -> None:
        self._client = client
        self._allow_private = allow_private

    async def fetch(self, name: str, url: str, *, max_bytes: int) -> bytes:
        """The file at `url`. Raises Refusal naming the parameter; the address is not repeated."""
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._follow(name, url, max_bytes)
        except TimeoutError:
            raise bad_parameter(name, f"could not be fetched within {DEADLINE:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise bad_parameter(name, f"could not be fetched ({type(error).__name__})") from None

    async def _follow(self, name: str, url: str, max_bytes: int) -> bytes:
        for _ in range(MAX_HOPS + 1):
            target = await self._target(name, url)
            headers = {**target.headers, "Accept-Encoding": "identity"}
            async with self._client.stream(
                "GET", target.url, headers=headers, extensions=target.extensions
            ) as response:
                if response.status_code in REDIRECTS and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    continue
                if response.status_code != 200:
                    raise bad_parameter(
                        name, f"could not be fetched: its server answered {response.status_code}"
                    )
                return await _read(name, response, max_bytes)
        raise bad_parameter(name, f"leads through more than {MAX_HOPS} redirections")

    async def _target(self, name: str, url: str) -> Target:
        try:
            return await pin(url, self._allowed)
        except NoTarget:
            raise bad_parameter(name, "leads to something that is no usable http(s) URL") from None
        except ForbiddenAddress:
            raise bad_parameter(name, "leads to a private address") from None

    def _allowed(self, address: Address, _port: int) -> bool:
        return self._allow_private or is_public(address)


async def _read(name: str, response: httpx.Response, max_bytes: int) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > max_bytes:
            raise too_large(name, max_bytes)
    return bytes(data)
