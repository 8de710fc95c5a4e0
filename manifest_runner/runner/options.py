"""How a run goes about it, and where its campaign is sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from manifest_runner.runner.gauges import Gauges
from manifest_runner.runner.pace import Pace
from manifest_runner.service import Credentials, Timeouts

Listen = Callable[[Callable[[str], None]], AbstractAsyncContextManager[None]]
"""Called with what takes hints; receives callbacks within."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How a run goes about it; what it does is the plan's."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    pace: Pace | None = None  # how often to look at tasks; None: as suits the service
    task_timeout: float = 3600.0  # seconds a task may take before the run no longer waits for it
    same_account: bool = False  # a person says that a key which is new to the ledger is of the same account
    gauges: Gauges = field(default_factory=Gauges)  # what the run shows of itself
    callback_url: str | None = None  # for jobs that name none of their own
    listen: Listen | None = None  # within it, callbacks are received


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """Where the campaign is sent, and with whose key."""

    base_url: str
    credentials: Credentials
    key_id: str | None = None  # tells one key from another; None where it can't matter
    local: bool = False  # a sandbox of our own, started for this run
