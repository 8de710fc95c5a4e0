"""A state folder that came from a stranger: nothing outside it is read, emptied or deleted."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
from pathlib import Path

import httpx
import pytest
from sandbox_kit import Client

from manifest_runner.errors import NeedsPerson, ServiceUnreachable
from manifest_runner.sandbox import SandboxSettings, new_key_pair, start_sandbox
from manifest_runner.sandbox.folders import Folders, ForeignName, open_private, secure_database
from manifest_runner.sandbox.serve import serve
from manifest_runner.sandbox.store import open_store

KEY = "0123456789abcdef" * 4
NOW = 1_795_000_000_000


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder of the user's, with files that are named as the sandbox might name its own."""
    folder = tmp_path / "Videos"
    folder.mkdir()
    for name in ("wedding.mp4", "half.part", f"{KEY}.mp4", f"{KEY}.mp4.part"):
        (folder / name).write_text("precious")
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "campaign" / "sandbox"
    folder.mkdir(parents=True)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def fill(path: Path) -> Path:
    path.write_text("precious")
    return path


def serve_briefly(state: Path) -> None:
    serve(SandboxSettings(state=state, **new_key_pair()), ready=lambda _: None, stop_when=lambda: None)


@pytest.mark.parametrize("name", ["results", "media"])
def test_a_folder_that_is_a_link_is_refused_and_nothing_behind_it_is_deleted(
    state: Path, precious: Path, name: str
) -> None:
    (state / name).symlink_to(precious)
    with (
        pytest.raises(ServiceUnreachable, match=rf"{name}: it is a link\. Move it away"),
        start_sandbox(state),
    ):
        pass
    assert len(list(precious.iterdir())) == 4


def test_a_state_folder_that_is_a_link_is_refused(tmp_path: Path, precious: Path) -> None:
    link = tmp_path / "sandbox"
    link.symlink_to(precious)
    with pytest.raises(NeedsPerson, match="it is a link"), start_sandbox(link):
        pass
    with pytest.raises(NeedsPerson, match="it is a link"):
        serve_briefly(link)
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(NeedsPerson, match="it is a link"):
        serve_briefly(link)
    assert len(list(precious.iterdir())) == 4
    assert not (tmp_path / "nowhere").exists()


def test_a_file_where_a_folder_belongs_is_refused(state: Path) -> None:
    (state / "media").write_text("in the way")
    with pytest.raises(NeedsPerson, match="media: it is a file"):
        serve_briefly(state)


def test_what_belongs_to_another_user_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_private(state / "sandbox.log").close()
    monkeypatch.setattr(os, "geteuid", lambda: state.stat().st_uid + 1)
    with pytest.raises(NeedsPerson, match="belongs to another user"):
        Folders(state).claim()
    with pytest.raises(NeedsPerson, match="belongs to another user"):
        open_private(state / "sandbox.log")


@pytest.mark.parametrize("name", ["sandbox.log", "sandbox.lock", "sandbox.sqlite3", "sandbox.sqlite3-wal"])
@pytest.mark.parametrize("kind", ["symbolic", "hard", "dangling"])
def test_a_file_that_is_a_link_is_refused_and_its_target_is_as_it_was(
    state: Path, tmp_path: Path, name: str, kind: str
) -> None:
    victim = tmp_path / "diary.txt"
    if kind != "dangling":
        fill(victim)
    if kind == "hard":
        (state / name).hardlink_to(victim)
    else:
        (state / name).symlink_to(victim)
    with pytest.raises((NeedsPerson, ServiceUnreachable), match="it is a link"), start_sandbox(state):
        pass
    if kind == "dangling":
        assert not victim.exists()
    else:
        assert victim.read_text() == "precious"


def test_a_pipe_in_place_of_a_file_does_not_hold_it_up(state: Path) -> None:
    os.mkfifo(state / "sandbox.log")
    with pytest.raises(NeedsPerson, match="no plain file"), start_sandbox(state):
        pass
    with pytest.raises(NeedsPerson, match="can't use"):
        open_private(state)


def test_only_the_user_can_read_what_a_sandbox_keeps(state: Path) -> None:
    for path in (state, state / "results"):
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
    (state / "sandbox.log").touch(0o666)
    with start_sandbox(state) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            client.ended(client.created(prompt="[sandbox:fail]"))
        files = [path for path in state.iterdir() if path.is_file()]
        assert {path.name for path in files} >= {"sandbox.sqlite3", "sandbox.sqlite3-wal", "sandbox.log"}
        assert {path.name: mode(path) for path in files} == {path.name: 0o600 for path in files}
        assert {mode(path) for path in (state, state / "media", state / "results")} == {0o700}


def test_the_log_is_begun_anew(state: Path) -> None:
    (state / "sandbox.log").write_text("old " * 100)
    with start_sandbox(state):
        pass
    assert (state / "sandbox.log").read_text() == ""


@pytest.mark.parametrize(
    "file",
    [
        "",
        "media",
        "media/",
        "results/..",
        "results/../../../secret",
        f"results/../results/{KEY}.mp4",
        f"results/{KEY}.mp4\n",
        f"results/{KEY}.mp4\0",
        f"results/{KEY.upper()}.mp4",
        f"results/{KEY}.mp4.part",
        f"media/{KEY}.mp4",
        f"media/image-{KEY}/..",
        f"media/film-{KEY}",
        f"../media/image-{KEY}",
        f"/media/image-{KEY}",
        f"/results/{KEY}.mp4",
        "sandbox.sqlite3",
        "/etc/passwd",
    ],
)
def test_a_stored_name_that_is_not_our_own_is_no_path(state: Path, file: str) -> None:
    with pytest.raises(ForeignName):
        Folders(state).stored_file(file)


