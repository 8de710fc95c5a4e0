"""Whose a ledger is: the account it is bound to, and the process that runs it now."""

from __future__ import annotations

import sqlite3

from manifest_runner.errors import LedgerMismatch
from manifest_runner.ledger import queries
from manifest_runner.ledger.records import Owner
from manifest_runner.models import utc_text


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
            f"This ledger holds jobs of {bound}; this run is for {account}.",
            mend="Keep one ledger and one output folder for each service: name others with --ledger and --out.",
        )


def set_owner(connection: sqlite3.Connection, owner: Owner) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO owner (one, host, pid, since) VALUES (1, ?, ?, ?)",
        (owner.host, owner.pid, utc_text(owner.since)),
    )


def clear_owner(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM owner")
