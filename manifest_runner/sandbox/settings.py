"""What a sandbox is told when it starts, and how that reaches a process of its own."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict

from manifest_runner.errors import UsageError

MAX_RENDER_TIME = 7 * 86_400.0  # seconds
MIN_SPEED, MAX_SPEED = 0.001, 1_000_000.0  # the longest task would take ten days at the slowest
MIN_RETENTION, MAX_RETENTION = 0.1 / 86_400, 36_500.0  # days; house is kept four thousand times within one


@dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """`state` is the folder that everything is kept in; `retention_days` may be a fraction.

    A task takes as long as its rendering when neither `render_time` (seconds from its creation, at least) nor
    `speed` (a realistic duration, divided by this) is set. Without `previews` nothing is rendered: every task ends
    with the same tiny video. `allow_private_media` fetches media from private addresses too. Callbacks are posted to
    public addresses, to `receiver` (host and port) wherever it is, and with `allow_local_callbacks` to all of this
    machine. With `count_calls`, how often each endpoint was called is written into the state folder at the end. Raises
    UsageError for values that make no sense.
    """

    state: Path
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    api_key: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    slots: int = 5
    workers: int = 2
    render_time: float | None = None
    speed: float | None = None
    previews: bool = True
    retention_days: float = 30
    allow_private_media: bool = False
    receiver: tuple[str, int] | None = None
    allow_local_callbacks: bool = False
    count_calls: bool = False
    verbose: bool = False

    def __post_init__(self) -> None:
        wrong = {
            "An access key and a secret key are needed.": not (self.access_key and self.secret_key),
            "slots must be at least 1.": self.slots < 1,
            "workers must be at least 1.": self.workers < 1,
            "port must lie between 0 and 65535.": not 0 <= self.port <= 65535,
            "Give either a render time or a speed, not both.": None not in (self.render_time, self.speed),
            "The render time must lie between 0 seconds and 7 days.": self.render_time is not None
            and not 0 <= self.render_time <= MAX_RENDER_TIME,
            "The speed must lie between 0.001 and 1000000.": self.speed is not None
            and not MIN_SPEED <= self.speed <= MAX_SPEED,
            "The retention must lie between 0.1 seconds and 36500 days.": not MIN_RETENTION
            <= self.retention_days
            <= MAX_RETENTION,
        }
        for what, is_wrong in wrong.items():
            if is_wrong:
                raise UsageError(f"The sandbox can't start like this: {what}")
        if self.webhook_secret is not None:
            webhook_key(self.webhook_secret)

    @property
    def retention_ms(self) -> int:
        return round(self.retention_days * 86_400_000)

    @property
    def environment(self) -> dict[str, str]:
        """What a client of this sandbox finds its key under."""
        return {"KLING_ACCESS_KEY": self.access_key, "KLING_SECRET_KEY": self.secret_key}

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "state": str(self.state)})

    @classmethod
    def from_json(cls, text: str) -> SandboxSettings:
        values = json.loads(text)
        receiver = values["receiver"]
        state, receiver = Path(values["state"]), receiver and tuple(receiver)
        return cls(**{**values, "state": state, "receiver": receiver})


class KeyPair(TypedDict):
    access_key: str
    secret_key: str


def new_key_pair() -> KeyPair:
    """An access key and a secret key that nobody can guess, named as the settings name them."""
    return KeyPair(access_key=f"sandbox-{secrets.token_hex(8)}", secret_key=secrets.token_hex(32))


def webhook_key(secret: str) -> bytes:
    """The signing key in a webhook secret (`whsec_` and Base64). Raises UsageError without repeating the secret."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise UsageError("The webhook secret is not `whsec_` followed by Base64.")
    return key
