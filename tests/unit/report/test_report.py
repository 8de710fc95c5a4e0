"""The report of a ledger: valid against its schema, adding up exactly, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import json
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from manifest_runner.errors import NeedsPerson, UsageError
from manifest_runner.ledger import (
    Owner,
    enrolment,
    open_for_reading,
    open_ledger,
    ownership,
    results,
    speeches,
    writes,
)
from manifest_runner.ledger.limits import limit_changed
from manifest_runner.manifest import schema_text
from manifest_runner.media import DEFAULT_RATES
from manifest_runner.models import Job, JobState, ServiceStatus, utc_now
from manifest_runner.report import collect, summary_lines, write_reports


def job(key: str, **fields: object) -> Job:
    return Job(external_task_id=key, image="a.png", sound_file="a.mp3", output=f"{key}.mp4", **fields)


class Book:
    """A ledger filled as a run would fill it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(
        self,
        ledger,
        key: str,
        to: JobState,
        *,
        units: str | None = None,
        message: str | None = None,
        **fields,
    ):
        entry = job(key, **fields)
        ledger.write_now(
            enrolment.enrol, "c", [enrolment.Enrolment(job=entry, position=0, units_estimated=Decimal(2))]
        )
        if to is JobState.PENDING:
            return
        intent = writes.Intent(
            job=entry,
            fingerprint="1:f",
            fingerprint_parts={},
            settle_seconds=1,
            units_estimated=Decimal(2),
            units_reserved=Decimal(2),
            why="sent",
        )
        attempt = ledger.write_now(writes.intend, intent)
        if to is JobState.REJECTED:
            ledger.write_now(writes.not_created, attempt.attempt_id, to, message or "refused", code=1201)
            return
        accepted = writes.Acceptance(
            attempt_id=attempt.attempt_id,
            task_id="1",
            status=ServiceStatus.SUBMITTED,
            request_id="r",
            why="ok",
        )
        ledger.write_now(writes.accepted, accepted)
        if to is JobState.RUNNING:
            return
        ending = writes.Ending(
            attempt_id=attempt.attempt_id,
            status=ServiceStatus.FAILED if to is JobState.FAILED else ServiceStatus.SUCCEED,
            message=message,
            video_seconds=Decimal("3.2"),
            units_deducted=None if units is None else Decimal(units),
            request_id="r",
            ended_at=utc_now(),
        )
        ledger.write_now(writes.ended, ending)
        if to is JobState.EXPIRED:
            ledger.write_now(results.expired, attempt.attempt_id, "it was gone")
        if to is JobState.DONE:
            kept = results.Keeping(
                attempt_id=attempt.attempt_id,
                file=entry.output,
                watermark_file=None,
                sha256="0" * 64,
                bytes=10,
                video_seconds=Decimal("3.2"),
            )
            ledger.write_now(results.kept, kept)

    def report(self, folder: Path) -> tuple[dict, list[dict[str, str]], str]:
        with (
            open_for_reading(self.path) as connection,
            collect(
                connection, "c", rates=DEFAULT_RATES, manifest_name="c.yaml", service="sandbox"
            ) as report,
        ):
            files = write_reports(report, folder)
            summary = "\n".join(summary_lines(report, files))
        with files.csv.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return json.loads(files.json.read_text(encoding="utf-8")), rows, summary


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "ledger.sqlite3")


def test_every_outcome_adds_up_and_fits_the_schema(book, tmp_path):
    with open_ledger(book.path, account="sandbox") as ledger:
        book.add(ledger, "done-1", JobState.DONE, units="0.1")
        book.add(ledger, "done-2", JobState.DONE, units="0.2")
        book.add(ledger, "silent", JobState.DONE, units=None)
        book.add(ledger, "failed", JobState.FAILED, units="0", message="content risk control")
        book.add(ledger, "refused", JobState.REJECTED)
        book.add(ledger, "running", JobState.RUNNING)
        book.add(ledger, "waiting", JobState.PENDING)
        ledger.write_now(speeches.asked, "k", "c", external_task_id="done", call_units=Decimal("0.05"))
        ledger.write_now(
            speeches.made,
            "k",
            audio_id="a",
            seconds=None,
            units=Decimal("0.05"),
            request_id=None,
            made_at=utc_now(),
        )
        ledger.write_now(speeches.asked, "lost", "c", external_task_id="done", call_units=Decimal("0.05"))
    report, rows, summary = book.report(tmp_path / "out")
    Draft202012Validator(json.loads(schema_text("report"))).validate(report)
    totals = report["totals"]
    assert totals["units_deducted"] == "0.35", "decimal, not 0.35000000000000003"
    assert totals["jobs_units_unknown"] == 1
    assert totals["by_outcome"] == {"done": 3, "failed": 1, "rejected": 1, "running": 1, "pending": 1}
    deducted = {line["external_task_id"]: line["units_deducted"] for line in report["jobs"]}
    assert deducted["silent"] is None, "a figure that was not given is unknown, never 0"
    assert (deducted["refused"], deducted["failed"], deducted["waiting"]) == ("0", "0", None)
    assert len(rows) == totals["jobs"] == 7
    assert "gave no figure" in summary
    assert "content risk control" in summary
    assert "lost" in summary


