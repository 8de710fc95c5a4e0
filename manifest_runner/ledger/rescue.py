"""The rescue journal: what the service answered while the ledger could not be written, kept beside it.

A ledger that breaks (a full disk, a failing one) stops new create calls at once; but those under way are still
answered, and tasks still end. What is learnt then goes into this file, whose room was taken while there was some,
and into the ledger at the next start. Without it nothing would be paid twice either, since the service is asked
about everything that is in doubt; with it nothing has to be asked, and what has no look-up is not lost.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from manifest_runner.errors import LedgerError
from manifest_runner.ledger import speeches, writes
from manifest_runner.models import JobState, ServiceStatus, utc_from, utc_text

ROOM = 256 * 1024  # bytes: some six hundred answers

_WRITES: dict[str, Callable[..., Any]] = {
    write.__name__: write
    for write in (
        writes.accepted,
        writes.not_created,
        writes.ended,
        writes.kept,
        writes.expired,
        speeches.made,
        speeches.not_made,
    )
}
_VALUES: dict[str, Any] = {kind.__name__: kind for kind in (writes.Acceptance, writes.Ending, writes.Keeping)}
_WORDS: dict[str, Any] = {kind.__name__: kind for kind in (JobState, ServiceStatus)}


class Rescue:
    """The journal of one open ledger. Room is taken for it by `open`; `close` takes the file away if it is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._position = 0

    def open(self) -> None:
        """Take the room. Without any the journal still tries, when it is needed."""
        with suppress(OSError):
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            os.pwrite(self._file, b"\n" * ROOM, 0)
            os.fsync(self._file)

    def keep(self, write: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Keep one write that the ledger would not take, if it is one that the service's answer was for."""
        if self._file is None or _WRITES.get(write.__name__) is not write:
            return
        line = json.dumps(
            [write.__name__, [*map(_encoded, args)], {k: _encoded(v) for k, v in kwargs.items()}]
        )
        with suppress(OSError):  # then the service will be asked, as after a crash
            self._position += os.pwrite(self._file, line.encode("ascii") + b"\n", self._position)
            os.fsync(self._file)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if not self._position:
            with suppress(OSError):  # an empty journal says nothing to the next start either
                self.path.unlink(missing_ok=True)


def journal_of(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.rescue")


def rescued(path: Path) -> list[Callable[[sqlite3.Connection], Any]]:
    """The writes in a journal that an earlier run left, in their order; none when there is no journal.

    Raises LedgerError for a file that is no journal. A last line that was cut off is left out.
    """
    if not path.is_file() or path.is_symlink():
        return []
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    return [*_decoded_lines(lines, path)]


def _decoded_lines(lines: Sequence[bytes], path: Path) -> Iterator[Callable[[sqlite3.Connection], Any]]:
    for number, line in enumerate(lines, start=1):
        try:
            name, args, kwargs = json.loads(line)
            write = _WRITES[name]
            given = [_decoded(arg) for arg in args]
            named = {key: _decoded(value) for key, value in kwargs.items()}
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            if number == len(lines):
                return
            raise LedgerError(
                f"The rescue journal {path} can't be read (entry {number}: {type(error).__name__}).",
                mend="Move it away to go on without it: the service is then asked about what was under way.",
            ) from None
        yield partial(_again, write=write, args=given, kwargs=named)


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
    raise ValueError(f"a value of an unknown kind: {kind}")
