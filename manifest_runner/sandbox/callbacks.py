"""Callbacks: the task's fields, posted at every change of its status, signed when the account has a webhook secret.

A delivery is tried three times and then given up, as nothing may rely on it: polling is the safety net. It never
holds up the work. Its address is the client's word, so it must lead out to the internet, or to what was allowed when
the sandbox was started: one receiver, or all of this machine.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress

import httpx

from manifest_runner.sandbox.addresses import (
    Address,
    ForbiddenAddress,
    NoTarget,
    addresses_of,
    is_loopback,
    is_public,
    pin,
    plain,
)

WAITS = (0.0, 1.0, 4.0)  # seconds before each try
TIMEOUT = 5.0  # seconds for each try, its name's look-up included
AT_ONCE = 20

logger = logging.getLogger(__name__)


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of the Standard Webhooks scheme, version 1."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Callbacks:
    """Posts beside the work. Leaving the context gives up what is still on its way.

    `receiver`, a host and a port, is posted to wherever it is; with `allow_local` all of this machine is. Other private
    addresses never are: whoever writes a manifest could reach any service on this machine or its network.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        key: bytes | None,
        receiver: tuple[str, int] | None = None,
        allow_local: bool = False,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self._client = client
        self._key = key
        self._receiver = receiver
        self._receivers: set[tuple[Address, int]] = set()  # the same by its addresses
        self._allow_local = allow_local
        self._waits = waits
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Callbacks:
        if self._receiver is not None:
            host, port = self._receiver
            with suppress(OSError, UnicodeError):  # then nothing can be posted to it either, which is told
                self._receivers = {(plain(address), port) for address in await addresses_of(host, port)}
        return self

    async def __aexit__(self, *_: object) -> None:
        for delivery in self._under_way:
            delivery.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def post(self, url: str, fields: Mapping[str, object]) -> None:
        """Start a delivery and return at once."""
        body = json.dumps(fields).encode()
        delivery = asyncio.create_task(self._deliver(url, body))
        self._under_way.add(delivery)
        delivery.add_done_callback(self._under_way.discard)

    async def _deliver(self, url: str, body: bytes) -> None:
        message_id = f"msg_{uuid.uuid4().hex}"  # the same for each try: the receiver tells repeats by it
        try:
            for wait in self._waits:
                await asyncio.sleep(wait)
                async with self._gate:
                    if await self._try(url, message_id, body):
                        return
        except (ForbiddenAddress, NoTarget):
            logger.warning("a callback was not sent: its address is private, or can't be connected to")
        else:
            logger.warning("a callback was given up after %d tries", len(self._waits))

    async def _try(self, url: str, message_id: str, body: bytes) -> bool:
        """Whether the receiver took it. Raises ForbiddenAddress, NoTarget: another try would meet them again."""
        try:
            async with asyncio.timeout(TIMEOUT):
                target = await pin(url, self._allowed)
                headers = {**target.headers, **self._headers(message_id, body)}
                async with self._client.stream(
                    "POST", target.url, content=body, headers=headers, extensions=target.extensions
                ) as reply:
                    return reply.is_success
        except (httpx.HTTPError, OSError, UnicodeError):  # a time-out is an OSError
            return False

    def _allowed(self, address: Address, port: int) -> bool:
        named = (plain(address), port) in self._receivers
        return named or is_public(address) or (self._allow_local and is_loopback(address))

    def _headers(self, message_id: str, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            timestamp = int(time.time())
            headers |= {
                "webhook-id": message_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signature(self._key, message_id, timestamp, body),
            }
        return headers
