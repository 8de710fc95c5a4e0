"""Why a run ends before its jobs do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from manifest_runner.errors import (
    AccountPaused,
    CredentialsError,
    ManifestRunnerError,
    NeedsPerson,
    ServiceRefused,
)
from manifest_runner.service import Decision, decision_for, meaning_of, mend_for


class Stop:
    """Two ways to stop, each for the first reason that comes up: at once, or by sending nothing more."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: ManifestRunnerError | None = None  # the run ends now
        self.no_more: ManifestRunnerError | None = None  # what was sent is still brought home
        self.when_no_more: Callable[[], None] = lambda: None  # called when the second comes up

    def send_no_more(self, reason: ManifestRunnerError) -> None:
        self.no_more = self.no_more or reason
        self.when_no_more()

    def now(self, reason: ManifestRunnerError) -> None:
        if self.reason is None:
            self.reason = reason
            self._event.set()

    def may_send(self) -> bool:
        """Whether another job may still be sent."""
        return self.reason is None and self.no_more is None

    async def wait(self) -> None:
        await self._event.wait()


async def unless_stopped(stop: Stop, work: Coroutine[Any, Any, None]) -> None:
    """Wait for the work, or for a reason to stop, whichever comes first."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not working.done():
            working.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)
    if stop.reason is None:
        working.result()


def bug_in(where: str, error: Exception) -> ManifestRunnerError:
    """Something that we did not foresee: no new job is sent, and the ledger stays as true as it was."""
    return ManifestRunnerError(
        f"There is a bug in manifest-runner ({where}: {type(error).__name__}: {error}). The ledger is safe.",
        mend="Please report it. Running the same command again goes on with everything else.",
    )


def stops_the_run(error: ServiceRefused) -> ManifestRunnerError | None:
    """The reason to stop, when a refusal is one that every job would meet; None when it concerns one call."""
    decision = decision_for(error.code, error.http_status)
    if error.renewed:
        return None
    if decision in (
        Decision.STOP_RUN,
        Decision.PAUSE_CAMPAIGN,
        Decision.RENEW_TOKEN,
        Decision.CHECK_CLOCK,
    ):
        return reason_to_stop(decision, error)
    return None


def reason_to_stop(decision: Decision, error: ServiceRefused) -> ManifestRunnerError:
    """What to tell the person who has to mend it."""
    words = f" It says: {error.said}" if error.said else ""
    said = f"The service refuses to work: {meaning_of(error.code)} (code {error.code}).{words}"
    mend = mend_for(error.code)
    if decision is Decision.PAUSE_CAMPAIGN:
        return AccountPaused(said, mend=mend)
    if error.http_status == 401:
        return CredentialsError(said, mend=mend)
    return NeedsPerson(said, mend=mend)
