"""Group commit, kills in the middle of writing, full disks, and who may hold a ledger."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from filelock import FileLock

from manifest_runner.errors import LedgerBusy, LedgerError
from manifest_runner.ledger import enrolment, open_for_reading, open_ledger, ownership, queries
from manifest_runner.ledger import ledger as ledger_module
from manifest_runner.ledger.connection import open_for_writing
from manifest_runner.ledger.speeches import asked
from manifest_runner.ledger.writer import BATCH, Writer
from manifest_runner.models import Job

# Writes job after job and says so of each only when the ledger has answered.
WRITES_UNTIL_KILLED = """
import sys
from pathlib import Path
from manifest_runner.ledger import enrolment, open_ledger
from manifest_runner.models import Job

with open_ledger(Path(sys.argv[1]), account="test") as ledger:
    for number in range(1_000_000):
        job = Job(external_task_id=f"job-{number}", image="a.png", sound_file="a.mp3", output=f"{number}.mp4")
        entry = enrolment.Enrolment(job=job, position=number, units_estimated=None)
        ledger.write_now(enrolment.enrol, "spring", [entry])
        print(job.external_task_id, flush=True)
"""


def enrol(connection: sqlite3.Connection, key: str) -> str:
    job = Job(external_task_id=key, image="a.png", sound_file="a.mp3", output=f"{key}.mp4")
    enrolment.enrol(connection, "spring", [enrolment.Enrolment(job=job, position=0, units_estimated=None)])
    return key


def ids_in(path: Path) -> set[str]:
    with open_for_reading(path) as connection:
        return {record.external_task_id for record in queries.jobs(connection, "spring")}


def test_what_queued_up_behind_a_slow_write_is_committed_in_batches(ledger_path):
    connection = open_for_writing(ledger_path)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    writer = Writer(connection, ledger_path)
    writer.start()
    go = threading.Event()
    slow = writer.submit(lambda _: go.wait(10))
    queued = [writer.submit(lambda c, n=n: enrol(c, f"job-{n}")) for n in range(3 * BATCH)]
    go.set()
    assert slow.result(10)
    assert [future.result(10) for future in queued] == [f"job-{n}" for n in range(3 * BATCH)]
    writer.close()
    assert statements.count("COMMIT") == 4  # the slow one alone, then three full batches
    assert len(ids_in(ledger_path)) == 3 * BATCH


def test_an_answer_comes_only_after_the_commit(ledger_path):
    writer = Writer(open_for_writing(ledger_path), ledger_path)
    seen: list[set[str]] = []
    # Started late, so that the callback is there first and runs in the writing thread at the moment of the answer.
    future = writer.submit(lambda connection: enrol(connection, "a"))
    future.add_done_callback(lambda _: seen.append(ids_in(ledger_path)))
    writer.start()
    writer.close()
    assert seen == [{"a"}]


def test_a_write_that_fails_halfway_leaves_none_of_itself(ledger_path):
    def half(connection: sqlite3.Connection) -> None:
        enrol(connection, "half")
        raise ValueError("changed its mind")

    writer = Writer(open_for_writing(ledger_path), ledger_path)
    futures = [
        writer.submit(lambda connection: enrol(connection, "before")),
        writer.submit(half),
        writer.submit(lambda connection: enrol(connection, "after")),
    ]
    writer.start()
    writer.close()
    assert futures[0].result(0) == "before"
    assert str(futures[1].exception(0)) == "changed its mind"
    assert futures[2].result(0) == "after"
    assert ids_in(ledger_path) == {"before", "after"}


def test_only_a_failure_costs_savepoints_and_it_leaves_each_neighbour_made_once(ledger_path):
    connection = open_for_writing(ledger_path)
    statements: list[str] = []

    def noted(key: str) -> str:
        connection.execute("UPDATE meta SET value = value || ? WHERE key = 'noted'", (key,))
        return key

    def half(_: sqlite3.Connection) -> None:
        noted("half")
        raise ValueError("changed its mind")

    connection.execute("INSERT INTO meta VALUES ('noted', '')")
    connection.set_trace_callback(statements.append)
    writer = Writer(connection, ledger_path)
    good = [writer.submit(lambda _, key=key: noted(key)) for key in "ab"]
    writer.start()
    assert [future.result(10) for future in good] == ["a", "b"]
    assert "SAVEPOINT one" not in statements

    begun, go = threading.Event(), threading.Event()
    writer.submit(lambda _: (begun.set(), go.wait(10)))
    assert begun.wait(10)  # so what follows is one batch
    good = [writer.submit(lambda _, key=key: noted(key)) for key in "cd"]
    bad = writer.submit(half)
    broken = writer.submit(lambda c: c.execute("INSERT INTO migrations VALUES (1, 'again')"))
    good += [writer.submit(lambda _, key=key: noted(key)) for key in "ef"]
    go.set()
    assert [future.result(10) for future in good] == ["c", "d", "e", "f"]
    assert isinstance(bad.exception(10), ValueError)
    assert isinstance(broken.exception(10), sqlite3.IntegrityError)
    assert statements.count("SAVEPOINT one") == len([*good, bad, broken])
    writer.close()
    with open_for_reading(ledger_path) as reader:
        assert reader.execute("SELECT value FROM meta WHERE key = 'noted'").fetchone()[0] == "abcdef"


def test_a_write_that_was_called_off_before_its_turn_is_not_made(ledger_path):
    writer = Writer(open_for_writing(ledger_path), ledger_path)
    called_off = writer.submit(lambda connection: enrol(connection, "called-off"))
    made = writer.submit(lambda connection: enrol(connection, "made"))
    assert called_off.cancel()
    writer.start()
    writer.close()
    assert made.result(0) == "made"
    assert ids_in(ledger_path) == {"made"}


def test_a_full_disk_answers_the_whole_batch_with_the_error_and_stays_broken(ledger_path):
    connection = open_for_writing(ledger_path)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    writer = Writer(connection, ledger_path)
    fits = writer.submit(lambda c: enrol(c, "fits"))
    too_much = writer.submit(lambda c: [enrol(c, f"{n}-{'x' * 500}") for n in range(100)])
    writer.start()
    for future in (too_much, fits):
        with pytest.raises(LedgerError, match="full") as caught:
            future.result(10)
        assert caught.value.exit_code == 4
        assert "make room" in caught.value.mend

    with pytest.raises(LedgerError):
        writer.submit(lambda c: c.execute("PRAGMA max_page_count = 100000")).result(10)
    writer.close()
    assert ids_in(ledger_path) == set()

    with closing(open_for_writing(ledger_path)) as mended:  # there is room again for the next run
        assert enrol(mended, "next-run") == "next-run"


def test_a_run_on_a_full_disk_ends_with_its_own_error(ledger_path):
    with pytest.raises(LedgerError, match="full"), open_ledger(ledger_path, account="test") as ledger:
        ledger.write_now(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone())
        for number in range(500):
            ledger.write_now(enrol, f"{number}-{'x' * 500}")
    with open_ledger(ledger_path, account="test") as ledger:  # the lock was freed all the same
        assert ledger.read(queries.owner).pid == os.getpid()


def start_writing(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITES_UNTIL_KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "job-0\n"
    return child


def kill(child: subprocess.Popen[str]) -> set[str]:
    """SIGKILL in the middle of its writing; what it had been answered by then."""
    os.kill(child.pid, signal.SIGKILL)
    assert child.stdout is not None
    said = child.stdout.read()
    child.wait()
    child.stdout.close()
    return {"job-0", *said[: said.rfind("\n") + 1].split()}


def test_everything_that_was_answered_is_there_after_a_kill(ledger_path):
    child = start_writing(ledger_path)
    child.stdout.readline()
    answered = kill(child)
    kept = ids_in(ledger_path)
    assert answered <= kept
    assert len(kept - answered) <= 2, "at most the write that was not yet told of"
    with closing(open_for_writing(ledger_path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_held_ledger_is_refused_by_name_and_a_dead_owners_is_taken_over(ledger_path):
    child = start_writing(ledger_path)
    try:
        with pytest.raises(LedgerBusy) as caught, open_ledger(ledger_path, account="test"):
            pass
    finally:
        kill(child)
    assert caught.value.exit_code == 6
    assert f"rocess {child.pid} on {socket.gethostname()}" in caught.value.what
    assert "Wait" in caught.value.mend
    with open_ledger(ledger_path, account="test") as ledger:
        assert ledger.read(queries.owner).pid == os.getpid()


def test_a_held_ledger_whose_owner_is_not_written_yet_is_refused_as_well(ledger_path, monkeypatch):
    monkeypatch.setattr(ledger_module, "NAME_SECONDS", 0.1)
    with open_ledger(ledger_path, account="test") as ledger:
        ledger.write_now(ownership.clear_owner, ledger.read(queries.owner))
        with (
            pytest.raises(LedgerBusy, match="Another runner holds"),
            open_ledger(ledger_path, account="test"),
        ):
            pass


def test_a_lock_is_refused_even_before_its_owner_has_made_the_file(ledger_path, monkeypatch):
    monkeypatch.setattr(ledger_module, "NAME_SECONDS", 0.1)
    ledger_path.parent.mkdir()
    with (
        FileLock(f"{ledger_path}.lock"),
        pytest.raises(LedgerBusy, match="Another runner holds"),
        open_ledger(ledger_path, account="test"),
    ):
        pass
    assert not ledger_path.exists()


def test_a_run_that_ends_with_an_error_leaves_no_owner_behind(ledger_path):
    with pytest.raises(KeyboardInterrupt), open_ledger(ledger_path, account="test"):
        raise KeyboardInterrupt
    with open_for_reading(ledger_path) as connection:
        assert queries.owner(connection) is None


def test_an_error_of_the_run_is_not_blamed_on_the_ledger(ledger_path):
    with pytest.raises(PermissionError, match="videos"), open_ledger(ledger_path, account="test"):
        raise PermissionError(13, "Permission denied", "videos")


def test_a_refused_account_frees_the_lock(ledger_path):
    for account in ("sandbox", "kling:host", "kling:host"):
        try:
            with open_ledger(ledger_path, account=account) as ledger:
                assert ledger.read(queries.account) == "sandbox"
                ledger.write_now(asked, "k", "c", external_task_id="a", call_units=Decimal("0.05"))
        except LedgerError as error:
            assert ("sandbox" in error.what, account in error.what) == (True, True)
            assert account == "kling:host"


async def test_many_tasks_write_at_once(ledger_path):
    with open_ledger(ledger_path, account="test") as ledger:
        answers = await asyncio.gather(*(ledger.write(enrol, f"job-{n}") for n in range(200)))
        assert answers == [f"job-{n}" for n in range(200)]
        assert sum(ledger.read(queries.counts, "spring").values()) == 200


async def test_tasks_whose_writes_were_committed_together_are_woken_together(ledger_path, monkeypatch):
    writer = Writer(open_for_writing(ledger_path), ledger_path)
    loop = asyncio.get_running_loop()
    woken: list[tuple[object, ...]] = []
    wake = loop.call_soon_threadsafe

    def noting(*call: object, **context: object) -> object:
        woken.append(call)
        return wake(*call, **context)

    monkeypatch.setattr(loop, "call_soon_threadsafe", noting)
    answers = [writer.submit_from_loop(lambda c, n=n: enrol(c, f"job-{n}")) for n in range(50)]
    writer.start()
    await asyncio.to_thread(writer.close)
    together = [call for call in woken if len(call) > 1 and isinstance(call[1], list) and len(call[1]) == 50]
    assert len(together) == 1
    assert await asyncio.gather(*answers) == [f"job-{n}" for n in range(50)]


async def test_a_task_that_gives_up_before_its_writes_turn_leaves_it_unmade(ledger_path):
    writer = Writer(open_for_writing(ledger_path), ledger_path)
    called_off = writer.submit_from_loop(lambda connection: enrol(connection, "called-off"))
    made = writer.submit_from_loop(lambda connection: enrol(connection, "made"))
    called_off.cancel()
    writer.start()
    assert await made == "made"
    await asyncio.to_thread(writer.close)
    assert ids_in(ledger_path) == {"made"}


async def test_a_task_that_gives_up_while_its_write_is_made_spoils_no_other(ledger_path):
    writer = Writer(open_for_writing(ledger_path), ledger_path)
    begun, go = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> str:
        begun.set()
        go.wait(10)
        return enrol(connection, "slow")

    given_up = writer.submit_from_loop(slow)
    other = writer.submit_from_loop(lambda connection: enrol(connection, "other"))
    writer.start()
    await asyncio.to_thread(begun.wait, 10)
    given_up.cancel()
    go.set()
    assert await other == "other"
    await asyncio.to_thread(writer.close)
    assert ids_in(ledger_path) == {"slow", "other"}


async def test_each_write_of_a_batch_has_its_own_answer(ledger_path):
    writer = Writer(open_for_writing(ledger_path), ledger_path)
    answers = [
        writer.submit_from_loop(lambda connection: enrol(connection, "good")),
        writer.submit_from_loop(lambda _: {}["nothing"]),
        writer.submit_from_loop(lambda c: c.execute("INSERT INTO migrations VALUES (1, 'again')")),
    ]
    writer.start()
    good, wrong, broken = await asyncio.gather(*answers, return_exceptions=True)
    await asyncio.to_thread(writer.close)
    assert good == "good"
    assert isinstance(wrong, KeyError)
    assert isinstance(broken, sqlite3.IntegrityError)


def test_what_the_ledger_can_not_take_is_told_before_it_is_answered(ledger_path):
    connection = open_for_writing(ledger_path)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    writer = Writer(connection, ledger_path)
    told: list[str] = []

    def unwritten() -> None:
        told.append(threading.current_thread().name)
        raise ValueError("not kept elsewhere either")

    lost = writer.submit(lambda c: [enrol(c, f"{n}-{'x' * 500}") for n in range(100)], unwritten)
    lost.add_done_callback(lambda _: told.append("answered"))
    with_it = writer.submit(lambda c: enrol(c, "with it"), lambda: told.append("with it"))
    writer.start()
    for answer in (lost, with_it):
        with pytest.raises(LedgerError, match="full"):
            answer.result(10)
    writer.close()
    assert told == ["ledger-writer", "with it", "answered"]


def test_a_write_that_fails_by_itself_is_not_told_as_lost(ledger_path):
    writer = Writer(open_for_writing(ledger_path), ledger_path)
    told: list[str] = []
    wrong = writer.submit(lambda _: {}["nothing"], lambda: told.append("lost"))
    writer.start()
    writer.close()
    assert isinstance(wrong.exception(0), KeyError)
    assert told == []


def test_a_loop_that_has_ended_holds_up_nobody(ledger_path):
    writer = Writer(open_for_writing(ledger_path), ledger_path)

    async def leave() -> None:
        writer.submit_from_loop(lambda connection: enrol(connection, "left"))

    asyncio.run(leave())
    after = writer.submit(lambda connection: enrol(connection, "after"))
    writer.start()
    assert after.result(10) == "after"
    writer.close()
    assert ids_in(ledger_path) == {"left", "after"}
