"""The writing thread: durable before it answers, one bad write spoils no other, a full disk stops everything."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.errors import LedgerBusy, LedgerError, LedgerMismatch
from manifest_runner.ledger import Owner, enrolment, open_for_reading, open_ledger, ownership, queries, writes
from manifest_runner.ledger.connection import open_for_writing
from manifest_runner.ledger.speeches import asked
from manifest_runner.ledger.writer import Writer
from manifest_runner.models import Job, JobState, utc_now


def entry(key: str) -> enrolment.Enrolment:
    job = Job(external_task_id=key, image="a.png", sound_file="a.mp3", output=f"{key}.mp4")
    return enrolment.Enrolment(job=job, position=0, units_estimated=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite3"


def test_many_writes_at_once_all_land(path):
    writer = Writer(open_for_writing(path), path)
    futures = [
        writer.submit(lambda connection, n=n: enrolment.enrol(connection, "c", [entry(f"job-{n}")]))
        for n in range(300)
    ]
    writer.start()  # what queued up before is written in groups
    for future in futures:
        future.result(10)
    writer.close()
    with open_for_reading(path) as connection:
        assert sum(queries.counts(connection, "c").values()) == 300


def test_one_bad_write_spoils_no_other(path):
    writer = Writer(open_for_writing(path), path)
    good = writer.submit(lambda connection: enrolment.enrol(connection, "c", [entry("a")]))
    broken = writer.submit(
        lambda connection: connection.execute("INSERT INTO migrations VALUES (1, 'again')")
    )
    wrong = writer.submit(lambda connection: {}["nothing"])
    after = writer.submit(lambda connection: enrolment.enrol(connection, "c", [entry("b")]))
    writer.start()
    assert good.result(10) is None
    assert isinstance(broken.exception(10), sqlite3.IntegrityError)
    assert isinstance(wrong.exception(10), KeyError)
    assert after.result(10) is None
    writer.close()
    with open_for_reading(path) as connection:
        assert [record.external_task_id for record in queries.jobs(connection, "c")] == ["a", "b"]


def test_a_full_disk_breaks_it_for_good(path):
    connection = open_for_writing(path)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    writer = Writer(connection, path)
    writer.start()
    jobs = [entry(f"job-{n}") for n in range(2000)]
    with pytest.raises(LedgerError, match="full"):
        writer.submit(lambda c: enrolment.enrol(c, "c", jobs)).result(10)
    with pytest.raises(LedgerError):  # even one that would fit: nothing more may be sent
        writer.submit(lambda c: enrolment.enrol(c, "c", [entry("small")])).result(10)
    writer.close()
    with open_for_reading(path) as reader:
        assert queries.counts(reader, "c") == {}


def test_what_was_answered_survives_a_kill(path):
    code = (
        "import sys, time, pathlib; sys.path.insert(0, sys.argv[2])\n"
        "from test_ledger_writer import *\n"
        "with open_ledger(pathlib.Path(sys.argv[1]), account='test') as ledger:\n"
        "    ledger.write_now(enrolment.enrol, 'c', [entry('kept')])\n"
        "    print('written', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "written\n"
        with pytest.raises(LedgerBusy) as busy, open_ledger(path, account="test"):
            pass
        assert busy.value.exit_code == 6
        assert str(child.pid) in str(busy.value)
        with open_for_reading(path) as connection:  # reading is possible at any time
            assert queries.owner(connection).pid == child.pid
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    with open_ledger(path, account="test") as ledger:  # a dead owner holds nothing
        assert ledger.read(queries.job, "kept") is not None
        assert ledger.read(queries.owner).pid == os.getpid()
    with open_for_reading(path) as connection:
        assert queries.owner(connection) is None


def test_a_ledger_is_one_accounts(path):
    for account in ("kling:host", "sandbox"):  # nothing was sent: the last one to open it has it
        with open_ledger(path, account=account) as ledger:
            assert ledger.read(queries.account) == account
    with open_ledger(path, account="sandbox") as ledger:
        ledger.write_now(asked, "k", "c", external_task_id="a", call_units=Decimal("0.05"))
    with pytest.raises(LedgerMismatch, match="sandbox") as mismatch, open_ledger(path, account="kling:host"):
        pass
    assert mismatch.value.exit_code == 2
    with open_for_reading(path) as connection:
        assert queries.account(connection) == "sandbox", "a refusal binds it to nobody else"


def test_an_attempt_binds_a_ledger_for_good_and_a_row_does_not(connection, steps):
    ownership.bind_account(connection, "sandbox")
    steps.enrol("a")
    assert not queries.anything_sent(connection)
    ownership.refuse_other_account(connection, "kling:host")
    ownership.bind_account(connection, "kling:host")
    assert queries.account(connection) == "kling:host"

    attempt = steps.intend("a")
    writes.not_created(connection, attempt.attempt_id, JobState.PENDING, "no connection was made")
    assert queries.anything_sent(connection)
    ownership.refuse_other_account(connection, "kling:host")
    for refused in (ownership.refuse_other_account, ownership.bind_account):
        with pytest.raises(LedgerMismatch, match="jobs of kling:host, and sandbox is meant here") as caught:
            refused(connection, "sandbox")
        assert "--ledger" in caught.value.mend
    assert queries.account(connection) == "kling:host"


def test_a_ledger_that_knows_no_account_yet_refuses_none(connection, steps):
    steps.enrol("a")
    steps.intend("a")
    ownership.refuse_other_account(connection, "sandbox")
    assert queries.account(connection) is None


def test_a_ledger_by_another_name_is_the_same_ledger(path):
    with open_ledger(path, account="test"):
        path.with_name("link.sqlite3").symlink_to(path)
        with (
            pytest.raises(LedgerBusy, match=str(os.getpid())),
            open_ledger(path.with_name("link.sqlite3"), account="test"),
        ):
            pass


def test_the_holder_is_named_although_its_name_comes_a_moment_after_its_lock(path):
    with open_ledger(path, account="test") as ledger:
        ledger.write_now(ownership.clear_owner, ledger.read(queries.owner))

        def write_it() -> None:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                ownership.set_owner(connection, Owner(host="studio", pid=4242, since=utc_now()))

        late = threading.Timer(0.2, write_it)
        late.start()
        with pytest.raises(LedgerBusy, match="Process 4242 on studio"), open_ledger(path, account="test"):
            pass
        late.join()


def test_nothing_is_written_after_the_end(path):
    with open_ledger(path, account="test") as ledger:
        pass
    with pytest.raises(LedgerError, match="has been closed"):
        ledger.write_now(enrolment.enrol, "c", [entry("late")])


def test_only_its_owner_can_look_into_the_folder(path):
    with open_ledger(path, account="test"):
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_there_keeps_its_permissions(path):
    path.parent.mkdir()
    path.parent.chmod(0o755)
    with open_ledger(path, account="test"):
        assert path.parent.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be read" * 40, b"\x00" * 4096]
)
def test_a_damaged_file_is_refused_and_left_as_it_is(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(LedgerError), open_ledger(path, account="test"):
        pass
    assert path.read_bytes() == content
