-- A file as the first version made it, with one task under way.
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
    wait_ms INTEGER NOT NULL, units TEXT, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL
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
PRAGMA user_version = 1;
INSERT INTO account VALUES (1795000000000);
INSERT INTO tasks VALUES (
    179500000000000001, 'from-before', 'processing', '', 'std', 'p', 0, NULL, 'image-1', 'audio-1', 'mp3', '2.125',
    5, NULL, 1795000000000, 1795000000000
);
UPDATE ids SET last = 179500000000000001;
