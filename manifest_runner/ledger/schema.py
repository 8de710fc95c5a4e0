"""The ledger's tables and the steps from each older shape to the next.

A migration and the number that records it are one transaction. Fixtures of every older version stay in
`tests/unit/ledger/versions/`: once released, a step is never edited, only followed by another.
Decimals and times are text (a REAL would round money); JSON columns hold objects or lists of text.
"""

from __future__ import annotations

import sqlite3

from manifest_runner.errors import LedgerMismatch
from manifest_runner.models import utc_now, utc_text

APPLICATION_ID = 0x4D525F4C  # "MR_L": tells our file from any other SQLite file

_VERSION_1 = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE migrations (
    version INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL
);

CREATE TABLE jobs (
    external_task_id TEXT PRIMARY KEY,
    campaign TEXT NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'submitting', 'running', 'rendered', 'done',
                                         'failed', 'rejected', 'conflict', 'expired')),
    mode TEXT NOT NULL,
    watermark INTEGER NOT NULL CHECK (watermark IN (0, 1)),
    output TEXT NOT NULL,
    tags TEXT NOT NULL,
    vars TEXT NOT NULL,
    units_estimated TEXT,
    queued_at TEXT NOT NULL,
    why TEXT,
    file TEXT,
    watermark_file TEXT,
    sha256 TEXT,
    bytes INTEGER,
    fetched_at TEXT
) WITHOUT ROWID;
CREATE INDEX jobs_by_campaign ON jobs (campaign, position);
CREATE INDEX jobs_by_state ON jobs (campaign, state);

CREATE TABLE attempts (
    attempt_id TEXT PRIMARY KEY,
    external_task_id TEXT NOT NULL REFERENCES jobs (external_task_id),
    number INTEGER NOT NULL CHECK (number >= 1),
    fingerprint TEXT NOT NULL,
    fingerprint_parts TEXT NOT NULL,
    intent_at TEXT NOT NULL,
    sent_at TEXT NOT NULL,
    posts INTEGER NOT NULL CHECK (posts >= 1),
    settle_seconds REAL NOT NULL,
    units_reserved TEXT NOT NULL,
    task_id TEXT,
    accepted_at TEXT,
    service_status TEXT,
    service_message TEXT,
    code INTEGER,
    request_id TEXT,
    ended_at TEXT,
    video_seconds TEXT,
    units_deducted TEXT,
    UNIQUE (external_task_id, number)
) WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    external_task_id TEXT NOT NULL,
    attempt_id TEXT,
    from_state TEXT,
    to_state TEXT NOT NULL,
    why TEXT NOT NULL,
    code INTEGER,
    request_id TEXT
);
CREATE INDEX events_by_job ON events (external_task_id, seq);

CREATE TABLE speeches (
    key TEXT PRIMARY KEY,
    campaign TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    calls INTEGER NOT NULL CHECK (calls >= 1),
    answers INTEGER NOT NULL DEFAULT 0,
    audio_id TEXT,
    seconds TEXT,
    made_at TEXT,
    units_deducted TEXT,
    request_id TEXT
) WITHOUT ROWID;

CREATE TABLE owner (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    since TEXT NOT NULL
);
"""

_VERSION_2 = """
ALTER TABLE jobs ADD COLUMN listed INTEGER NOT NULL DEFAULT 1;

ALTER TABLE jobs ADD COLUMN line INTEGER;

ALTER TABLE jobs ADD COLUMN changed TEXT NOT NULL DEFAULT '[]';

ALTER TABLE attempts ADD COLUMN key_id TEXT;

ALTER TABLE speeches ADD COLUMN external_task_id TEXT;

ALTER TABLE speeches ADD COLUMN call_units TEXT NOT NULL DEFAULT '0.05';

INSERT OR IGNORE INTO meta (key, value) VALUES ('ledger_id', lower(hex(randomblob(8))));
"""

_VERSION_3 = """
ALTER TABLE speeches ADD COLUMN figureless INTEGER NOT NULL DEFAULT 0;

UPDATE speeches SET figureless = 1 WHERE audio_id IS NOT NULL AND units_deducted IS NULL;

ALTER TABLE owner ADD COLUMN seen_at TEXT;
"""

_VERSION_4 = """
ALTER TABLE attempts ADD COLUMN clock_skew REAL;

ALTER TABLE attempts ADD COLUMN earlier_parts TEXT;

ALTER TABLE jobs ADD COLUMN current TEXT;
"""

_VERSION_5 = """
ALTER TABLE attempts ADD COLUMN fitted TEXT NOT NULL DEFAULT '{}';

ALTER TABLE jobs ADD COLUMN captions_file TEXT;
"""

_VERSION_6 = """
CREATE TABLE limits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    campaign TEXT NOT NULL,
    slots_limit INTEGER NOT NULL,
    slots_used INTEGER NOT NULL,
    why TEXT NOT NULL
);

CREATE INDEX speeches_by_job ON speeches (external_task_id);
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6)
"""MIGRATIONS[n] brings a ledger of version n to version n + 1."""

CURRENT_VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the ledger to CURRENT_VERSION, one transaction a step.

    Raises LedgerMismatch for a file that a newer program wrote, or that is some other program's.
    """
    version = check_ours(connection)
    for number in range(version, CURRENT_VERSION):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(MIGRATIONS[number]):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO migrations (version, applied_at) VALUES (?, ?)",
                (number + 1, utc_text(utc_now())),
            )
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def check_ours(connection: sqlite3.Connection) -> int:
    """The version of the ledger in this file; 0 for an empty one."""
    version = version_of(connection)
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    kinds = {row[0] for row in connection.execute("SELECT DISTINCT type FROM sqlite_master")}
    if kinds - {"table", "index"}:
        # A view or a trigger in a file from somebody else would run as if it were ours.
        raise LedgerMismatch(
            "This SQLite file has views or triggers, which no ledger has.",
            mend="Name another file with --ledger.",
        )
    if kinds and application != APPLICATION_ID:
        raise LedgerMismatch(
            "This SQLite file was not made by manifest-runner.",
            mend="Name another file with --ledger.",
        )
    if version > CURRENT_VERSION:
        raise LedgerMismatch(
            f"The ledger has version {version}; this program knows versions up to {CURRENT_VERSION}.",
            mend="Use the newer manifest-runner that wrote it.",
        )
    return version


def _statements(script: str) -> list[str]:
    """The script's statements, each ending in `;` at a line's end, one by one.

    executescript() would commit the transaction around them.
    """
    return [part.strip() for part in script.split(";\n") if part.strip()]
