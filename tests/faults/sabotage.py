"""`manifest-runner`, with one thing going wrong inside its own process. Nothing of this is in the program itself.

python tests/faults/sabotage.py --kill-at after_post:2 -- run c.yaml
python tests/faults/sabotage.py --clock 3600 -- run c.yaml
python tests/faults/sabotage.py --leap=-28800:after_post:2 -- run c.yaml
python tests/faults/sabotage.py --longest-retry-after 1.5 -- run c.yaml
python tests/faults/sabotage.py --disk-from after_post:2 -- run c.yaml
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import datetime
import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass
class Trap:
    """Springs when a step is come to for the n-th time."""

    step: str
    left: int
    spring: Callable[[], None]


class Ambush:
    """Lies in wait at the steps of a job's way, with what is to happen there."""

    def __init__(self, *traps: Trap) -> None:
        self.traps = traps

    def at(self, step: str) -> None:
        for trap in self.traps:
            if trap.step == step:
                trap.left -= 1
                if trap.left == 0:
                    trap.spring()

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

    def lie_in_wait(self) -> None:
        from manifest_runner.ledger import writes
        from manifest_runner.runner import fetch
        from manifest_runner.service import AvatarClient

        writes.intend = self.around(writes.intend, before="before_intent")
        writes.ended = self.around(writes.ended, before="before_ended")
        fetch.settle = self.around(fetch.settle, before="before_rename", after="after_rename")
        real_create = AvatarClient.create

        async def create(client: AvatarClient, request: Any) -> Any:
            self.at("after_intent")
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


class WallClock:
    """Every wall clock of this process is off by so much; the monotonic ones go on as they do.

    Put in place before the program is imported: it takes `datetime` by name.
    """

    def __init__(self, off: float) -> None:
        self.off = off  # seconds

    def leap(self, seconds: float) -> None:
        self.off += seconds

    def put_in_place(self) -> None:
        real, real_time, real_ns = datetime.datetime, time.time, time.time_ns
        clock = self

        class Kind(type):
            def __instancecheck__(cls, value: object) -> bool:
                return isinstance(value, real)

        class Shifted(real, metaclass=Kind):
            __slots__ = ()

            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
                return real.now(tz) + datetime.timedelta(seconds=clock.off)

        datetime.datetime = Shifted  # type: ignore[misc]
        time.time = lambda: real_time() + clock.off
        time.time_ns = lambda: real_ns() + int(clock.off * 1e9)


def shorten_waits(longest: float) -> None:
    """The minute that a Retry-After is cut down to is shorter, so that a fault need not take a minute to be seen."""
    from manifest_runner.service import headers, retry

    headers.LONGEST_RETRY_AFTER = retry.LONGEST_RETRY_AFTER = longest


def count_disk_from_here() -> None:
    """failing_disk.c, which this process was started with, begins to count what is written."""
    ctypes.CDLL(None).count_from_here()


def step(text: str) -> tuple[str, int]:
    """`STEP[:N]`: a step, and which time that it is come to; the first unless it is said."""
    name, _, nth = text.partition(":")
    if name not in STEPS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(STEPS)}")
    return name, int(nth or 1)


def leap(text: str) -> tuple[float, tuple[str, int]]:
    seconds, _, where = text.partition(":")
    return float(seconds), step(where)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kill-at", type=step, metavar="STEP[:N]")
    parser.add_argument("--clock", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--leap", type=leap, metavar="SECONDS:STEP[:N]")
    parser.add_argument("--disk-from", type=step, metavar="STEP[:N]")
    parser.add_argument("--longest-retry-after", type=float, metavar="SECONDS")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    traps = []
    if options.clock or options.leap:
        clock = WallClock(options.clock)
        clock.put_in_place()
        if options.leap:
            seconds, where = options.leap
            traps.append(Trap(*where, lambda: clock.leap(seconds)))
    if options.disk_from:
        traps.append(Trap(*options.disk_from, count_disk_from_here))
    if options.longest_retry_after:
        shorten_waits(options.longest_retry_after)
    if options.kill_at:
        traps.append(Trap(*options.kill_at, die))
    if traps:
        Ambush(*traps).lie_in_wait()
    from manifest_runner.cli.main import run

    return run([word for word in options.command if word != "--"])


if __name__ == "__main__":
    sys.exit(main())
