"""The rescue journal: what the service answered while the ledger could not be written, kept beside it.

A ledger that breaks (a full disk, a failing one) stops new create calls at once; but those under way are still
answered, and tasks still end. What is learnt then goes into this file, whose room was taken while there was some,
and into the ledger at the next start. Without it nothing would be paid twice either, since the service is asked
about everything that is in doubt; with it nothing has to be asked, and what has no look-up is not lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from manifest_runner.errors import LedgerError
from manifest_runner.ledger import results, speeches, writes
from manifest_runner.ledger.transitions import IllegalTransition
from manifest_runner.models import JobState, ServiceStatus, utc_from, utc_text

_HEAD = "rescue journal of"
ROOM = 256 * 1024  # bytes: some six hundred answers

_WRITES: dict[str, Callable[..., Any]] = {
    write.__name__: write
    for write in (
        writes.accepted,
        writes.not_created,
        writes.ended,
        results.kept,
        results.expired,
        speeches.made,
        speeches.not_made,
    )
}
_VALUES: dict[str, Any] = {
    kind.__name__: kind for kind in (writes.Acceptance, writes.Ending, results.Keeping)
}
_WORDS: dict[str, Any] = {kind.__name__: kind for kind in (JobState, ServiceStatus)}


class Rescue:
    """The journal of one open ledger. Room is taken for it by `open`; `close` takes the file away if it is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._position = 0
        self._kept = 0

    def open(self, ledger_id: str) -> None:
        """Take the room, and say whose it is. Without any room the journal still tries, when it is needed."""
        with suppress(OSError):
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            head = json.dumps([_HEAD, ledger_id]).encode("ascii") + b"\n"
            os.pwrite(self._file, head.ljust(ROOM, b"\n"), 0)
            os.fsync(self._file)
            self._position = len(head)

    def keep(self, write: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Keep one write that the ledger would not take, if it is one that the service's answer was for."""
        if self._file is None or _WRITES.get(write.__name__) is not write:
            return
        line = json.dumps(
            [write.__name__, [*map(_encoded, args)], {k: _encoded(v) for k, v in kwargs.items()}]
        )
        with suppress(OSError):  # then the service will be asked, as after a crash
            self._position += os.pwrite(self._file, line.encode("ascii") + b"\n", self._position)
            self._kept += 1
            os.fsync(self._file)

    def close(self) -> None:
        if self._file is None:
            return
        mine = os.fstat(self._file)
        os.close(self._file)
        self._file = None
        with suppress(OSError):  # an empty journal says nothing to the next start either
            if not self._kept and os.path.samestat(mine, self.path.lstat()):
                self.path.unlink()


def journal_of(ledger: Path) -> Path:
    """The journal's place: one, by whatever link the ledger is named."""
    real = ledger.resolve()
    return real.with_name(f"{real.name}.rescue")


@dataclass(frozen=True, slots=True)
class Journal:
    """What an earlier run could not write into its ledger. `token` tells this journal from every other."""

    path: Path
    token: str
    entries: tuple[Callable[[sqlite3.Connection], Any], ...]

    def merge(self, connection: sqlite3.Connection) -> None:
        """Write all of it in one transaction, once: a start that is killed before the file is gone repeats nothing.

        Raises LedgerError for an entry that can't be written; then nothing of it is.
        """
        if connection.execute(
            "SELECT 1 FROM meta WHERE key = 'rescued' AND value = ?", (self.token,)
        ).fetchone():
            return
        for number, entry in enumerate(self.entries, start=1):
            connection.execute("SAVEPOINT entry")
            try:
                entry(connection)
            except IllegalTransition:  # the ledger knew it after all
                connection.execute("ROLLBACK TO entry")
            except (TypeError, AttributeError, KeyError, ValueError, sqlite3.IntegrityError) as error:
                raise _unreadable(self.path, number, error) from None
            connection.execute("RELEASE entry")
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('rescued', ?)", (self.token,))


def read_journal(path: Path, ledger_id: str) -> Journal | None:
    """The journal that an earlier run left; None when there is none.

    Raises LedgerError for a file that is no journal, or another ledger's. A last line that was cut off is left out.
    """
    if not path.is_file() or path.is_symlink():
        return None
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    token = hashlib.sha256(b"\n".join(lines)).hexdigest()
    if lines and (whose := _head_of(lines[0])) is not None:
        lines = lines[1:]
        if whose != ledger_id and lines:
            raise LedgerError(
                f"The rescue journal {path} is that of another ledger.",
                mend="Put it back beside its own ledger, or move it away to go on without it.",
            )
    elif len(lines) == 1 and not [*_decoded_lines(lines, path)]:
        raise _unreadable(path, 1, ValueError())  # somebody's file, or a first line that was cut off
    return Journal(path, token, tuple(_decoded_lines(lines, path)))


def _head_of(line: bytes) -> str | None:
    try:
        match json.loads(line):
            case [str() as name, str() as ledger_id] if name == _HEAD:
                return ledger_id
    except ValueError:
        return None
    return None


def _decoded_lines(lines: Sequence[bytes], path: Path) -> Iterator[Callable[[sqlite3.Connection], Any]]:
    for number, line in enumerate(lines, start=1):
        try:
            name, args, kwargs = json.loads(line)
            write = _WRITES[name]
            given = [_decoded(arg) for arg in args]
            named = {key: _decoded(value) for key, value in kwargs.items()}
        except (ValueError, KeyError, TypeError, ArithmeticError, AttributeError, RecursionError) as error:
            if number == len(lines):
                return
            raise _unreadable(path, number, error) from None
        yield partial(_again, write=write, args=given, kwargs=named)


def _unreadable(path: Path, number: int, error: Exception) -> LedgerError:
    return LedgerError(
        f"The rescue journal {path} can't be read (entry {number}: {type(error).__name__}).",
        mend="Move it away to go on without it: the service is then asked about what was under way.",
    )


def _again(
    connection: sqlite3.Connection,
    *,
    write: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    return write(connection, *args, **kwargs)


def _encoded(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: _encoded(getattr(value, field.name)) for field in fields(value)}
        return {"is": type(value).__name__, "value": content}
    if isinstance(value, JobState | ServiceStatus):
        return {"is": type(value).__name__, "value": value.value}
    if isinstance(value, Decimal):
        return {"is": "Decimal", "value": str(value)}
    if isinstance(value, datetime):
        return {"is": "datetime", "value": utc_text(value)}
    if isinstance(value, tuple):
        return {"is": "tuple", "value": [_encoded(part) for part in value]}
    return value


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kind, content = value["is"], value["value"]
    if kind in _VALUES:
        return _VALUES[kind](**{name: _decoded(part) for name, part in content.items()})
    if kind in _WORDS:
        return _WORDS[kind](content)
    if kind == "Decimal":
        return Decimal(content)
    if kind == "datetime":
        return utc_from(content)
    if kind == "tuple":
        return tuple(_decoded(part) for part in content)
    raise ValueError(f"a value of an unknown kind: {kind}")
