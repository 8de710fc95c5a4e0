"""Whose the ledger is when its lock is free, but may have been free all along."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from manifest_runner.errors import LedgerBusy, LedgerError
from manifest_runner.ledger import Owner, open_for_reading, open_ledger, ownership, queries
from manifest_runner.ledger import writer as writer_module
from manifest_runner.ledger.rescue import journal_of
from manifest_runner.models import utc_now, utc_text

HERE = socket.gethostname()
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def left_by(path: Path, host: str, pid: int) -> None:
    """A ledger whose owner ended without a word."""
    with open_ledger(path, account="test") as ledger:
        me = ledger.read(queries.owner)
        ledger.write_now(ownership.set_owner, Owner(host=host, pid=pid, since=me.since))
        ledger._writer._beat = None
        ledger._writer.submit = refuse_clearing(ledger._writer.submit)  # type: ignore[method-assign]


def refuse_clearing(submit):
    def only_others(do):
        return submit(lambda _: None) if getattr(do, "func", None) is ownership.clear_owner else submit(do)

    return only_others


@pytest.fixture
def somebody():
    """A process of this machine that is no runner, and has nothing to do with it."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_dead_owner_of_this_machine_is_succeeded(path, somebody):
    left_by(path, HERE, somebody.pid)
    somebody.kill()
    os.waitid(
        os.P_PID, somebody.pid, os.WEXITED | os.WNOWAIT
    )  # it has ended, and nobody has taken note: a number
    with open_ledger(path, account="test"):
        pass


def test_a_living_owner_whose_lock_is_gone_is_refused_by_name(path, somebody):
    left_by(path, HERE, somebody.pid)
    with (
        pytest.raises(LedgerBusy, match=f"process {somebody.pid} on {HERE}") as busy,
        open_ledger(path, account="test"),
    ):
        pass
    assert "--take-over" in busy.value.mend
    assert busy.value.exit_code == 6
    with (
        pytest.raises(LedgerBusy, match="gave a sign of life") as busy,
        open_ledger(path, account="test", take_over=True),
    ):
        pass
    assert "Stop it first" in busy.value.mend


def test_another_machines_owner_needs_a_persons_word(path):
    left_by(path, "studio-2", 4242)
    with pytest.raises(LedgerBusy, match="another machine \\(studio-2\\)"), open_ledger(path, account="test"):
        pass
    with (
        pytest.raises(LedgerBusy, match="last sign of life"),
        open_ledger(path, account="test", take_over=True),
    ):
        pass
    a_while_ago(path)
    with pytest.raises(LedgerBusy), open_ledger(path, account="test"):
        pass
    with open_ledger(path, account="test", take_over=True):
        pass
    with open_for_reading(path) as connection:
        assert queries.owner(connection) is None


def a_while_ago(path: Path) -> None:
    """The owner's last sign of life grows old."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE owner SET seen_at = ?", (utc_text(utc_now() - timedelta(minutes=2)),))


@pytest.mark.parametrize(
    ("host", "pid", "ago", "runs"),
    [
        (HERE, "parent", 5, True),
        (HERE, "parent", 61, False),  # its number is somebody else's by now
        (HERE, "ours", 5, False),
        (HERE, "nobody", 5, False),
        ("studio-2", "parent", 5, True),
        ("studio-2", "parent", 100_000, True),  # we can't know
    ],
)
def test_who_may_still_run(host, pid, ago, runs):
    number = {"parent": os.getppid(), "ours": os.getpid(), "nobody": 2**22 + 1}[pid]
    owner = Owner(host=host, pid=number, since=NOW, seen_at=NOW)
    assert (ownership.may_still_run(owner, HERE, NOW + timedelta(seconds=ago)) is not None) == runs


def test_signs_of_life_come_and_a_take_over_breaks_the_run(path, monkeypatch):
    monkeypatch.setattr(writer_module, "BEAT_SECONDS", 0.05)
    with open_ledger(path, account="test") as ledger:
        first = ledger.read(queries.owner).seen_at
        until(lambda: ledger.read(queries.owner).seen_at > first)
        ledger.write_now(ownership.set_owner, Owner(host="studio-2", pid=1, since=utc_now()))

        def broken() -> bool:
            try:
                ledger.write_now(lambda _: None)
            except LedgerError as error:
                return "taken the ledger over" in str(error)
            return False

        until(broken)


def test_who_was_taken_over_writes_nothing_more_and_leaves_the_successors_things_alone(path):
    with open_ledger(path, account="test") as ledger:
        Path(f"{path}.lock").unlink()  # as on a network drive without locks
        a_while_ago(path)  # our own number, so that only the age counts
        with open_ledger(path, account="test", take_over=True) as successor:
            theirs = Owner(host="studio-2", pid=1, since=utc_now())
            successor.write_now(ownership.set_owner, theirs)
            with pytest.raises(LedgerBusy, match="taken the ledger over"):
                ledger.write_now(ownership.set_owner, theirs)
            journal = journal_of(path)
            ledger._rescue.close()
            assert journal.exists(), "it is the successor's by now"
            ownership_left = successor.read(queries.owner)
    assert ownership_left.host == "studio-2"
    with open_for_reading(path) as connection:
        assert queries.owner(connection).host == "studio-2", "nobody takes another's name out"


def until(happened) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    while not happened():
        assert datetime.now(UTC) < deadline
        time.sleep(0.02)
