"""The connections that downloads keep: a pool for each host, of few hosts."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from manifest_runner.service.addresses import Target
from manifest_runner.service.connections import Engine, http_client, pool

MOST_HOSTS = 8  # beside those in use
_KEPT = 16  # connections of each


@dataclass(slots=True)
class _Pool:
    """The connections to one host, and how many downloads are using them."""

    client: httpx.AsyncClient
    users: int = 0


class HostPools:
    """Pools go by name, although connections go to addresses: one that was made for one name, and whose certificate
    was checked against it, is never used for another that lives at the same address."""

    def __init__(self, timeout: httpx.Timeout, engine: Engine | None) -> None:
        self._timeout = timeout
        self._engine = engine  # None: the environment's
        self._pools: OrderedDict[tuple[str, str, int, str | None], _Pool] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pools)

    @contextlib.asynccontextmanager
    async def client_for(self, target: Target, proxy: str | None) -> AsyncIterator[httpx.AsyncClient]:
        """The client of a host, for the time of one answer."""
        key = (target.url.scheme, target.host, target.port, proxy)
        if key not in self._pools:
            client = http_client(timeout=self._timeout, limits=pool(_KEPT), proxy=proxy, engine=self._engine)
            self._pools[key] = _Pool(client)
        kept = self._pools[key]
        self._pools.move_to_end(key)
        kept.users += 1
        try:
            yield kept.client
        finally:
            kept.users -= 1
            await self._forget()

    async def _forget(self) -> None:
        """Closes what has been idle longest, where there are too many."""
        idle = [key for key, kept in self._pools.items() if not kept.users]
        for key in idle[: max(0, len(self._pools) - MOST_HOSTS)]:
            if (kept := self._pools.get(key)) and not kept.users:  # it may have been taken again meanwhile
                del self._pools[key]
                await kept.client.aclose()

    async def aclose(self) -> None:
        while self._pools:
            _, closed = self._pools.popitem()
            await closed.client.aclose()
