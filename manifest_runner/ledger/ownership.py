"""Whose a ledger is: the account it is bound to, and the process that runs it now."""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

from manifest_runner.errors import LedgerBusy, LedgerMismatch
from manifest_runner.ledger import queries
from manifest_runner.ledger.records import Owner
from manifest_runner.models import utc_now, utc_text

STALE = timedelta(seconds=60)  # without a sign of life, which comes every few seconds


def bind_account(connection: sqlite3.Connection, account: str) -> None:
    """Tie a ledger from which nothing was sent yet to one service; refuse to use any other for another service."""
    refuse_other_account(connection, account)
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('account', ?)", (account,))


def refuse_other_account(connection: sqlite3.Connection, account: str) -> None:
    """Raise LedgerMismatch when the ledger's jobs were sent to another service than `account`.

    An id that is done on the sandbox is not done on the live service: one file must not hold both.
    """
    bound = queries.account(connection)
    if bound not in (None, account) and queries.anything_sent(connection):
        raise LedgerMismatch(
            f"This ledger holds jobs of {bound}, and {account} is meant here.",
            mend=f"If {bound} is meant, say so (`service:` in the manifest, or --service). Else keep one ledger and "
            "one output folder for each service: name others with --ledger and --out.",
        )


def may_still_run(owner: Owner, here: str, now: datetime) -> str | None:
    """Why the owner that the ledger names may still be at work although its lock is free; None when it is surely not.

    The lock is the kernel's and dies with its owner, so on one machine a free lock is nearly always proof. It is none
    when somebody deleted the lock's file, or on a network drive that keeps no locks between machines.
    """
    seen = owner.seen_at or owner.since
    if owner.host == here:
        # A number that another program has got meanwhile gives no sign of life in here.
        alive = _is_alive(owner.pid) and not is_stale(owner, now)
        return f"process {owner.pid} is alive, and gave a sign of life {_ago(now - seen)}" if alive else None
    return f"it runs on another machine ({owner.host}), and gave its last sign of life {_ago(now - seen)}"


def is_stale(owner: Owner, now: datetime) -> bool:
    """Whether its last sign of life is old, or of a clock that can't be right."""
    return abs(now - (owner.seen_at or owner.since)) >= STALE


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # we are not at work yet
    try:
        os.kill(pid, 0)
        # On Linux: a process that has ended, and whose parent has not taken note of it yet, still has its number.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process, or a system without /proc
        return True


def _ago(since: timedelta) -> str:
    seconds = max(0, round(since.total_seconds()))
    return f"{seconds} s ago" if seconds < 120 else f"{seconds // 60} min ago"


def set_owner(connection: sqlite3.Connection, owner: Owner) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO owner (one, host, pid, since, seen_at) VALUES (1, ?, ?, ?, ?)",
        (owner.host, owner.pid, utc_text(owner.since), utc_text(utc_now())),
    )


def sign_of_life(connection: sqlite3.Connection, owner: Owner) -> None:
    """Say that the owner is still at work."""
    connection.execute(
        "UPDATE owner SET seen_at = ? WHERE host = ? AND pid = ? AND since = ?",
        (utc_text(utc_now()), *_names(owner)),
    )


def refuse_successor(connection: sqlite3.Connection, owner: Owner) -> None:
    """Raise LedgerBusy when the ledger is no longer this owner's. Asked in every transaction: what is written after a
    take-over would be written into somebody else's run."""
    same = "SELECT 1 FROM owner WHERE host = ? AND pid = ? AND since = ?"
    if connection.execute(same, _names(owner)).fetchone() is None:
        raise LedgerBusy(
            "Another runner has taken the ledger over.",
            mend="This run has stopped: leave the campaign to the other.",
        )


def clear_owner(connection: sqlite3.Connection, owner: Owner) -> None:
    """Take this owner's name out; a successor's stays."""
    connection.execute("DELETE FROM owner WHERE host = ? AND pid = ? AND since = ?", _names(owner))


def _names(owner: Owner) -> tuple[str, int, str]:
    return owner.host, owner.pid, utc_text(owner.since)