def test_what_was_deducted_stands_beside_the_estimate_of_the_same_videos(book, tmp_path):
    """Each was estimated at 2: neither rows that were not sent, nor failures, nor unknown costs are compared."""
    with open_ledger(book.path, account="sandbox") as ledger:
        for key, to, units in (
            ("one", JobState.DONE, "1.9"),
            ("two", JobState.EXPIRED, "2"),
            ("silent", JobState.DONE, None),
            ("failed", JobState.FAILED, "0"),
            ("refused", JobState.REJECTED, None),
            ("running", JobState.RUNNING, None),
            ("waiting", JobState.PENDING, None),
        ):
            book.add(ledger, key, to, units=units)
    _, _, summary = book.report(tmp_path / "out")
    assert "Units deducted: 3.9 (the estimate for the 2 videos made: 4)." in summary


def test_units_that_are_held_back_are_told_with_their_jobs(book, tmp_path):
    with open_ledger(book.path, account="sandbox") as ledger:
        book.add(ledger, "done", JobState.DONE, units="2")
        _, _, summary = book.report(tmp_path / "out")
        assert "Held back" not in summary
        book.add(ledger, "silent", JobState.DONE, units=None)  # nothing more will be heard of it
        book.add(ledger, "refused", JobState.REJECTED)
        for number in range(4):
            book.add(ledger, f"r{number}", JobState.RUNNING)
        book.add(ledger, "lost", JobState.RUNNING)
        ledger.write_now(
            lambda connection: connection.execute(
                "UPDATE jobs SET state = 'pending' WHERE external_task_id = 'lost'"
            )
        )
    _, _, summary = book.report(tmp_path / "out")
    held = next(line for line in summary.splitlines() if line.startswith("Held back"))
    assert "10 units for 5 jobs" in held
    assert held.count(", ") >= 2
    assert "and 2 more)" in held
    assert "next `run` asks" in held


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "＝"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(book, tmp_path, start):
    text = f"{start}HYPERLINK(1)"
    with open_ledger(book.path, account="sandbox") as ledger:
        book.add(ledger, "one", JobState.FAILED, message=text, vars={"name": text}, tags=(text,))
    report, rows, _ = book.report(tmp_path)
    for column in ("var.name", "tags", "message"):
        assert rows[0][column].startswith("'"), column
    assert report["jobs"][0]["vars"] == {"name": text}, "JSON runs nothing: it keeps what was written"


def test_ids_that_look_like_numbers_stay_text(book, tmp_path):
    with open_ledger(book.path, account="sandbox") as ledger:
        for key in ("007", "1e5", "NA"):
            book.add(ledger, key, JobState.PENDING)
    report, rows, _ = book.report(tmp_path)
    assert sorted(row["external_task_id"] for row in rows) == ["007", "1e5", "NA"]
    assert sorted(line["external_task_id"] for line in report["jobs"]) == ["007", "1e5", "NA"]


def test_the_limit_over_time_is_in_the_report(book, tmp_path):
    with open_ledger(book.path, account="sandbox") as ledger:
        book.add(ledger, "one", JobState.DONE, units="1")
        for limit, used, why in (
            (5, 0, "the run began"),
            (3, 3, "refused"),
            (12, 4, "more were let through"),
        ):
            ledger.write_now(limit_changed, "c", limit, used, why)
    report, _, summary = book.report(tmp_path / "out")
    Draft202012Validator(json.loads(schema_text("report"))).validate(report)
    assert [(one["limit"], one["used"], one["why"]) for one in report["slots"]] == [
        (5, 0, "the run began"),
        (3, 3, "refused"),
        (12, 4, "more were let through"),
    ]
    assert "Slots: 3 to 12, the account refused more once." in summary


def test_a_limit_that_changed_very_often_is_told_of_its_newest_end(book, tmp_path):
    with open_ledger(book.path, account="sandbox") as ledger:
        book.add(ledger, "one", JobState.DONE, units="1")
        for number in range(1, 1202):
            ledger.write_now(limit_changed, "c", number, 0, "x")
    report, _, summary = book.report(tmp_path / "out")
    assert (len(report["slots"]), report["slots"][-1]["limit"]) == (1000, 1201)
    assert "Slots: 1 to 1201." in summary