def test_our_own_names_are_paths_unless_a_link_leads_them_elsewhere(state: Path, precious: Path) -> None:
    folders = Folders(state)
    folders.prepare()
    assert folders.stored_file(f"results/{KEY}.mp4") == state / "results" / f"{KEY}.mp4"
    assert folders.media_file(f"speech-{KEY}") == state / "media" / f"speech-{KEY}"
    (state / "results" / f"{KEY}.mp4").symlink_to(precious / "wedding.mp4")
    with pytest.raises(ForeignName):
        folders.stored_file(f"results/{KEY}.mp4")
    folders.media.rmdir()
    folders.media.symlink_to(precious)
    with pytest.raises(ForeignName):
        folders.media_file(f"image-{KEY}")


def test_only_names_of_our_own_kind_are_cleared_away(state: Path, precious: Path) -> None:
    folders = Folders(state)
    folders.prepare()
    other = [fill(folders.results / name) for name in ("wedding.mp4", "half.part", f"{KEY[1:]}.mp4.part")]
    other += [fill(folders.media / name) for name in ("half.part", f"image-{KEY}.part")]
    kept = [fill(folders.results / f"{KEY}.mp4"), fill(folders.media / f"image-{KEY}")]
    gone = [fill(folders.results / f"{KEY}.mp4.part"), fill(folders.media / f"audio-{KEY}.0a1b2c3d.part")]
    link = folders.media / f"audio-{KEY}"
    link.symlink_to(precious / "wedding.mp4")
    folders.prepare()
    assert all(path.exists() for path in (*other, *kept))
    assert not any(os.path.lexists(path) for path in (*gone, link))
    assert list(folders.result_names()) == [f"{KEY}.mp4"]
    assert (precious / "wedding.mp4").read_text() == "precious"


def test_rows_that_name_files_elsewhere_delete_nothing_and_serve_nothing(state: Path, tmp_path: Path) -> None:
    secret, film = fill(tmp_path / "secret"), state / "results" / "wedding.mp4"
    Folders(state).prepare()
    fill(film)
    with open_store(state / "sandbox.sqlite3", now_ms=NOW):
        pass
    with sqlite3.connect(state / "sandbox.sqlite3") as database:
        row = ("../../../secret", "image", "", "0", 1)
        database.execute("INSERT INTO media VALUES (?, ?, ?, ?, ?)", row)
        for token, file in (("tok", "../../secret"), ("abs", str(secret)), ("db", "sandbox.sqlite3")):
            row = (token, 1, "video", file, 2**62)
            database.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?)", row)
    database.close()
    with start_sandbox(state) as sandbox:
        for token in ("tok", "abs", "db"):
            reply = httpx.get(f"{sandbox.base_url}/results/{token}.mp4")
            assert (reply.status_code, reply.json()["code"]) == (404, 1203)
    assert secret.read_text() == "precious"
    assert film.exists()
    assert "nothing was deleted" in (state / "sandbox.log").read_text()


@pytest.mark.parametrize(
    "change",
    ["status = 'dancing'", "seconds = 'long'", "seconds = 'NaN'", "seconds = '1e999999'", "units = 'many'"],
)
def test_a_task_that_nobody_could_have_made_is_said_at_the_start(state: Path, change: str) -> None:
    with start_sandbox(state, render_time=60) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            client.created()
    with sqlite3.connect(state / "sandbox.sqlite3") as database:
        database.execute("DROP INDEX tasks_live")
        database.execute(f"UPDATE tasks SET {change}")
        database.execute("UPDATE tasks SET status = 'submitted' WHERE status <> 'dancing'")
    database.close()
    with open_store(state / "sandbox.sqlite3", now_ms=NOW) as store, pytest.raises(sqlite3.DatabaseError):
        store.list_tasks(page=1, size=1)
    if "status" not in change:
        with (
            pytest.raises(ServiceUnreachable, match=r"a task in it can't be read\. Move the file") as caught,
            start_sandbox(state),
        ):
            pass
        assert "Traceback" not in str(caught.value)


def test_a_journal_that_would_have_sqlite_delete_a_file_is_refused(state: Path, tmp_path: Path) -> None:
    """SQLite takes a hot rollback journal's word for which file to delete at the end of a recovery."""
    database = state / "sandbox.sqlite3"
    with open_store(database, now_ms=NOW):
        pass
    victim = fill(tmp_path / "diary.txt")
    name = str(victim).encode()
    magic = bytes.fromhex("d9d505f920a163d7")
    pages = database.stat().st_size // 4096
    header = magic + struct.pack(">5I", 0, 1, pages, 512, 4096)
    record = (
        struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">2I", len(name), sum(name)) + magic
    )
    (state / "sandbox.sqlite3-journal").write_bytes(header.ljust(512, b"\0") + record)
    with pytest.raises(NeedsPerson, match="rollback journal"):
        secure_database(database)
    with (
        pytest.raises(NeedsPerson, match="Move both files away"),
        open_store(database, now_ms=NOW) as store,
    ):
        store.opened_ms()
    assert victim.read_text() == "precious"
