"""The Avatar API's calls. The only HTTP to the service (results are fetched by download.py)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx

from manifest_runner.errors import GarbledReply, ServiceRefused, UsageError
from manifest_runner.service import replies
from manifest_runner.service.auth import Credentials, TokenSource
from manifest_runner.service.base_url import check_base_url, host_of, is_loopback
from manifest_runner.service.cleaning import fits_path
from manifest_runner.service.codes import Decision, decision_for, meaning_of, mend_for
from manifest_runner.service.connections import Engine, http_client, pool
from manifest_runner.service.doubt import is_turned_away, proves_nothing_made
from manifest_runner.service.exchange import Exchange, carry_out, list_reply
from manifest_runner.service.listing import Listing
from manifest_runner.service.replies import Envelope, ResourcePack, SpokenAudio, Task, TaskPage
from manifest_runner.service.requests import CreateRequest, SpeechRequest
from manifest_runner.service.timeouts import Timeouts

LARGEST_PAGE, LAST_PAGE = 500, 1000

_AVATAR = "/v1/videos/avatar/image2video"
_SPEECH = "/v1/audio/tts"
_COSTS = "/account/costs"
_COSTS_PAUSE_SECONDS = 1.0
_TOKEN_TROUBLE = (Decision.RENEW_TOKEN, Decision.CHECK_CLOCK)


class AvatarClient:
    """The service, as `async with AvatarClient(base_url, credentials) as client`. Nothing is opened before.

    Every method raises ServiceRefused (an envelope that says no), GarbledReply (no envelope) or TransportFault
    (no answer). A look-up that 1003 or 1004 turned away is made once more with a new token. A paid call never is:
    one intent is one POST. The new token waits, and the refusal says by `renewed` that sending again may pass.

    Paid calls each get a connection of their own, closed afterwards: a kept connection that the other side
    has just closed would lose the answer, and put the job in doubt for nothing. Look-ups share kept ones; up to
    `connections` of them are under way at a time, and further ones wait for their turn.

    A proxy from the environment is used for https, as company networks need; never for this machine's own
    addresses, where a proxy could only be a mistake.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        timeouts: Timeouts | None = None,
        connections: int = 32,
        transport: httpx.AsyncBaseTransport | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.base_url = check_base_url(base_url)
        self.timeouts = timeouts or Timeouts()
        self._tokens = TokenSource(credentials)
        self._transport = transport  # stands in for the network in every call when given
        self._engine = engine  # None: the environment's
        self._by_proxy = not is_loopback(host_of(self.base_url))
        self._connections = connections
        self._open = contextlib.AsyncExitStack()
        self._clients: tuple[httpx.AsyncClient, httpx.AsyncClient] | None = (
            None  # for look-ups, for paid calls
        )
        self._clock_skew: timedelta | None = None
        self._unproven: int | None = None  # the generation of a renewed token that has not been accepted yet
        self._listing = Listing()
        self._look_ups = asyncio.Semaphore(connections)
        self._costs_lock = asyncio.Lock()
        self._costs_asked_at: float | None = None
        self.calls = 0  # requests of any kind, from when they are sent

    async def __aenter__(self) -> Self:
        shared = await self._open.enter_async_context(self._new_client(keep=self._connections))
        paid = (
            shared
            if self._transport is not None
            else await self._open.enter_async_context(self._new_client(keep=0))
        )
        self._clients = (shared, paid)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clients = None
        await self._open.aclose()

    @property
    def clock_skew(self) -> timedelta | None:
        """Service's clock minus ours, from the last answer that told; None before."""
        return self._clock_skew

    async def create(self, request: CreateRequest) -> Task:
        """Starts a task. What an error here proves is for `judge_create` to say.

        A task with another external_task_id than the one sent raises GarbledReply: it may be anybody's.
        """
        exchange = self._paid("Creating a task", _AVATAR, request)
        task = replies.task_from(await self._ask_once(exchange))
        if task.external_task_id not in (request.external_task_id, None):
            raise GarbledReply(f"{exchange.where}: the answer is about another task.", http_status=200)
        return task

    async def text_to_speech(self, request: SpeechRequest) -> SpokenAudio:
        """Speech for `audio_id`. Paid, and a lost answer can't be looked up again."""
        exchange = self._paid("Making speech", _SPEECH, request)
        return replies.audio_from(await self._ask_once(exchange))

    async def get(self, any_id: str) -> Task | None:
        """The task with this `task_id` or `external_task_id`; None when the service says there is none.

        Only the service's own 1203 with a 4xx says so. A gateway's "404 Not Found" raises GarbledReply: taken for
        "not there", it would let a job be paid twice.
        """
        exchange = self._look_up("Looking up a task", f"{_AVATAR}/{_path_segment(any_id)}")
        try:
            task = replies.task_from(await self._ask(exchange))
        except ServiceRefused as refusal:
            decision = decision_for(refusal.code, refusal.http_status)
            if decision is Decision.NOT_THERE and is_turned_away(refusal):
                return None
            raise
        if any_id != task.task_id and task.external_task_id not in (any_id, None):
            raise GarbledReply(f"{exchange.where}: the answer is about another task.", http_status=200)
        return task

    async def list_tasks(self, page: int = 1, page_size: int = 100) -> TaskPage:
        """One page of the account's tasks, in whatever order the service has them, at most `page_size` of them."""
        if not 1 <= page <= LAST_PAGE or not 1 <= page_size <= LARGEST_PAGE:
            raise UsageError(
                f"There is no page {page} of {page_size} tasks.",
                mend=f"Pages go from 1 to {LAST_PAGE}, with 1 to {LARGEST_PAGE} tasks each.",
            )
        path = f"{_AVATAR}?pageNum={page}&pageSize={page_size}"
        exchange = self._look_up(f"Listing tasks, page {page}", path)
        envelope = await self._ask(replace(exchange, most_bytes=list_reply(page_size)))
        return self._listing.page_from(envelope, page_size=page_size)

    async def resource_packs(self, start: datetime, end: datetime) -> tuple[ResourcePack, ...]:
        """The packs of the account between two moments. At most one call a second leaves here."""
        span = "&".join(
            f"{name}={_milliseconds(at)}" for name, at in (("start_time", start), ("end_time", end))
        )
        exchange = self._look_up("Asking for the resource packs", f"{_COSTS}?{span}")
        async with self._costs_lock:
            if self._costs_asked_at is not None:
                await asyncio.sleep(max(0.0, self._costs_asked_at + _COSTS_PAUSE_SECONDS - time.monotonic()))
            try:
                account = replies.account_envelope_from(await self._ask(exchange))
            finally:
                self._costs_asked_at = time.monotonic()
        if account.code != 0:
            raise self._refusal(account)
        return replies.packs_from(account)

    def _paid(self, where: str, path: str, body: CreateRequest | SpeechRequest) -> Exchange:
        return Exchange(
            where=where,
            method="POST",
            url=self.base_url + path,
            body=body,
            alone=True,
            seconds=self.timeouts.create_bound(body.body_bytes),
            timeout=self.timeouts.create(body.body_bytes),
        )

    def _look_up(self, where: str, path: str) -> Exchange:
        return Exchange(
            where=where,
            method="GET",
            url=self.base_url + path,
            seconds=self.timeouts.read_bound,
            timeout=self.timeouts.reads(),
        )

    async def _ask(self, exchange: Exchange) -> Envelope:
        """The envelope of a look-up that went well. The second try after a refused token runs within what is left
        of the first one's time, so that the bound of the call stays what `Timeouts` says."""
        over_at = time.monotonic() + exchange.seconds
        try:
            return await self._ask_once(exchange)
        except ServiceRefused as refusal:
            left = over_at - time.monotonic()
            if left < exchange.seconds / 2 or not refusal.renewed:
                raise
        return await self._ask_once(replace(exchange, seconds=left))

    def _mend_token(self, refusal: ServiceRefused, generation: int) -> bool:
        """Whether another token may pass where the one of this generation was refused; if so, the next one is that
        other. A renewed token that is refused at its first use gives no such hope."""
        decision = decision_for(refusal.code, refusal.http_status)
        proven = proves_nothing_made(refusal)  # else something may have been made all the same
        if decision not in _TOKEN_TROUBLE or not proven or not self._tokens.renewable:
            return False
        if generation != self._tokens.generation:
            return True  # calls at one time are refused together: another's refusal has renewed it already
        if generation == self._unproven:
            return False
        if decision is Decision.CHECK_CLOCK or self._clock_skew is not None:
            self._tokens.shift(self._clock_skew)
        else:
            self._tokens.renew()
        self._unproven = self._tokens.generation
        return True

    async def _ask_once(self, exchange: Exchange) -> Envelope:
        if self._clients is None:
            raise RuntimeError("AvatarClient is used outside its `async with`")
        shared, paid = self._clients
        async with contextlib.nullcontext() if exchange.alone else self._look_ups:
            token, generation = self._tokens.token(), self._tokens.generation
            self.calls += 1
            reply = await carry_out(paid if exchange.alone else shared, exchange, token)
        envelope = replies.parse_envelope(
            reply.raw,
            reply.http_status,
            where=exchange.where,
            retry_after=reply.retry_after,
            redact=lambda text: self._tokens.redact(text, token),
        )
        if reply.clock_skew is not None:
            # Only now, from an answer of the service's own: gateways have other clocks.
            self._clock_skew = reply.clock_skew
        if envelope.code != 0:
            refusal = self._refusal(envelope, reply.retry_after)
            refusal.renewed = self._mend_token(refusal, generation)
            raise refusal
        if not 200 <= reply.http_status < 300:
            raise GarbledReply(
                f"{exchange.where}: code 0 with HTTP {reply.http_status} says both yes and no.",
                http_status=reply.http_status,
                retry_after=reply.retry_after,
            )
        if generation == self._unproven:
            self._unproven = None
        return envelope

    def _new_client(self, *, keep: int) -> httpx.AsyncClient:
        return http_client(
            transport=self._transport,
            engine=self._engine,
            proxies_from_environment=self._by_proxy,
            timeout=self.timeouts.reads(),
            limits=pool(keep),
        )

    def _refusal(self, envelope: Envelope, retry_after: float | None = None) -> ServiceRefused:
        mend = mend_for(envelope.code)
        if (
            decision_for(envelope.code, envelope.http_status) in _TOKEN_TROUBLE
            and self._clock_skew is not None
        ):
            mend = f"{mend} The service's clock is {self._clock_skew.total_seconds():+.0f} s from this one's."
        return ServiceRefused(
            f"The service refuses: {meaning_of(envelope.code)}"
            f" (code {envelope.code}, HTTP {envelope.http_status}).",
            code=envelope.code,
            http_status=envelope.http_status,
            said=envelope.message,
            request_id=envelope.request_id,
            retry_after=retry_after,
            mend=mend,
        )


def _path_segment(any_id: str) -> str:
    """An id as one segment of a path."""
    if not fits_path(any_id):
        raise UsageError(f"{any_id!r} can't be the id of a task.", mend="Check the job's external_task_id.")
    return quote(any_id, safe="")


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