def test_a_ledger_without_limits_says_nothing_of_slots(book, tmp_path):
    with open_ledger(book.path, account="sandbox") as ledger:
        book.add(ledger, "one", JobState.PENDING)
    report, _, summary = book.report(tmp_path / "out")
    assert report["slots"] == []
    assert "Slots" not in summary


def test_texts_stand_with_their_jobs_however_many_there_are(book, tmp_path):
    with open_ledger(book.path, account="sandbox") as ledger:
        for number in range(3):
            book.add(ledger, f"j{number}", JobState.PENDING)
        for key, owner in (("k1", "j0"), ("k2", "j2"), ("k3", "j2")):
            ledger.write_now(speeches.asked, key, "c", external_task_id=owner, call_units=Decimal("0.05"))
            made = {"audio_id": "a", "seconds": None, "request_id": None, "made_at": utc_now()}
            ledger.write_now(speeches.made, key, units=Decimal("0.05"), **made)
    report, _, _ = book.report(tmp_path / "out")
    spoken = {line["external_task_id"]: line["units_speech"] for line in report["jobs"]}
    assert spoken == {"j0": "0.05", "j1": "0", "j2": "0.1"}
    assert (report["totals"]["speech_calls"], report["totals"]["speech_units"]) == (3, "0.15")


def test_a_campaign_that_the_ledger_does_not_have(book):
    with open_ledger(book.path, account="sandbox") as ledger:
        book.add(ledger, "one", JobState.PENDING)
    with (
        open_for_reading(book.path) as connection,
        pytest.raises(UsageError, match="has no jobs"),
        collect(connection, "other", rates=DEFAULT_RATES, manifest_name="m", service="s"),
    ):
        pass


def test_paid_videos_that_are_gone_are_said_loudly_with_their_count(book, tmp_path):
    with open_ledger(book.path, account="sandbox") as ledger:
        for key in ("one", "two"):
            book.add(ledger, key, JobState.EXPIRED, units="2")
        book.add(ledger, "three", JobState.DONE, units="2")
    value, rows, said = book.report(tmp_path / "out")
    assert value["totals"]["by_outcome"] == {"done": 1, "expired": 2}
    assert "EXPIRED: 2 videos paid for" in said
    assert "--retry expired" in said
    assert value["totals"]["units_deducted"] == "6", "what is lost was paid all the same"
    assert sorted(row["outcome"] for row in rows) == ["done", "expired", "expired"]


def test_a_reason_that_differs_for_every_job_is_not_kept_for_every_job(monkeypatch, book, tmp_path):
    monkeypatch.setattr("manifest_runner.report.tally.MOST_GROUPS", 2)
    with open_ledger(book.path, account="sandbox") as ledger:
        for number in range(5):
            book.add(ledger, f"j{number}", JobState.FAILED, message=f"no room for j{number}")
    _, _, summary = book.report(tmp_path / "out")
    assert "other reasons: see the report (3 jobs, the first is j2)" in summary
    assert "no room for j0 (j0)" in summary


@pytest.mark.parametrize("name", ["report.json", "report.csv"])
def test_a_folder_in_the_place_of_a_report_is_named_and_not_moved(book, tmp_path, name):
    with open_ledger(book.path, account="sandbox") as ledger:
        book.add(ledger, "one", JobState.PENDING)
    video = tmp_path / "out" / name / "paid.mp4"
    video.parent.mkdir(parents=True)
    video.write_bytes(b"paid")
    with pytest.raises(NeedsPerson, match=f"{name} can't be written: a folder has its name"):
        book.report(tmp_path / "out")
    assert video.read_bytes() == b"paid"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_a_report_of_another_ledger_and_a_link_are_kept_aside(book, tmp_path):
    with open_ledger(book.path, account="sandbox") as ledger:
        book.add(ledger, "one", JobState.PENDING)
    (tmp_path / "report.json").write_text("mine")
    (tmp_path / "report.csv").symlink_to(tmp_path / "elsewhere.csv")
    book.report(tmp_path)
    book.report(tmp_path)
    assert (tmp_path / "report.kept-1.json").read_text() == "mine"
    assert (tmp_path / "report.kept-1.csv").is_symlink()
    assert len(list(tmp_path.glob("*.kept-*"))) == 2
    assert not (tmp_path / "elsewhere.csv").exists()


def test_a_reader_cannot_write(book):
    with open_ledger(book.path, account="sandbox"):
        pass
    with open_for_reading(book.path) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        ownership.clear_owner(connection, Owner(host="h", pid=1, since=utc_now()))
