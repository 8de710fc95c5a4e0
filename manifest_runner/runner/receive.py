"""Receiving callbacks: each delivery is checked, answered at once, and passed on as a hint to ask the service."""

from __future__ import annotations

import contextlib
import hmac
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import unquote, urlsplit

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from manifest_runner.runner.doorway import Address, open_door
from manifest_runner.service.callbacks import (
    LARGEST_DELIVERY,
    Delivery,
    NotGenuine,
    SeenIds,
    Signatures,
    Unreadable,
    read_delivery,
)

MOST_READ = 1024 * 1024  # bytes of a delivery that is too large: read on so that its sender hears the answer

# Look-ups that strangers could cause where there is no secret: all of them, and those of one task.
UNSIGNED_A_SECOND, UNSIGNED_AT_ONCE = 100, 500
OF_ONE_A_SECOND, OF_ONE_AT_ONCE = 1, 10
MOST_REMEMBERED = 10_000  # tasks whose own allowance is known: about 3 MB


@contextlib.asynccontextmanager
async def receiving(
    hint: Callable[[str], None],
    *,
    address: Address,
    callback_url: str | None = None,
    signatures: Signatures | None = None,
    refused: Callable[[str], None],
    took: Callable[[], None] = lambda: None,
) -> AsyncIterator[None]:
    """Call `hint` with the ids of each task that may have ended by a new delivery, within the block.

    `took` is called for each delivery that is taken, `refused` with the reason for each that is not.
    """

    def take(delivery: Delivery) -> None:
        took()
        if delivery.may_have_ended:
            for identity in delivery.identities:
                hint(identity)

    async with deliveries(
        take, address=address, callback_url=callback_url, signatures=signatures, refused=refused
    ):
        yield


def deliveries(
    take: Callable[[Delivery], None],
    *,
    address: Address,
    callback_url: str | None,
    signatures: Signatures | None,
    refused: Callable[[str], None],
) -> AbstractAsyncContextManager[Address]:
    """Call `take` with each genuine, new delivery within the block; gives the address that is listened on.

    Signed deliveries may come to any path: rows have callback URLs of their own. Without a secret, the path (and the
    query, where it has one) of `callback_url` is the only thing that strangers don't know, and has to be right.
    `take` and `refused` have to be quick: the sender waits meanwhile. Raises UsageError when the address can't be
    taken.
    """
    desk = _Desk(take, callback_url=callback_url, signatures=signatures, refused=refused)
    return open_door(Starlette(routes=[Route("/{path:path}", desk.answer, methods=["POST"])]), address)


class _Refused(Exception):
    """A delivery that is not taken: the HTTP status it is answered with, and why, in our own words."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class _Desk:
    """Answers deliveries, each with the same small work."""

    def __init__(
        self,
        take: Callable[[Delivery], None],
        *,
        callback_url: str | None,
        signatures: Signatures | None,
        refused: Callable[[str], None],
    ) -> None:
        self._take = take
        self._refused = refused
        self._signatures = signatures
        self._seen = SeenIds()
        self._unsigned = _Unsigned()
        expected = None if callback_url is None or signatures is not None else urlsplit(callback_url)
        self._path = None if expected is None else unquote(expected.path) or "/"
        self._query = b"" if expected is None else expected.query.encode()

    async def answer(self, request: Request) -> Response:
        try:
            delivery = await self._read(request)
        except _Refused as refusal:
            self._refused(refusal.why)
            headers = {"Connection": "close"} if refusal.status == 413 else {}
            return JSONResponse({}, status_code=refusal.status, headers=headers)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody hears it
        if delivery.webhook_id is None or self._seen.is_new(delivery.webhook_id, now=time.monotonic()):
            self._take(delivery)
        return JSONResponse({})

    async def _read(self, request: Request) -> Delivery:
        if not self._is_for_us(request):
            raise _Refused(404, "it came to another path than the callback URL's")
        body = await _body(request)
        if body is None:
            raise _Refused(413, f"it is larger than {LARGEST_DELIVERY // 1024} KiB")
        try:
            delivery = read_delivery(request.headers, body, signatures=self._signatures, now=time.time())
        except NotGenuine as error:
            raise _Refused(401, str(error)) from None
        except Unreadable as error:
            raise _Refused(400, str(error)) from None
        if not delivery.signed and not self._unsigned.spend(delivery):
            raise _Refused(429, "too many come that nobody has signed")
        return delivery

    def _is_for_us(self, request: Request) -> bool:
        query = not self._query or hmac.compare_digest(request.scope["query_string"], self._query)
        return self._path is None or (request.scope["path"] == self._path and query)


async def _body(request: Request) -> bytes | None:
    """A request's body; None when it is too large, which is known once it was read, or most of it."""
    kept, total = bytearray(), 0
    async for chunk in request.stream():
        total += len(chunk)
        if total <= LARGEST_DELIVERY:
            kept += chunk
        elif total > MOST_READ:
            break
    return bytes(kept) if total <= LARGEST_DELIVERY else None


class _Unsigned:
    """What deliveries without a signature may cause: one noisy task uses up its own allowance, not everybody's."""

    def __init__(self) -> None:
        self._all = _Allowance(UNSIGNED_A_SECOND, UNSIGNED_AT_ONCE)
        self._of_one: OrderedDict[str, _Allowance] = OrderedDict()

    def spend(self, delivery: Delivery) -> bool:
        """Whether it may be taken. What causes no look-up uses up nothing of its task's."""
        looked_up = delivery.identities if delivery.may_have_ended else ()
        return all(self._of(identity).spend() for identity in looked_up) and self._all.spend()

    def _of(self, identity: str) -> _Allowance:
        known = self._of_one.pop(identity, None) or _Allowance(OF_ONE_A_SECOND, OF_ONE_AT_ONCE)
        self._of_one[identity] = known
        if len(self._of_one) > MOST_REMEMBERED:
            self._of_one.popitem(last=False)
        return known


class _Allowance:
    """So many a second, and so many at once after a quiet while."""

    def __init__(self, a_second: float, at_once: int) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._left = float(at_once)
        self._counted = time.monotonic()

    def spend(self) -> bool:
        """Take one; False when none is left."""
        now = time.monotonic()
        self._left = min(self._at_once, self._left + (now - self._counted) * self._a_second)
        self._counted = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
