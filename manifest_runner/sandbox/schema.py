"""The tables of the sandbox's file, and how a file of an earlier version becomes one of this."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from manifest_runner.errors import NeedsPerson

VERSION = 2

SCHEMA = """
CREATE TABLE account (opened_ms INTEGER NOT NULL);
CREATE TABLE ids (last INTEGER NOT NULL);
INSERT INTO ids VALUES (0);
CREATE TABLE media (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, format TEXT NOT NULL, seconds TEXT NOT NULL, used_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE tasks (
    task_id INTEGER PRIMARY KEY, external_task_id TEXT UNIQUE, status TEXT NOT NULL, status_message TEXT NOT NULL,
    mode TEXT NOT NULL, prompt TEXT NOT NULL, watermark INTEGER NOT NULL, callback_url TEXT,
    image_key TEXT NOT NULL, audio_key TEXT NOT NULL, audio_format TEXT NOT NULL, seconds TEXT NOT NULL,
    wait_ms INTEGER NOT NULL, units TEXT, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, mouth TEXT
) STRICT;
CREATE INDEX tasks_live ON tasks (status) WHERE status IN ('submitted', 'processing');
CREATE TABLE speeches (
    audio_id INTEGER PRIMARY KEY, media_key TEXT NOT NULL, units TEXT NOT NULL, created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE results (
    token TEXT PRIMARY KEY, owner_id INTEGER NOT NULL, role TEXT NOT NULL, file TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX results_owner ON results (owner_id);
CREATE INDEX results_file ON results (file);
"""
UPGRADES = {1: "ALTER TABLE tasks ADD COLUMN mouth TEXT;"}  # from that version to the next


def prepare(connection: sqlite3.Connection, path: Path, now_ms: int, *, hasty: bool) -> None:
    """Make the tables in a new file, or bring those of an earlier version up to date. Raises NeedsPerson.

    What is committed outlives the process, which is all that a rehearsal needs. `hasty`: the file itself need not
    outlive a power cut, for trials whose disk has enough to do.
    """
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'OFF' if hasty else 'NORMAL'}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise NeedsPerson(
            f"{path} was written by a newer version of this program.", mend="Upgrade, or move it away."
        )
    if version == 0:
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION};")
        connection.execute("INSERT INTO account VALUES (?)", [now_ms])
        connection.execute("COMMIT")
    elif version < VERSION:
        steps = " ".join(UPGRADES[step] for step in range(version, VERSION))
        connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
