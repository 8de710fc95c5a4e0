"""Opening the ledger's file: the pragmas that make a commit durable, and the errors that a bad file gives."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from manifest_runner.disk import sync_folder
from manifest_runner.errors import LedgerError, LedgerMissing
from manifest_runner.ledger import queries
from manifest_runner.ledger.schema import CURRENT_VERSION, check_ours, migrate

RESTORE = (
    "Move it away together with all that lies beside it under its name (-wal, -shm, .rescue); then put a backup in its "
    "place. Without one, `manifest-runner adopt MANIFEST --all` makes a new ledger from the tasks that the service has."
)
BUSY_SECONDS = 10.0  # how long a statement waits for another process's short transaction


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The one writing connection. Makes the folder and the file; brings an older ledger up to date.

    synchronous=FULL: a committed intent must survive a power cut, or a paid create could be forgotten.
    """
    with ledger_errors(path):
        private_folder(path.parent)
        refuse_strange_companions(path)
        if not path.exists() or not path.stat().st_size:
            _make(path.resolve())
        elif _wal_of(path).exists():
            _refuse_strange_wal(path)
        return _connect_to_write(path)


def _connect_to_write(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        check_ours(connection)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # macOS: a plain fsync leaves the data in the drive's cache
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA foreign_keys = ON")
        _refuse_damage(connection, path)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """A new ledger, there in one step: made aside, then renamed.

    SQLite brings a file into WAL mode by way of a rollback journal. Killed on the way it would leave one beside the
    ledger, and such a file is refused.
    """
    if _wal_of(path).exists() and _wal_of(path).stat().st_size:
        raise LedgerError(
            f"{_wal_of(path)} belongs to a ledger that is not there.",
            mend="Put that ledger back beside it: the last of it stands in this file. Or move both away.",
        )
    aside = path.with_name(f"{path.name}.new")
    for suffix in ("", "-journal", "-wal", "-shm"):
        Path(f"{aside}{suffix}").unlink(missing_ok=True)
    for suffix in ("-wal", "-shm"):  # empty ones that a reader left
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    _connect_to_write(aside).close()
    aside.replace(path)
    sync_folder(path.parent)


def _wal_of(path: Path) -> Path:
    """The write-ahead log: what a run that was killed had committed last, and what SQLite adds to the file it finds."""
    return Path(f"{path.resolve()}-wal")


def _refuse_strange_wal(path: Path) -> None:
    """Raise LedgerError when the log and the file don't fit together, as when a backup was put beside the log.

    SQLite would lay the one over the other without a word. All of it is compared, on a connection that can't write.
    """
    connection = _connect_read_only(path)
    try:
        answer = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        lost = queries.jobs_without_their_attempt(connection) if answer == "ok" else []
    finally:
        connection.close()
    if answer != "ok" or lost:
        raise LedgerError(
            f"The ledger {path} and {_wal_of(path).name} beside it don't belong together.",
            mend=f"If you have put a backup there: take {_wal_of(path).name} away (it is of the ledger that was there "
            f"before), and put the backup there once more. Otherwise the file is damaged. {RESTORE}",
        )


def _refuse_damage(connection: sqlite3.Connection, path: Path) -> None:
    """Raise LedgerError for a file whose pages don't fit together: better before anything is sent than on the way.

    Some 0.3 s for a ledger of 100 MB; without the comparison of indexes, which takes several times as long.
    """
    answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if answer != "ok":
        raise LedgerError(f"The ledger {path} is damaged: {' '.join(str(answer).split())}.", mend=RESTORE)


def private_folder(folder: Path) -> None:
    """Make a folder that only its owner can look into: the ledger has people's texts and addresses of videos."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)


def refuse_strange_companions(path: Path) -> None:
    """Raise LedgerError for files beside the ledger that SQLite would follow to somewhere else.

    A rollback journal from a stranger can name any file for SQLite to delete, and we never leave one (the ledger is
    in WAL mode from its first day); a link in the place of the write-ahead log leads what is written to its target.
    """
    for suffix in ("-journal", "-wal", "-shm"):
        companion = Path(f"{path.resolve()}{suffix}")
        if companion.is_symlink() or (suffix == "-journal" and companion.exists()):
            raise LedgerError(
                f"{companion} lies beside the ledger, and is none of its own files.",
                mend="Find out whose it is, and move it away.",
            )


@contextmanager
def open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection, good at any time, also while a runner writes.

    A ledger of an older version is read from an up-to-date copy in memory. Raises LedgerMissing where there is none.
    """
    with ledger_errors(path):
        connection = _connect_read_only(path)
    try:
        # Only SQLite's errors: an OSError in here is about some other file of whoever reads.
        with sqlite_errors(path):
            yield connection
    finally:
        connection.close()


def _connect_read_only(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise LedgerMissing(
            f"There is no ledger at {path}.", mend="Run the campaign first, or name its ledger with --ledger."
        )
    refuse_strange_companions(path)
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
    )
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection if check_ours(connection) == CURRENT_VERSION else _newer_copy(connection)
    except BaseException:
        connection.close()
        raise


def _newer_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """What the connection sees, brought up to date in memory; the connection itself is closed."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with closing(connection):
            connection.backup(copy)
        copy.row_factory = sqlite3.Row
        migrate(copy)
        copy.execute("PRAGMA query_only = ON")
    except BaseException:
        copy.close()
        raise
    return copy


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """SQLite's and the file system's errors become LedgerError here, with the file's name."""
    try:
        with sqlite_errors(path):
            yield
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} can't be opened: {error.strerror or error}.",
            mend="Check the folder and its permissions, or name another place with --ledger.",
        ) from error


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerError(f"The ledger {path} can't be used: {error}.", mend=_mend(error)) from error


def _mend(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return "The disk is full: make room, then run the same command again."
    if name.startswith("SQLITE_NOTADB"):
        return f"It is no ledger: name another file with --ledger. If it was one, it is damaged. {RESTORE}"
    if name.startswith("SQLITE_CORRUPT"):
        return (
            "The file is damaged, or a backup was put beside another ledger's -wal: then take that away, and put the "
            f"backup there once more. {RESTORE}"
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return "Check that the folder exists and can be written, or name another place with --ledger."
    return "Nothing more is sent until it can be written; mend that and run the same command again."
