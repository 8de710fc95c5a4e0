"""Writes what it is given, from a thread of its own: nobody waits for a slow reader or a full disk but that thread."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from queue import SimpleQueue
from typing import TextIO

AGAIN_SECONDS = 0.05


class Pen:
    """`broken` once something could not be written: that is said once, and what comes later is dropped."""

    def __init__(self, out: TextIO, *, what: str) -> None:
        self.broken = False
        self._out = out
        self._what = what
        self._queue: SimpleQueue[tuple[bytes, Future[None]] | None] = SimpleQueue()
        self._last: Future[None] | None = None
        # A daemon, and never one that holds a lock of Python's own streams: a reader that takes nothing any more keeps
        # it in the kernel, and the program can end all the same.
        self._thread = threading.Thread(target=self._work, name="pen", daemon=True)
        self._thread.start()

    def write(self, content: bytes) -> None:
        """Hand it over, to be written after what was handed over before."""
        self._last = Future()
        self._queue.put((content, self._last))

    async def written(self) -> None:
        """Wait until all of it is written, or dropped. What was handed over is written also when this is cancelled."""
        if self._last is not None:
            await asyncio.shield(asyncio.wrap_future(self._last))

    def wait(self, seconds: float) -> None:
        """The same without an event loop. After so long the reader is given up on."""
        try:
            if self._last is not None:
                self._last.result(seconds)
        except TooLate:
            self._break("its reader takes nothing")

    def close(self, seconds: float) -> None:
        """Wait for the rest, not longer than that."""
        self.wait(seconds)
        self._queue.put(None)
        if not self.broken:
            self._thread.join(seconds)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            content, answer = item
            try:
                if not self.broken:
                    self._put(content)
            except Exception as error:  # noqa: BLE001 - whatever it is: it is told, and the run goes on without
                self._break(getattr(error, "strerror", None) or str(error) or type(error).__name__)
            finally:
                answer.set_result(None)  # somebody may wait for it

    def _put(self, content: bytes) -> None:
        try:
            number = self._out.fileno()
        except io.UnsupportedOperation:  # no file of the system's
            self._out.write(content.decode("utf-8"))
            self._out.flush()
            return
        rest = memoryview(content)
        while rest and not self.broken:
            try:
                rest = rest[os.write(number, rest) :]
            except BlockingIOError:  # a pipe that does not wait, and is full just now
                time.sleep(AGAIN_SECONDS)

    def _break(self, why: str) -> None:
        if not self.broken:
            self.broken = True
            with suppress(OSError, ValueError):  # nobody is there to be told
                print(  # noqa: T201 - said by whoever writes, to the person who runs it
                    f"{self._what} can't be written any more ({why}). The run goes on without.",
                    file=sys.stderr,
                )
