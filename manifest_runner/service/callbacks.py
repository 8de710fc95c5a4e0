"""Callbacks: whether a delivery is the service's own, and which task it speaks of. No I/O.

A delivery is a reason to ask the service about a task, never news of it: nothing in it is believed, as it may be
forged where no secret is set, and old, repeated or out of order where one is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from standardwebhooks import Webhook

from manifest_runner.errors import UsageError
from manifest_runner.service.cleaning import id_from, message_from
from manifest_runner.service.strict_json import parse_json

LARGEST_DELIVERY = 64 * 1024  # bytes; a task's fields take about one kilobyte
TOLERANCE = 300  # seconds between the sender's clock and ours, either way: Standard Webhooks' own figure
MOST_SIGNATURES = 10  # looked at of one delivery
MOST_SEEN = 50_000  # webhook ids, about 14 MB; 80 deliveries a second for as long as one can be repeated

_PREFIX = "whsec_"
_MOMENT = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_WEBHOOK_ID = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)
_GOES_ON = frozenset({"submitted", "processing"})
_LONGEST_STATUS = 40


class NotGenuine(Exception):
    """A delivery that the account's secret did not sign, or not lately. Its text is ours, never the sender's."""


class Unreadable(Exception):
    """A delivery that is no JSON object naming a task. Its text is ours, never the sender's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What a delivery says: the task's two ids, and a status for people to read. `signed`: by the account's secret."""

    webhook_id: str | None
    task_id: str | None
    external_task_id: str | None
    status: str | None
    signed: bool

    @property
    def identities(self) -> tuple[str, ...]:
        """What the service can be asked about."""
        return tuple(identity for identity in (self.task_id, self.external_task_id) if identity is not None)

    @property
    def may_have_ended(self) -> bool:
        """Whether to ask is worth a call: not of a task that is said to be going on. A lie costs a later look."""
        return self.status not in _GOES_ON


class Signatures:
    """The webhook secrets of an account: one, or several while one takes another's place.

    Of `standardwebhooks` this takes the signing. Its own check of a delivery reads the wall clock by itself, takes
    any float as a time and text around Base64 as nothing, gives up at the first strange signature of several, and
    raises ValueError, binascii.Error and UnicodeDecodeError where the sender wrote nonsense (release 1.1.0).
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        """Raises UsageError, without repeating it, for a secret that is not `whsec_` followed by Base64."""
        self._webhooks = [Webhook(_key(secret)) for secret in secrets]

    def check(self, headers: Mapping[str, str], body: bytes, *, now: float) -> None:
        """Raise NotGenuine unless one of the secrets signed this body within five minutes of `now` (Unix seconds).

        `headers` have lower-case names. Every signature is compared with every secret's in constant time.
        """
        webhook_id, moment, given = (
            headers.get(f"webhook-{name}") for name in ("id", "timestamp", "signature")
        )
        if webhook_id is None or moment is None or given is None:
            raise NotGenuine("it is not signed")
        if _WEBHOOK_ID.fullmatch(webhook_id) is None or _MOMENT.fullmatch(moment) is None:
            raise NotGenuine("its id or its time is malformed")
        if abs(now - int(moment)) > TOLERANCE:
            raise NotGenuine("its time is more than five minutes from this machine's clock")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise NotGenuine("it is not UTF-8, so no signature of it can be right") from None
        signed_at = datetime.fromtimestamp(int(moment), UTC)
        expected = [webhook.sign(webhook_id, signed_at, text).encode() for webhook in self._webhooks]
        candidates = [candidate.encode() for candidate in given.split(" ")[:MOST_SIGNATURES]]
        if not any(hmac.compare_digest(one, other) for one in expected for other in candidates):
            raise NotGenuine("its signature is not by the account's webhook secret")


class SeenIds:
    """The webhook ids of deliveries that were taken, for as long as the same delivery would still pass as timely."""

    def __init__(self, *, within: float = 2.0 * TOLERANCE, most: int = MOST_SEEN) -> None:
        self._within = within
        self._most = most
        self._seen: OrderedDict[str, float] = OrderedDict()

    def is_new(self, webhook_id: str, *, now: float) -> bool:
        """Whether this id was not given before; it is remembered. `now` is of a clock that never goes back."""
        while self._seen and now - next(iter(self._seen.values())) > self._within:
            self._seen.popitem(last=False)
        if webhook_id in self._seen:
            return False
        self._seen[webhook_id] = now
        if len(self._seen) > self._most:  # the oldest would be taken twice, which costs a look-up
            self._seen.popitem(last=False)
        return True

    def __len__(self) -> int:
        return len(self._seen)


def read_delivery(
    headers: Mapping[str, str], body: bytes, *, signatures: Signatures | None, now: float
) -> Delivery:
    """What a delivery says, once it is known to be genuine. Raises NotGenuine, Unreadable.

    `signatures` are None where the account has no webhook secret: then anybody can have sent it.
    """
    if signatures is not None:
        signatures.check(headers, body, now=now)
    try:
        fields = parse_json(body)
    except ValueError as error:  # its text is ours: `it is cut off or no JSON`
        raise Unreadable(str(error)) from None
    if not isinstance(fields, dict):
        raise Unreadable("it is no JSON object")
    info = fields.get("task_info")
    delivery = Delivery(
        webhook_id=_webhook_id(headers),
        # The one delivery that was published calls it `id`, and its status `status`.
        task_id=id_from(fields.get("task_id")) or id_from(fields.get("id")),
        external_task_id=id_from(info.get("external_task_id")) if isinstance(info, dict) else None,
        status=message_from(fields.get("task_status") or fields.get("status"), longest=_LONGEST_STATUS),
        signed=signatures is not None,
    )
    if not delivery.identities:
        raise Unreadable("it names no task")
    return delivery


def _webhook_id(headers: Mapping[str, str]) -> str | None:
    webhook_id = headers.get("webhook-id", "")
    return webhook_id if _WEBHOOK_ID.fullmatch(webhook_id) else None


def _key(secret: str) -> bytes:
    encoded = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key or encoded == secret:
        raise UsageError(
            "The webhook secret is not `whsec_` followed by Base64.",
            mend="Copy it anew from the service's console into KLING_WEBHOOK_SECRET (several: separated by spaces).",
        )
    return key
