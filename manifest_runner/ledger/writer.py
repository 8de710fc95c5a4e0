"""The one thread that writes the ledger.

Writes that have queued up while the disk was busy are committed together (group commit), and only then answered:
whoever has an answer has it durably. When one of them fails all are made once more, each in a savepoint of its own, so
that it spoils no other; a write must therefore come to the same when it is made twice. When the file can't be written
any more the writer breaks for good, and every later write is refused at once, so that no create call can leave
unrecorded.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from manifest_runner.errors import LedgerError
from manifest_runner.ledger.connection import ledger_errors

T = TypeVar("T")

BATCH = 512  # writes a transaction at most; what a commit costs is hardly felt beyond
BEAT_SECONDS = 5.0

logger = logging.getLogger(__name__)


class _Write:
    """One write on its way. `loop`: that of the task which awaits the answer; None where a thread waits for it.

    `unwritten` is called when the ledger could not take it.
    """

    __slots__ = ("answer", "do", "error", "loop", "unwritten", "value")

    def __init__(
        self,
        do: Callable[[sqlite3.Connection], Any],
        answer: Future[Any] | asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop | None = None,
        unwritten: Callable[[], object] | None = None,
    ) -> None:
        self.do = do
        self.answer = answer
        self.loop = loop
        self.unwritten = unwritten
        self.value: Any = None
        self.error: Exception | None = None

    def is_wanted(self) -> bool:
        """Asked once, when its turn has come: from then on it can't be called off any more."""
        if isinstance(self.answer, Future):
            return self.answer.set_running_or_notify_cancel()
        return not self.answer.cancelled()

    def give_answer(self) -> None:
        """In the thread of whoever may set it."""
        if self.answer.cancelled():
            return  # nobody waits any more; what was written stays written
        if self.error is None:
            self.answer.set_result(self.value)
        else:
            self.answer.set_exception(self.error)


class Writer:
    """Owns the writing connection from `start()` to `close()`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._broken: LedgerError | None = None
        self._closed = False
        self._beat: Callable[[sqlite3.Connection], None] | None = None
        self._fence: Callable[[sqlite3.Connection], None] | None = None
        self._last_sign = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(
        self, do: Callable[[sqlite3.Connection], T], unwritten: Callable[[], object] | None = None
    ) -> Future[T]:
        """Queue one write. The future answers when it is durable, or holds what went wrong.

        `unwritten` is called in the writing thread, before the answer, when the ledger could not take it.
        """
        answer: Future[T] = Future()
        self._queue_up(_Write(do, answer, unwritten=unwritten))
        return answer

    def submit_from_loop(
        self, do: Callable[[sqlite3.Connection], T], unwritten: Callable[[], object] | None = None
    ) -> asyncio.Future[T]:
        """The same for a task to await. All tasks with a write in one transaction are woken at once."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._queue_up(_Write(do, answer, loop, unwritten))
        return answer

    def _queue_up(self, write: _Write) -> None:
        if self._closed:
            raise LedgerError(f"The ledger {self._path} has been closed.")
        self._queue.put(write)

    def close(self) -> None:
        """Finish what is queued and close the file."""
        self._closed = True
        if self._thread.ident is not None:  # else it was never started
            self._queue.put(None)
            self._thread.join()
        self._connection.close()

    def give_signs_of_life(
        self, beat: Callable[[sqlite3.Connection], None], fence: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Make the write `beat` every few seconds. `fence` goes first in each transaction from now on: a LedgerError
        of it is for good."""
        self._beat, self._fence = beat, fence

    def _next(self) -> _Write | None:
        """The next write; the sign of life is given between two of them when it is due, however many there are."""
        while True:
            due = self._last_sign + BEAT_SECONDS - time.monotonic()
            if due > 0:
                with suppress(queue.Empty):
                    return self._queue.get(timeout=due)
            self._last_sign = time.monotonic()
            if self._beat is not None:
                self._commit([_Write(self._beat, Future())])

    def _work(self) -> None:
        while (first := self._next()) is not None:
            batch, last = self._gather(first)
            self._commit([write for write in batch if write.is_wanted()])
            if last:
                return

    def _gather(self, first: _Write) -> tuple[list[_Write], bool]:
        """What has queued up behind the first, and whether the end was among it."""
        batch = [first]
        while len(batch) < BATCH:
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                break
            if write is None:
                return batch, True
            batch.append(write)
        return batch, False

    def _commit(self, batch: list[_Write]) -> None:
        if self._broken is None and batch:
            try:
                with ledger_errors(self._path):
                    self._transact(batch)
            except LedgerError as error:
                self._broken = error
        for write in batch:
            if self._broken is not None:
                write.error = self._broken
            if write.unwritten is not None and isinstance(write.error, LedgerError):
                _call(write.unwritten)
        _give_answers(batch)

    def _transact(self, batch: list[_Write]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            if self._fence is not None:
                self._fence(self._connection)
            execute("SAVEPOINT batch")
            if not _made_together(self._connection, batch):
                execute("ROLLBACK TO batch")
                for write in batch:
                    _make_apart(self._connection, write)
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise


def _made_together(connection: sqlite3.Connection, batch: Sequence[_Write]) -> bool:
    """Make them all without a savepoint each, for which SQLite would copy every page that a write changes.

    False when one of them failed, whatever the others did; the file's own errors are raised.
    """
    try:
        for write in batch:
            write.value = write.do(connection)
    except sqlite3.IntegrityError:
        return False
    except sqlite3.Error:
        raise
    except Exception:  # noqa: BLE001 - it comes again in `_make_apart`, which hands it on
        return False
    return True


def _make_apart(connection: sqlite3.Connection, write: _Write) -> None:
    connection.execute("SAVEPOINT one")
    try:
        write.value = write.do(connection)
    except sqlite3.IntegrityError as error:
        write.error = error  # a rule of ours was broken, not the file
        connection.execute("ROLLBACK TO one")
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - handed to whoever asked for this write
        # No task can be handed the end of an iterator.
        write.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")


def _call(unwritten: Callable[[], object]) -> None:
    try:
        unwritten()
    except Exception:
        logger.exception("what the ledger could not take is not kept elsewhere either")


def _give_answers(batch: Sequence[_Write]) -> None:
    """Answer threads at once, and wake each event loop once."""
    awaited: defaultdict[asyncio.AbstractEventLoop, list[_Write]] = defaultdict(list)
    for write in batch:
        if write.loop is None:
            write.give_answer()
        else:
            awaited[write.loop].append(write)
    for loop, writes in awaited.items():
        with suppress(RuntimeError):  # the loop has ended, and nobody in it waits any more
            loop.call_soon_threadsafe(_give_each, writes)


def _give_each(writes: Sequence[_Write]) -> None:
    for write in writes:
        write.give_answer()
