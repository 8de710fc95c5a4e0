"""`manifest-runner`, with one thing going wrong inside its own process. Nothing of this is in the program itself.

python tests/faults/sabotage.py --kill-at after_post:2 -- run c.yaml
python tests/faults/sabotage.py --clock 3600 -- run c.yaml
python tests/faults/sabotage.py --ledger-pages 12 -- run c.yaml
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

STEPS = (
    "before_intent",
    "after_intent",
    "during_post",
    "after_post",
    "after_record",
    "before_ended",
    "after_ended",
    "before_rename",
    "after_rename",
    "after_done",
    "before_speech",
    "after_speech",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # the signal is on its way


class Killer:
    """Kills this process when a step is come to for the n-th time."""

    def __init__(self, step: str, nth: int) -> None:
        self.step, self.left = step, nth

    def at(self, step: str) -> None:
        if step == self.step:
            self.left -= 1
            if self.left == 0:
                die()

    def around(self, do: Callable[..., Any], before: str = "", after: str = "") -> Callable[..., Any]:
        @functools.wraps(do)
        def sync(*args: Any, **kwargs: Any) -> Any:
            self.at(before)
            value = do(*args, **kwargs)
            self.at(after)
            return value

        @functools.wraps(do)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            self.at(before)
            value = await do(*args, **kwargs)
            self.at(after)
            return value

        return coroutine if asyncio.iscoroutinefunction(do) else sync

    def lay_in_wait(self) -> None:
        from manifest_runner.ledger import writes
        from manifest_runner.runner import fetch
        from manifest_runner.service import AvatarClient

        writes.intend = self.around(writes.intend, before="before_intent")
        writes.ended = self.around(writes.ended, before="before_ended")
        fetch.settle = self.around(fetch.settle, before="before_rename", after="after_rename")
        real_create = AvatarClient.create

        async def create(client: AvatarClient, request: Any) -> Any:
            self.at("after_intent")
            if self.step == "during_post":
                asyncio.get_running_loop().call_later(0.03, self.at, "during_post")
            task = await real_create(client, request)
            self.at("after_post")
            return task

        AvatarClient.create = create  # type: ignore[method-assign]
        AvatarClient.text_to_speech = self.around(  # type: ignore[method-assign]
            AvatarClient.text_to_speech, before="before_speech", after="after_speech"
        )
        self._after_commits()

    def _after_commits(self) -> None:
        """A write is over when it was committed, not when its function came back."""
        from manifest_runner.ledger import Ledger

        steps = {"accepted": "after_record", "ended": "after_ended", "kept": "after_done"}
        real_write = Ledger.write

        async def write(ledger: Ledger, do: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = await real_write(ledger, do, *args, **kwargs)
            self.at(steps.get(do.__name__, ""))
            return value

        Ledger.write = write  # type: ignore[method-assign]


def shift_clock(seconds: float) -> None:
    """Every wall clock of this process is off by so much; the monotonic ones go on as they do."""
    from manifest_runner import models

    real_now, real_time, real_ns = models.utc_now, time.time, time.time_ns
    models.utc_now = lambda: real_now() + timedelta(seconds=seconds)
    time.time = lambda: real_time() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)


def fill_disk(pages: int) -> None:
    """SQLite itself says that the disk is full as soon as the ledger has so many pages."""
    from manifest_runner.ledger import ledger as module

    real_open = module.open_for_writing

    def open_small(path: Any) -> Any:
        connection = real_open(path)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    module.open_for_writing = open_small


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kill-at", metavar="STEP[:N]")
    parser.add_argument("--clock", type=float, default=0.0)
    parser.add_argument("--ledger-pages", type=int)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.clock:
        shift_clock(options.clock)
    if options.ledger_pages:
        fill_disk(options.ledger_pages)
    if options.kill_at:
        step, _, nth = options.kill_at.partition(":")
        if step not in STEPS:
            parser.error(f"{step} is none of {', '.join(STEPS)}")
        Killer(step, int(nth or 1)).lay_in_wait()
    from manifest_runner.cli.main import run

    return run([word for word in options.command if word != "--"])


if __name__ == "__main__":
    sys.exit(main())
