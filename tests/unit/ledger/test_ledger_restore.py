"""Backups put in a ledger's place, and ledgers moved away, while a killed run's last writes still lie beside them."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from manifest_runner.errors import LedgerError
from manifest_runner.ledger import open_for_reading, open_ledger, queries

SENDING = """
import os, sys
from decimal import Decimal
from pathlib import Path
from manifest_runner.ledger import enrolment, open_ledger, writes
from manifest_runner.models import Job, ServiceStatus

path, first, last, killed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "killed"
opened = open_ledger(path, account="test")
ledger = opened.__enter__()
for number in range(first, last):
    job = Job(external_task_id=f"j{number:03}", image="a", sound_file="b", output=f"{number}.mp4")
    entry = enrolment.Enrolment(job=job, position=number, units_estimated=None)
    ledger.write_now(enrolment.enrol, "c", [entry])
    ledger.write_now(writes.intend, writes.Intent(
        job=job, fingerprint="1:f", fingerprint_parts={name: "f" * 64 for name in ("image", "audio", "prompt")},
        settle_seconds=60, units_estimated=None, units_reserved=Decimal(1), why="test"))
if killed:
    os._exit(9)
opened.__exit__(None, None, None)
"""


def send(path: Path, first: int, last: int, how: str) -> None:
    command = [sys.executable, "-c", SENDING, str(path), str(first), str(last), how]
    assert subprocess.run(command, check=False).returncode == (9 if how == "killed" else 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.mark.parametrize(("later", "killed"), [(30, 32), (60, 61), (100, 101)])
def test_a_backup_is_not_mixed_with_what_a_killed_run_left(path, tmp_path, later, killed):
    send(path, 0, 5, "ends")
    backup = shutil.copy(path, tmp_path / "backup")
    send(path, 5, later, "ends")
    send(path, later, killed, "killed")
    shutil.copy(backup, path)
    with (
        pytest.raises(LedgerError, match="don't belong together") as refused,
        open_ledger(path, account="test"),
    ):
        pass
    assert "take ledger.sqlite3-wal away" in refused.value.mend
    assert path.read_bytes() == Path(backup).read_bytes(), "what was put there is untouched"

    Path(f"{path}-wal").rename(tmp_path / "left")
    shutil.copy(backup, path)
    with open_ledger(path, account="test") as ledger:
        assert len(ledger.read(lambda connection: list(queries.jobs(connection, "c")))) == 5


def test_where_the_log_has_every_page_the_backup_does_not_matter(path, tmp_path):
    send(path, 0, 5, "ends")
    backup = shutil.copy(path, tmp_path / "backup")
    send(path, 5, 6, "ends")
    send(path, 6, 61, "killed")
    shutil.copy(backup, path)
    with open_ledger(path, account="test") as ledger:
        jobs = ledger.read(lambda connection: list(queries.jobs(connection, "c")))
        assert [len(job.attempts) for job in jobs] == [1] * 61


@pytest.mark.parametrize("state", ["running", "done", "failed", "expired", "rendered"])
def test_a_job_whose_attempt_is_of_another_day_is_found(path, state):
    """Both are written in one transaction, so this is a page of one file and a page of another."""
    send(path, 0, 1, "killed")
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        assert queries.jobs_without_their_attempt(connection) == []
        connection.execute("UPDATE jobs SET state = ?", (state,))
        assert queries.jobs_without_their_attempt(connection) == ["j000"]


def test_a_killed_runs_own_last_writes_are_taken_up(path):
    send(path, 0, 5, "ends")
    send(path, 5, 9, "killed")
    with open_ledger(path, account="test") as ledger:
        jobs = ledger.read(lambda connection: list(queries.jobs(connection, "c")))
        assert [len(job.attempts) for job in jobs] == [1] * 9


def test_a_ledger_that_was_moved_away_without_its_log_gets_no_successor_that_swallows_it(path, tmp_path):
    send(path, 0, 9, "killed")
    path.rename(tmp_path / "moved")
    with (
        pytest.raises(LedgerError, match="a ledger that is not there") as refused,
        open_ledger(path, account="test"),
    ):
        pass
    assert "Put that ledger back" in refused.value.mend
    (tmp_path / "moved").rename(path)
    with open_for_reading(path) as connection:
        assert len(list(queries.jobs(connection, "c"))) == 9
