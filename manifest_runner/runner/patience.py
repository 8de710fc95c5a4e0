"""How long the watcher goes on asking a service that does not answer properly, and when it gives up."""

from __future__ import annotations

import asyncio
import random

from manifest_runner.errors import ServiceError, ServiceRefused, ServiceUnreachable
from manifest_runner.runner.stop import Stop, stops_the_run
from manifest_runner.service import next_delay

GIVE_UP_AFTER = 900.0  # seconds of nothing but failing calls


class Patience:
    """Tell it of each look that was `answered`; after one that failed it says how long to wait."""

    def __init__(self, stop: Stop, *, usual: float) -> None:
        self._stop = stop
        self._usual = usual  # seconds, where the error asks for no wait of its own
        self._failures = 0
        self._since: float | None = None  # event loop's clock
        self._rng = random.Random()  # noqa: S311 - spreads load, guards nothing

    def answered(self) -> None:
        self._failures, self._since = 0, None

    def wait_after(self, error: ServiceError) -> float | None:
        """Seconds; None when the run has to stop, which it is told."""
        now = asyncio.get_running_loop().time()
        self._failures += 1
        self._since = now if self._since is None else self._since
        if isinstance(error, ServiceRefused) and (reason := stops_the_run(error)) is not None:
            self._stop.now(reason)
            return None
        if now - self._since > GIVE_UP_AFTER:
            self._stop.now(
                ServiceUnreachable(
                    f"The service has not answered properly for {(now - self._since) / 60:.0f} minutes: {error.what}",
                    mend="The tasks go on there. Run the same command again when it answers.",
                )
            )
            return None
        return next_delay(error, self._failures, self._rng) or self._usual
