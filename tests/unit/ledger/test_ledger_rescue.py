"""What is learnt while the ledger can't be written is there at the next start, and nothing else is."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.errors import LedgerError
from manifest_runner.ledger import enrolment, open_ledger, queries, results, speeches, writes
from manifest_runner.ledger.rescue import ROOM, journal_of
from manifest_runner.models import Job, JobState, ServiceStatus

WHEN = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
JOB = Job(external_task_id="a", image="a.png", sound_file="a.mp3", output="a.mp4")
ACCEPTED = writes.Acceptance(
    attempt_id="a", task_id="868", status=ServiceStatus.SUBMITTED, request_id="r", why="answered"
)
ENDED = writes.Ending(
    attempt_id="a",
    status=ServiceStatus.SUCCEED,
    message=None,
    video_seconds=Decimal("2.1"),
    units_deducted=Decimal("0.8"),
    request_id=None,
    ended_at=WHEN,
)
KEPT = results.Keeping(
    attempt_id="a", file="a.mp4", watermark_file=None, sha256="ab" * 32, bytes=7, video_seconds=Decimal("2.1")
)


def sent(ledger) -> None:
    entry = enrolment.Enrolment(job=JOB, position=0, units_estimated=None)
    ledger.write_now(enrolment.enrol, "c", [entry])
    intent = writes.Intent(
        job=JOB,
        fingerprint="1:f",
        fingerprint_parts={},
        settle_seconds=1,
        units_estimated=None,
        units_reserved=Decimal(1),
        why="test",
    )
    ledger.write_now(writes.intend, intent)


def fill_disk(ledger) -> None:
    """SQLite itself refuses from here on: the file may not grow, and has no room left inside."""

    def fill(connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    ledger.write_now(fill)
    with pytest.raises(LedgerError, match="full"):
        while True:
            ledger.write_now(writes.note, "a", "x" * 20_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def test_everything_that_was_answered_after_the_disk_was_full_is_there_at_the_next_start(path):
    with open_ledger(path, account="test") as ledger:
        sent(ledger)
        ledger.write_now(speeches.asked, "k", "c", external_task_id="a", call_units=Decimal("0.05"))
        fill_disk(ledger)
        for write, what in ((writes.accepted, ACCEPTED), (writes.ended, ENDED), (results.kept, KEPT)):
            with pytest.raises(LedgerError):
                ledger.write_now(write, what)
        with pytest.raises(LedgerError):
            ledger.write_now(
                speeches.made,
                "k",
                audio_id="x",
                seconds=Decimal(3),
                units=Decimal("0.05"),
                request_id=None,
                made_at=WHEN,
            )
    assert journal_of(path).exists()
    with open_ledger(path, account="test") as ledger:
        job = ledger.read(queries.job, "a")
        assert (job.state, job.file, job.attempt.task_id) == (JobState.DONE, "a.mp4", "868")
        assert (job.attempt.units_deducted, job.attempt.ended_at) == (Decimal("0.8"), WHEN)
        assert ledger.read(speeches.speech, "k").units_deducted == Decimal("0.05")
        events = [event.to_state for event in ledger.read(queries.events_of, "a")]
        assert events == [
            JobState.PENDING,
            JobState.SUBMITTING,
            JobState.RUNNING,
            JobState.RENDERED,
            JobState.DONE,
        ]
    assert not journal_of(path).exists()


async def test_also_when_nobody_waits_for_the_answer_any_more(path):
    with open_ledger(path, account="test") as ledger:
        sent(ledger)
        fill_disk(ledger)
        writing = asyncio.create_task(ledger.write(writes.accepted, ACCEPTED))
        await asyncio.sleep(0.05)
        await asyncio.gather(writing, return_exceptions=True)
    with open_ledger(path, account="test") as ledger:
        assert ledger.read(queries.job, "a").state is JobState.RUNNING


def test_room_is_taken_beforehand_and_given_back(path):
    with open_ledger(path, account="test"):
        assert journal_of(path).stat().st_size == ROOM
        assert journal_of(path).stat().st_mode & 0o777 == 0o600
    assert not journal_of(path).exists()


def test_what_the_ledger_knew_after_all_is_passed_over(path):
    entries = [["accepted", [{"is": "Acceptance", "value": acceptance_value()}], {}]] * 2
    with open_ledger(path, account="test") as ledger:
        sent(ledger)
    journal_of(path).write_text("\n".join(map(json.dumps, entries)) + "\n\n\n")
    with open_ledger(path, account="test") as ledger:
        assert ledger.read(queries.job, "a").state is JobState.RUNNING


def acceptance_value() -> dict[str, object]:
    return {
        "attempt_id": "a",
        "task_id": "868",
        "status": {"is": "ServiceStatus", "value": "submitted"},
        "request_id": None,
        "why": "answered",
    }


def test_an_intent_is_never_rescued(path):
    """What could not be recorded was not sent: there is nothing to remember."""
    with open_ledger(path, account="test") as ledger:
        sent(ledger)
        ledger.write_now(writes.not_created, "a", JobState.PENDING, "no slot")
        fill_disk(ledger)
        with pytest.raises(LedgerError):
            sent(ledger)
    assert not journal_of(path).exists()


@pytest.mark.parametrize(
    "line",
    [
        b'["drop_tables", [], {}]',
        b"not json",
        b'["accepted", [{"is": "Path", "value": "/"}], {}]',
        b'["kept", [{"is": "Keeping", "value": {"attempt_id": "a"}}], {}]',
        b"[]",
        b"7",
        b'["accepted", [{"is": "Decimal", "value": "seven"}], {}]',
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_kept(path, line):
    good = json.dumps(["accepted", [{"is": "Acceptance", "value": acceptance_value()}], {}]).encode()
    with open_ledger(path, account="test") as ledger:
        sent(ledger)
    journal_of(path).write_bytes(line + b"\n" + good + b"\n")
    with pytest.raises(LedgerError, match="entry 1") as refused, open_ledger(path, account="test"):
        pass
    assert "Move it away" in refused.value.mend
    assert journal_of(path).exists()
    # As the last line it is one that a crash cut off.
    journal_of(path).write_bytes(good + b"\n" + line + b"\n")
    with open_ledger(path, account="test") as ledger:
        assert ledger.read(queries.job, "a").state is JobState.RUNNING


def spoken_journal(path: Path, *more: str) -> None:
    """A ledger with a question that is open, and a journal with its answer."""
    with open_ledger(path, account="test") as ledger:
        sent(ledger)
        ledger.write_now(speeches.asked, "k", "c", external_task_id="a", call_units=Decimal("0.05"))
    made = [
        "made",
        ["k"],
        {
            "audio_id": "x",
            "seconds": {"is": "Decimal", "value": "3"},
            "units": {"is": "Decimal", "value": "0.05"},
            "request_id": None,
            "made_at": {"is": "datetime", "value": "2026-11-02T09:30:00.000Z"},
        },
    ]
    journal_of(path).write_text("\n".join([json.dumps(made), *more, ""]))


def spoken(path: Path) -> tuple[int, int, Decimal]:
    with open_ledger(path, account="test") as ledger:
        record = ledger.read(speeches.speech, "k")
        return record.calls, record.answers, record.units_deducted


def test_a_start_that_is_killed_after_the_merge_books_nothing_twice(path, monkeypatch):
    spoken_journal(path)
    left = journal_of(path).read_bytes()
    assert spoken(path) == (1, 1, Decimal("0.05"))
    journal_of(path).write_bytes(left)  # as if the file had not been taken away any more
    assert spoken(path) == (1, 1, Decimal("0.05"))


def test_an_entry_that_cannot_be_written_is_named_and_nothing_of_the_rest_is_booked(path):
    spoken_journal(path, '["accepted", ["no acceptance"], {}]', '["made", ["k"]')
    for _ in range(3):
        with pytest.raises(LedgerError, match="entry 2") as refused, open_ledger(path, account="test"):
            pass
    assert "Move it away" in refused.value.mend
    journal_of(path).unlink()
    assert spoken(path) == (1, 0, None)


def test_the_journal_of_another_ledger_is_refused(path, tmp_path):
    with open_ledger(path, account="test") as ledger:
        sent(ledger)
        fill_disk(ledger)
        with pytest.raises(LedgerError):
            ledger.write_now(writes.accepted, ACCEPTED)
    other = tmp_path / "other.sqlite3"
    with open_ledger(other, account="test"):
        pass
    journal_of(path).rename(journal_of(other))
    with pytest.raises(LedgerError, match="of another ledger"), open_ledger(other, account="test"):
        pass
    journal_of(other).rename(journal_of(path))
    with open_ledger(path, account="test") as ledger:
        assert ledger.read(queries.job, "a").state is JobState.RUNNING


def test_one_journal_by_whatever_link_the_ledger_is_named(path, tmp_path):
    link = tmp_path / "elsewhere" / "link.sqlite3"
    link.parent.mkdir()
    link.symlink_to(path)
    with open_ledger(link, account="test") as ledger:
        sent(ledger)
        fill_disk(ledger)
        with pytest.raises(LedgerError):
            ledger.write_now(writes.accepted, ACCEPTED)
    with open_ledger(path, account="test") as ledger:
        assert ledger.read(queries.job, "a").state is JobState.RUNNING
