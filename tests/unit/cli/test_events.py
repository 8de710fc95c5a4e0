"""Where `--log-json` writes to: events are added to events, and to nothing else."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

import pytest

from manifest_runner.cli.events import events_out, refuse_two_on_standard_output
from manifest_runner.errors import UsageError

EVENT = '{"v":1,"event":"run_started"}'


def opened(path: Path, folder: Path) -> AbstractContextManager[TextIO | None]:
    return events_out(
        str(path), manifest=folder / "campaign.yaml", ledger=folder / "state" / "ledger.sqlite3"
    )


def add_to(path: Path, folder: Path) -> None:
    with opened(path, folder) as out:
        assert out is not None
        out.write(f"{EVENT}\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "campaign.yaml").write_text("version: 1\n")
    return tmp_path


@pytest.mark.parametrize(
    "before", ["", '{"v":1,"event":"job"}\n', '{"v":1,"event":"job"}\n{"v":1,"event":"jo']
)
def test_a_line_begins_on_a_line_of_its_own(folder: Path, before: str) -> None:
    """Also behind one that a kill has cut off."""
    path = folder / "events.jsonl"
    path.write_text(before)
    add_to(path, folder)
    lines = path.read_text().splitlines()
    assert lines[-1] == EVENT
    assert lines[:-1] == before.splitlines()


@pytest.mark.parametrize("before", ["version: 1\n", '{"v":{"mine":1}}', '{"v":1}', "\n", "\0" * 100])
def test_what_holds_anything_else_is_left_alone(folder: Path, before: str) -> None:
    path = folder / "settings.json"
    path.write_text(before)
    with pytest.raises(UsageError, match="something else"):
        add_to(path, folder)
    assert path.read_text() == before


@pytest.mark.parametrize("there", ["", f"{EVENT}\n", None])
def test_a_link_leads_nowhere_else(folder: Path, there: str | None) -> None:
    victim = folder / "victim"
    if there is not None:
        victim.write_text(there)
    (folder / "events.jsonl").symlink_to(victim)
    with pytest.raises(UsageError, match="a link"):
        add_to(folder / "events.jsonl", folder)
    assert (victim.read_text() if victim.exists() else None) == there


def test_a_second_name_for_a_file_is_none_for_events(folder: Path) -> None:
    log = folder / "state" / "ledger.sqlite3-wal"
    log.touch()
    (folder / "events.jsonl").hardlink_to(log)
    with pytest.raises(UsageError, match="another name"):
        add_to(folder / "events.jsonl", folder)
    assert log.read_bytes() == b""


def test_a_link_that_comes_when_it_was_looked_at_is_not_followed_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, victim, real = folder / "events.jsonl", folder / "victim", Path.lstat
    path.touch()
    victim.touch()

    def swapped(it: Path) -> os.stat_result:
        status = real(it)
        if it == path and stat.S_ISREG(status.st_mode):
            path.unlink()
            path.symlink_to(victim)
        return status

    monkeypatch.setattr(Path, "lstat", swapped)
    with pytest.raises(UsageError, match="can't be written"):
        add_to(path, folder)
    assert victim.read_text() == ""


def test_a_pipe_without_a_reader_keeps_nobody_waiting(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match="nobody reads from this pipe"):
        add_to(folder / "pipe", folder)


def test_a_pipe_that_somebody_reads_is_written_to(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        add_to(pipe, folder)
        assert os.read(reading, 1000).decode() == f"{EVENT}\n"
    finally:
        os.close(reading)


@pytest.mark.parametrize("name", ["state", "/dev/null", "no/events.jsonl", "state/events.jsonl/x"])
def test_a_place_that_cannot_be_written_is_said_before_anything_is_sent(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="can't be written") as caught:
        add_to(folder / name, folder)
    assert "--log-json" in caught.value.mend


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal", ".lock", ".rescue", ".new-wal"])
@pytest.mark.parametrize(
    "way", ["state/ledger.sqlite3", "state/../state/Ledger.sqlite3", "elsewhere/ledger.sqlite3"]
)
def test_the_ledgers_own_files_are_not_for_events(folder: Path, way: str, end: str) -> None:
    (folder / "elsewhere").symlink_to(folder / "state")
    path = folder / f"{way}{end}"
    with pytest.raises(UsageError, match="ledger's files") as caught:
        add_to(path, folder)
    assert caught.value.exit_code == 2
    assert list((folder / "state").iterdir()) == []


def test_the_manifest_is_not_for_events(folder: Path) -> None:
    with pytest.raises(UsageError, match="the manifest"):
        add_to(folder / "state" / ".." / "campaign.yaml", folder)
    assert (folder / "campaign.yaml").read_text() == "version: 1\n"


def test_standard_output_and_nothing() -> None:
    with events_out("-", manifest=Path("m"), ledger=Path("l")) as out:
        assert out is sys.stdout
    with events_out(None, manifest=Path("m"), ledger=Path("l")) as out:
        assert out is None


def test_two_do_not_write_to_standard_output() -> None:
    with pytest.raises(UsageError, match=r"Both --log-json - and --json .* Give --log-json a file"):
        refuse_two_on_standard_output("-", as_json=True)


@pytest.mark.parametrize(("log_json", "as_json"), [("-", False), ("events.jsonl", True), (None, True)])
def test_one_alone_may(log_json: str | None, as_json: bool) -> None:
    refuse_two_on_standard_output(log_json, as_json=as_json)
