"""What earlier commands found out about media, kept for the next: a thousand files are not read again to be known.

It is only speed. A file is known by its path, size and time of change, its facts by the hash of its content, so that
copies share them; what is sent is read and hashed again (`encode`). The cache lies in the user's own cache folder and
never in a campaign's, which may come from anybody. Whatever is wrong with it, it is done without.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.models import quantity_from

FOLDER_VARIABLE = "MANIFEST_RUNNER_CACHE"
"""Names another folder for the cache; empty, there is none."""

VERSION = 2
"""Raise it when probing the same content gives other facts, or the tables change."""

KEPT_DAYS = 90
URLS_KEPT_SECONDS = 24 * 3600
_RACY_SECONDS = 2.0  # a file that changed so lately may change again without its time of change telling

Facts = TypeVar("Facts", ImageFacts, AudioFacts)
FileKey = tuple[bytes, int, int, str]
"""Resolved path, size in bytes, time of change in nanoseconds, and what nobody can set back: inode and its change."""

_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER, changed TEXT, inode TEXT, sha256 TEXT, seen REAL
);
CREATE TABLE IF NOT EXISTS facts (kind TEXT, key TEXT, value TEXT, seen REAL, PRIMARY KEY (kind, key));
"""

_TROUBLE = (sqlite3.Error, ValueError, OverflowError)  # also of values that no column can hold

logger = logging.getLogger(__name__)


class ProbeCache:
    """May be asked from several threads. Without a connection it knows nothing and keeps nothing."""

    def __init__(self, connection: sqlite3.Connection | None = None) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._new: list[tuple[str, tuple[Any, ...]]] = []
        self._met: dict[tuple[type, str], Any] = {}  # in this command

    def sha256_of(self, key: FileKey) -> str | None:
        """The hash of a file's content, when it was read in this state before."""
        path, size, changed, inode = key
        found = self._one(
            "SELECT sha256 FROM files WHERE path = ? AND size = ? AND changed = ? AND inode = ?",
            (path, size, str(changed), inode),
        )
        return found if isinstance(found, str) else None

    def remember_file(self, key: FileKey, sha256: str) -> None:
        path, size, changed, inode = key
        now = time.time()
        if now - changed / 1e9 > _RACY_SECONDS:
            self._keep(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)",
                (path, size, str(changed), inode, sha256, now),
            )

    def facts(
        self, kind: type[Facts], key: str, *, younger_than: float = KEPT_DAYS * 86400.0
    ) -> Facts | None:
        """The facts under a content's hash (or a URL), when there are any of at most so many seconds ago."""
        if (kind, key) in self._met:
            return self._met[kind, key]  # type: ignore[no-any-return]
        found = self._one(
            "SELECT value FROM facts WHERE kind = ? AND key = ? AND seen > ?",
            (kind.__name__, key, time.time() - younger_than),
        )
        try:
            return _facts(kind, json.loads(found)) if found is not None else None
        except (ValueError, TypeError, KeyError, ArithmeticError):
            return None

    def remember_facts(self, key: str, facts: ImageFacts | AudioFacts) -> None:
        self._met[type(facts), key] = facts
        value = json.dumps(asdict(facts), default=str)
        self._keep(
            "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)",
            (type(facts).__name__, key, value, time.time()),
        )

    def save(self) -> None:
        """Write what is new, in one transaction, and forget what was not seen for long."""
        before = time.time() - KEPT_DAYS * 86400
        with self._lock:
            new, self._new = self._new, []
            if self._connection is None or not new:
                return
            try:
                with self._connection:
                    for statement, values in new:
                        self._connection.execute(statement, values)
                    self._connection.execute("DELETE FROM files WHERE seen < ?", (before,))
                    self._connection.execute("DELETE FROM facts WHERE seen < ?", (before,))
            except _TROUBLE as error:  # a full disk, or another command that holds it for long
                logger.debug("the media cache was not written: %s", error)

    def _one(self, statement: str, values: tuple[Any, ...]) -> Any:
        if self._connection is None:
            return None
        with self._lock:
            try:
                row = self._connection.execute(statement, values).fetchone()
            except _TROUBLE as error:
                logger.debug("the media cache was not read: %s", error)
                return None
        return row[0] if row else None

    def _keep(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._lock:
            self._new.append((statement, values))


@contextmanager
def open_cache(folder: Path | None = None) -> Iterator[ProbeCache]:
    """The cache in `folder`, by default the user's own; an empty one that keeps nothing where it can't be had."""
    connection = _connect(folder if folder is not None else default_folder())
    cache = ProbeCache(connection)
    try:
        yield cache
    finally:
        cache.save()
        if connection is not None:
            connection.close()


def default_folder() -> Path | None:
    """By MANIFEST_RUNNER_CACHE, else where the system keeps caches (XDG); None when the variable is empty."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named) if named else None
    base = os.environ.get("XDG_CACHE_HOME") or ""
    try:
        home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return home / "manifest-runner"


def _connect(folder: Path | None) -> sqlite3.Connection | None:
    if folder is None:
        return None
    file = folder / f"media-{VERSION}.sqlite3"
    try:
        folder.mkdir(
            mode=0o700, parents=True, exist_ok=True
        )  # the names of people's files are nobody else's business
        if not _is_ours_alone(folder):
            logger.debug("the media cache %s can be written by others: it is not used", folder)
            return None
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(file, timeout=2, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        logger.debug("there is no media cache: %s", error)
        return None
    try:
        connection.executescript(_TABLES)
    except sqlite3.Error as error:
        logger.debug("there is no media cache: %s", error)
        connection.close()
        return None
    return connection


def _is_ours_alone(folder: Path) -> bool:
    """Whether nobody else could have put something into it, as in a folder under /tmp."""
    found = folder.lstat()
    others = stat.S_IMODE(found.st_mode) & 0o022
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not others


def _facts(kind: type[Facts], value: Any) -> Facts:
    """Raises ValueError or TypeError for what no probe has found."""
    if not isinstance(value, dict):
        raise TypeError("facts are a mapping")
    facts: Facts = kind(**{name: _of_type(kind, name, one) for name, one in value.items()})
    return facts


def _of_type(kind: type[Facts], name: str, value: object) -> Any:
    wanted = {field.name: str(field.type) for field in fields(kind)}[name]
    if wanted == "Decimal":
        seconds = quantity_from(value)
        if seconds is None:
            raise ValueError(f"{name} is no number of seconds")
        return seconds
    types: dict[str, type] = {"int": int, "str": str, "bool": bool}
    if type(value) is not types[wanted] or (wanted == "int" and not 0 <= int(str(value)) <= 10**12):
        raise ValueError(f"{name} is no {wanted}")
    return value
