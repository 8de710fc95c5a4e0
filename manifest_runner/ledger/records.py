"""The ledger's rows as values: named tuples, since there are very many, and dataclasses take ten times as long."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import wraps
from types import MappingProxyType
from typing import Any, NamedTuple, ParamSpec, TypeVar

from manifest_runner.errors import LedgerError
from manifest_runner.models import JobState, Mode, ServiceStatus, Units, utc_from

P = ParamSpec("P")
R = TypeVar("R")

Readers = tuple[tuple[int, Callable[[Any], Any]], ...]
"""The places of the columns whose values are more than what SQLite has, and what reads each."""

_DECODER = json.JSONDecoder()


def as_runs_write_it(build: Callable[P, R]) -> Callable[P, R]:
    """Values that no run writes are told as what they are: a file that was changed, and no bug of ours."""

    @wraps(build)
    def built(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return build(*args, **kwargs)
        except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
            raise LedgerError(
                f"The ledger holds a value that no run writes ({error}).",
                mend="Restore it from a backup, or move it away and take the campaign's tasks up with `adopt --all`.",
            ) from error

    return built


class AttemptRecord(NamedTuple):
    """One paid create call (or the intent to make it), as the ledger knows it."""

    attempt_id: str
    external_task_id: str
    number: int
    fingerprint: str
    fingerprint_parts: Mapping[str, str]
    intent_at: datetime  # the first intent for this id: nothing older at the service can be ours
    sent_at: datetime  # the intent of the newest POST
    posts: int  # POSTs that may have left for this id
    settle_seconds: float  # how long after a POST the service may still be carrying it out
    units_reserved: Units
    key_id: str | None  # which key sent it, in a form that tells nothing else of it
    task_id: str | None
    accepted_at: datetime | None
    service_status: ServiceStatus | None
    service_message: str | None
    code: int | None
    request_id: str | None
    ended_at: datetime | None
    video_seconds: Decimal | None
    units_deducted: Units | None
    clock_skew: timedelta | None = (
        None  # service's clock minus ours at `intent_at`; None where it was not measured
    )
    earlier_parts: Mapping[str, str] | None = (
        None  # of an earlier POST with this id that may still have arrived
    )
    fitted: Mapping[str, str] = MappingProxyType({})  # what was done to its media, by the field's name

    @classmethod
    @as_runs_write_it
    def from_row(cls, row: Iterable[Any]) -> AttemptRecord:
        """Of a row of ATTEMPT_COLUMNS."""
        return cls._make(_read(row, _OF_AN_ATTEMPT))


class JobRecord(NamedTuple):
    """One job as the ledger knows it, with its attempts in the order they were made."""

    external_task_id: str
    campaign: str
    position: int
    state: JobState
    mode: Mode
    watermark: bool
    output: str
    tags: tuple[str, ...]
    vars: Mapping[str, str]
    units_estimated: Units | None
    queued_at: datetime
    why: str | None
    file: str | None
    watermark_file: str | None
    sha256: str | None
    bytes: int | None
    fetched_at: datetime | None
    listed: bool  # whether the manifest named it when it was last run
    line: int | None  # where the manifest has it
    changed: tuple[str, ...]  # the paid fields in which the manifest's row is no longer what was sent
    current: str | None = (
        None  # the attempt that the state speaks of; None where older versions wrote it: the newest
    )
    captions_file: str | None = None
    attempts: tuple[AttemptRecord, ...] = ()

    @property
    def attempt(self) -> AttemptRecord | None:
        """The attempt that the job's state speaks of: the newest, or an earlier one that its row went back to."""
        named = (one for one in self.attempts if one.attempt_id == self.current)
        return next(named, self.attempts[-1] if self.attempts else None)

    @classmethod
    @as_runs_write_it
    def from_row(cls, row: Iterable[Any], attempts: Sequence[AttemptRecord] = ()) -> JobRecord:
        """Of a row of JOB_COLUMNS."""
        return cls._make([*_read(row, _OF_A_JOB), tuple(attempts)])


class EventRecord(NamedTuple):
    """One transition of one job."""

    seq: int
    at: datetime
    external_task_id: str
    attempt_id: str | None
    from_state: JobState | None
    to_state: JobState
    why: str
    code: int | None
    request_id: str | None

    @classmethod
    @as_runs_write_it
    def from_row(cls, row: sqlite3.Row) -> EventRecord:
        return cls(
            seq=row["seq"],
            at=utc_from(row["at"]),
            external_task_id=row["external_task_id"],
            attempt_id=row["attempt_id"],
            from_state=JobState(row["from_state"]) if row["from_state"] else None,
            to_state=JobState(row["to_state"]),
            why=row["why"],
            code=row["code"],
            request_id=row["request_id"],
        )


class Owner(NamedTuple):
    """The runner that holds, or held, the ledger."""

    host: str
    pid: int
    since: datetime
    seen_at: datetime | None = None  # its last sign of life

    @classmethod
    @as_runs_write_it
    def from_row(cls, row: sqlite3.Row) -> Owner:
        return cls(
            host=row["host"],
            pid=row["pid"],
            since=utc_from(row["since"]),
            seen_at=moment_from(row["seen_at"]),
        )


# A record's fields are the columns, in the same order.
ATTEMPT_COLUMNS = ", ".join(AttemptRecord._fields)
JOB_COLUMNS = ", ".join(name for name in JobRecord._fields if name != "attempts")
ATTEMPTS = f"SELECT {ATTEMPT_COLUMNS} FROM attempts"  # noqa: S608 names of columns
JOBS = f"SELECT {JOB_COLUMNS} FROM jobs"  # noqa: S608 names of columns


def _read(row: Iterable[Any], readers: Readers) -> list[Any]:
    """A row's values as the record has them. By place, which takes half the time that names would."""
    values = list(row)
    for place, read in readers:
        if values[place] is not None:
            values[place] = read(values[place])
    return values


def _readers(fields: Sequence[str], **readers: Callable[[Any], Any]) -> Readers:
    return tuple((fields.index(name), read) for name, read in readers.items())


def _parsed(text: str) -> Any:
    """A JSON column. Most are empty, of very many rows."""
    if text == "{}":
        return {}
    if text == "[]":
        return []
    value, end = _DECODER.raw_decode(text)
    return value if end == len(text) else _DECODER.decode(text)  # which says what is wrong with it


def moment_from(text: Any) -> datetime | None:
    return utc_from(text) if text else None


def decimal_from(text: Any) -> Decimal | None:
    return Decimal(text) if text is not None else None


_OF_AN_ATTEMPT = _readers(
    AttemptRecord._fields,
    fingerprint_parts=_parsed,
    intent_at=utc_from,
    sent_at=utc_from,
    units_reserved=Decimal,
    accepted_at=utc_from,
    service_status=ServiceStatus,
    ended_at=utc_from,
    video_seconds=Decimal,
    units_deducted=Decimal,
    clock_skew=lambda seconds: timedelta(seconds=seconds),
    earlier_parts=_parsed,
    fitted=_parsed,
)
_OF_A_JOB = _readers(
    JobRecord._fields,
    state=JobState,
    mode=Mode,
    watermark=bool,
    tags=lambda text: tuple(_parsed(text)),
    vars=_parsed,
    units_estimated=Decimal,
    queued_at=utc_from,
    fetched_at=utc_from,
    listed=bool,
    changed=lambda text: tuple(_parsed(text)),
)
