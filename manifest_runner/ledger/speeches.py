"""Text-to-speech calls: what was asked, answered and deducted.

The service has no look-up for them, so intent and answer are committed like a create's. The audio of one distinct
text and voice is kept under a `key` and made once; an answer that was lost stays counted as a call.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from json import dumps

from manifest_runner.ledger.records import as_runs_write_it, decimal_from, moment_from
from manifest_runner.ledger.transitions import IllegalTransition
from manifest_runner.models import Units, units_text, utc_from, utc_now, utc_text


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
            made_at=moment_from(row["made_at"]),
            units_deducted=decimal_from(row["units_deducted"]),
            external_task_id=row["external_task_id"],
            call_units=Decimal(row["call_units"]),
            figureless=row["figureless"],
        )


def speech(connection: sqlite3.Connection, key: str) -> SpeechRecord | None:
    row = connection.execute("SELECT * FROM speeches WHERE key = ?", (key,)).fetchone()
    return SpeechRecord.from_row(row) if row else None


def each_speech(connection: sqlite3.Connection, campaign: str) -> Iterator[SpeechRecord]:
    """A campaign's texts one by one, in no order: there may be as many as it has jobs."""
    rows = connection.execute("SELECT * FROM speeches WHERE campaign = ?", (campaign,))
    return map(SpeechRecord.from_row, rows)


def speeches_of(connection: sqlite3.Connection, campaign: str) -> list[SpeechRecord]:
    rows = connection.execute("SELECT * FROM speeches WHERE campaign = ? ORDER BY asked_at, key", (campaign,))
    return [SpeechRecord.from_row(row) for row in rows]


def speeches_for(connection: sqlite3.Connection, ids: Sequence[str]) -> list[SpeechRecord]:
    """The texts that were first spoken for these jobs, in the order they were asked for."""
    rows = connection.execute(
        "SELECT * FROM speeches WHERE external_task_id IN (SELECT value FROM json_each(?)) ORDER BY asked_at, key",
        (dumps(ids),),
    )
    return [SpeechRecord.from_row(row) for row in rows]


def asked(
    connection: sqlite3.Connection, key: str, campaign: str, *, external_task_id: str, call_units: Units
) -> None:
    """Commit that a text-to-speech call is about to leave. There is no look-up for a lost answer.

    What a text costs is shown with the job that it was first made for, however many jobs share it.
    """
    connection.execute(
        "INSERT INTO speeches (key, campaign, asked_at, calls, external_task_id, call_units) VALUES (?, ?, ?, 1, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET calls = calls + 1, asked_at = excluded.asked_at,"
        " call_units = excluded.call_units",
        (key, campaign, utc_text(utc_now()), external_task_id, units_text(call_units)),
    )


def made_elsewhere(connection: sqlite3.Connection, key: str, *, external_task_id: str, units: Units) -> None:
    """A text was spoken for a task that this ledger took up later: nothing tells what that cost, or its audio."""
    connection.execute(
        "INSERT OR IGNORE INTO speeches (key, campaign, asked_at, calls, answers, figureless, external_task_id,"
        " call_units) SELECT ?, campaign, ?, 1, 1, 1, external_task_id, ? FROM jobs WHERE external_task_id = ?",
        (key, utc_text(utc_now()), units_text(units), external_task_id),
    )


def not_made(connection: sqlite3.Connection, key: str) -> None:
    """The call surely reached nobody or was refused: it counts as answered, and costs nothing."""
    changed = connection.execute(
        "UPDATE speeches SET answers = answers + 1 WHERE key = ? AND answers < calls", (key,)
    ).rowcount
    if not changed:
        raise _no_question(key)


def made(
    connection: sqlite3.Connection,
    key: str,
    *,
    audio_id: str,
    seconds: Decimal | None,
    units: Units | None,
    request_id: str | None,
    made_at: datetime,
) -> SpeechRecord:
    """The audio is there. What it cost is added to what earlier calls for the same text cost."""
    row = connection.execute(
        "SELECT units_deducted FROM speeches WHERE key = ? AND answers < calls", (key,)
    ).fetchone()
    if row is None:
        raise _no_question(key)
    before = Decimal(row["units_deducted"]) if row["units_deducted"] is not None else None
    total = units if before is None else before + (units or Decimal(0))
    connection.execute(
        "UPDATE speeches SET answers = answers + 1, figureless = figureless + ?, audio_id = ?, seconds = ?,"
        " made_at = ?, units_deducted = ?, request_id = ? WHERE key = ?",
        (
            int(units is None),
            audio_id,
            str(seconds) if seconds is not None else None,
            utc_text(made_at),
            units_text(total) if total is not None else None,
            request_id,
            key,
        ),
    )
    return SpeechRecord.from_row(
        connection.execute("SELECT * FROM speeches WHERE key = ?", (key,)).fetchone()
    )


def _no_question(key: str) -> IllegalTransition:
    return IllegalTransition(f"An answer for speech {key!r} to which no question is open.")
