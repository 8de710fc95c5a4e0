"""The ledger's rows as frozen values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from manifest_runner.errors import LedgerError
from manifest_runner.models import JobState, Mode, ServiceStatus, Units, utc_from

P = ParamSpec("P")
R = TypeVar("R")

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


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptRecord:
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
    fitted: Mapping[str, str] = field(default_factory=dict)  # what was done to its media, by the field's name

    @classmethod
    @as_runs_write_it
    def from_row(cls, row: sqlite3.Row) -> AttemptRecord:
        return cls(
            attempt_id=row["attempt_id"],
            external_task_id=row["external_task_id"],
            number=row["number"],
            fingerprint=row["fingerprint"],
            fingerprint_parts=_parsed(row["fingerprint_parts"]),
            earlier_parts=json.loads(row["earlier_parts"]) if row["earlier_parts"] else None,
            fitted=_parsed(row["fitted"]),
            intent_at=utc_from(row["intent_at"]),
            clock_skew=timedelta(seconds=row["clock_skew"]) if row["clock_skew"] is not None else None,
            sent_at=utc_from(row["sent_at"]),
            posts=row["posts"],
            settle_seconds=row["settle_seconds"],
            units_reserved=Decimal(row["units_reserved"]),
            key_id=row["key_id"],
            task_id=row["task_id"],
            accepted_at=_moment(row["accepted_at"]),
            service_status=ServiceStatus(row["service_status"]) if row["service_status"] else None,
            service_message=row["service_message"],
            code=row["code"],
            request_id=row["request_id"],
            ended_at=_moment(row["ended_at"]),
            video_seconds=decimal_from(row["video_seconds"]),
            units_deducted=decimal_from(row["units_deducted"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
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
    def from_row(cls, row: sqlite3.Row, attempts: Sequence[AttemptRecord] = ()) -> JobRecord:
        return cls(
            external_task_id=row["external_task_id"],
            campaign=row["campaign"],
            position=row["position"],
            state=JobState(row["state"]),
            mode=Mode(row["mode"]),
            watermark=bool(row["watermark"]),
            output=row["output"],
            tags=tuple(_parsed(row["tags"])),
            vars=_parsed(row["vars"]),
            units_estimated=decimal_from(row["units_estimated"]),
            queued_at=utc_from(row["queued_at"]),
            why=row["why"],
            file=row["file"],
            watermark_file=row["watermark_file"],
            sha256=row["sha256"],
            bytes=row["bytes"],
            fetched_at=_moment(row["fetched_at"]),
            listed=bool(row["listed"]),
            line=row["line"],
            changed=tuple(_parsed(row["changed"])),
            current=row["current"],
            captions_file=row["captions_file"],
            attempts=tuple(attempts),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRecord:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechRecord:
    """One distinct text and voice: the calls made for it and the audio that came back."""

    key: str
    asked_at: datetime
    calls: int
    answers: int
    audio_id: str | None
    seconds: Decimal | None
    made_at: datetime | None
    units_deducted: Units | None  # None: an answer without a figure
    external_task_id: str | None  # the job that it was first made for
    call_units: Units  # what a call was expected to cost
    figureless: int  # calls that were answered without a figure

    @property
    def calls_lost(self) -> int:
        """Calls whose answer never came. The service may have billed them."""
        return self.calls - self.answers

    @property
    def units_reserved(self) -> Units:
        """The worst case of what the service has given no figure for."""
        return (self.calls_lost + self.figureless) * self.call_units

    @classmethod
    @as_runs_write_it
    def from_row(cls, row: sqlite3.Row) -> SpeechRecord:
        return cls(
            key=row["key"],
            asked_at=utc_from(row["asked_at"]),
            calls=row["calls"],
            answers=row["answers"],
            audio_id=row["audio_id"],
            seconds=decimal_from(row["seconds"]),
            made_at=_moment(row["made_at"]),
            units_deducted=decimal_from(row["units_deducted"]),
            external_task_id=row["external_task_id"],
            call_units=Decimal(row["call_units"]),
            figureless=row["figureless"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """The runner that holds, or held, the ledger."""

    host: str
    pid: int
    since: datetime
    seen_at: datetime | None = None  # its last sign of life

    @classmethod
    @as_runs_write_it
    def from_row(cls, row: sqlite3.Row) -> Owner:
        return cls(
            host=row["host"], pid=row["pid"], since=utc_from(row["since"]), seen_at=_moment(row["seen_at"])
        )


def _parsed(text: str) -> Any:
    """A JSON column. Most are empty, of very many rows."""
    if text == "{}":
        return {}
    return [] if text == "[]" else _DECODER.decode(text)


def _moment(text: Any) -> datetime | None:
    return utc_from(text) if text else None


def decimal_from(text: Any) -> Decimal | None:
    return Decimal(text) if text is not None else None
