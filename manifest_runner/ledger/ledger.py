"""The ledger as a runner holds it: locked, bound to one account, with one writing thread."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from filelock import FileLock, Timeout

from manifest_runner.errors import LedgerBusy, LedgerError
from manifest_runner.ledger import ownership, queries
from manifest_runner.ledger.connection import (
    ledger_errors,
    open_for_reading,
    open_for_writing,
    private_folder,
)
from manifest_runner.ledger.records import Owner
from manifest_runner.ledger.rescue import Rescue, journal_of, read_journal
from manifest_runner.ledger.writer import Writer
from manifest_runner.models import utc_now, utc_text

NAME_SECONDS = 1.0

P = ParamSpec("P")
T = TypeVar("T")


class Ledger:
    """Reads at once, writes durably: `await ledger.write(writes.accepted, acceptance)`."""

    def __init__(self, path: Path, writer: Writer, reader: sqlite3.Connection, rescue: Rescue) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._rescue = rescue

    async def write(
        self, do: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one of `writes` in a transaction; back when it is durable.

        It may be run twice, when another one of the same transaction fails: its arguments are values, no iterators.
        Raises LedgerError when the file can't be written: from then on every write is refused, and what the service
        still answers is kept in the rescue journal.
        """
        return await self._writer.submit_from_loop(
            partial(_call, do, args, kwargs), partial(self._rescue.keep, do, args, kwargs)
        )

    def write_now(
        self, do: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for callers that have no event loop."""
        return self._writer.submit(
            partial(_call, do, args, kwargs), partial(self._rescue.keep, do, args, kwargs)
        ).result()

    def read(
        self, do: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one of `queries` on the reading connection."""
        with ledger_errors(self.path):
            return do(self._reader, *args, **kwargs)


def _call(
    do: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], connection: sqlite3.Connection
) -> T:
    return do(connection, *args, **kwargs)


@contextmanager
def open_ledger(path: Path, *, account: str, take_over: bool = False) -> Iterator[Ledger]:
    """Lock the ledger, bring it up to date, bind it to `account`.

    Raises LedgerBusy naming the runner that holds it, LedgerMismatch for another account's ledger, LedgerError
    for a file that can't be used. The lock is the kernel's: a runner that died no longer holds it. `take_over` is a
    person's word that the one the ledger names does not run any more, where we can't know.
    """
    with _locked(path):
        connection = open_for_writing(path)
        writer = Writer(connection, path)
        try:
            _refuse_live_owner(path, connection, take_over=take_over)
            writer.start()
            writer.submit(partial(ownership.bind_account, account=account)).result()
            rescue = _merged(path, writer)
            me = Owner(host=socket.gethostname(), pid=os.getpid(), since=utc_now())
            writer.submit(partial(ownership.set_owner, owner=me)).result()
            writer.give_signs_of_life(
                partial(ownership.sign_of_life, owner=me), partial(ownership.refuse_successor, owner=me)
            )
            try:
                with open_for_reading(path) as reader:
                    yield Ledger(path, writer, reader, rescue)
            finally:
                _forget_owner(writer, me)
                rescue.close()
        finally:
            writer.close()


def _refuse_live_owner(path: Path, connection: sqlite3.Connection, *, take_over: bool) -> None:
    """A person's word is enough for an owner that has given no sign of life for a while; not for one that just has."""
    now = utc_now()
    with ledger_errors(path):
        owner = queries.owner(connection)
    why = ownership.may_still_run(owner, socket.gethostname(), now) if owner else None
    if owner is None or why is None or (take_over and ownership.is_stale(owner, now)):
        return
    mend = (
        "Stop it first. If it is gone, wait a minute for its last sign of life to grow old, and run this again."
        if take_over
        else "Wait until it has ended, or stop it. If it surely does not run any more: --take-over."
    )
    raise LedgerBusy(
        f"The ledger {path} is that of process {owner.pid} on {owner.host}, since {utc_text(owner.since)}: {why}.",
        mend=mend,
    )


def _merged(path: Path, writer: Writer) -> Rescue:
    """Write what an earlier run could only put into its rescue journal; give back the journal of this one."""
    journal = journal_of(path)
    with ledger_errors(path):
        whose = writer.submit(queries.ledger_id).result()
        found = read_journal(journal, whose)
        if found is not None:
            writer.submit(found.merge).result()
            journal.unlink(missing_ok=True)
    rescue = Rescue(journal)
    rescue.open(whose)
    return rescue


def _forget_owner(writer: Writer, me: Owner) -> None:
    try:
        writer.submit(partial(ownership.clear_owner, owner=me)).result()
    except LedgerError:
        return  # the file broke during the run, which was said then; the lock itself is freed all the same


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with ledger_errors(path):
        private_folder(path.parent)
        lock = FileLock(f"{path.resolve()}.lock")  # one lock, by whatever link the ledger is named
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise _busy(path) from None
    try:
        yield
    finally:
        lock.release()


def _owner_by_name(path: Path) -> Owner | None:
    """Who holds the lock. The name is written a moment after the lock is taken, so it is asked for more than once."""
    until = time.monotonic() + NAME_SECONDS
    while True:
        with suppress(LedgerError), open_for_reading(path) as connection:
            owner = queries.owner(connection)
            if owner is not None:
                return owner
        if time.monotonic() > until:
            return None
        time.sleep(0.05)


def _busy(path: Path) -> LedgerBusy:
    owner = _owner_by_name(path)
    who = (
        f"process {owner.pid} on {owner.host}, since {utc_text(owner.since)}," if owner else "Another runner"
    )
    return LedgerBusy(
        f"{who[0].upper()}{who[1:]} holds the ledger {path}.",
        mend="Wait until it has ended, or stop it; `manifest-runner status` can be used meanwhile.",
    )
