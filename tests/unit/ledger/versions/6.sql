-- A ledger as version 6 left it. Never edited: later programs must go on reading it.
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
    units_deducted TEXT, key_id TEXT, clock_skew REAL, earlier_parts TEXT, fitted TEXT NOT NULL DEFAULT '{}',
    UNIQUE (external_task_id, number)
) WITHOUT ROWID;
INSERT INTO "attempts" VALUES('welcome-de','welcome-de',1,'1:bb','{}','2026-11-02T09:00:01.000Z','2026-11-02T09:00:01.000Z',2,90.0,'9.6','868123456789012346','2026-11-02T09:00:02.000Z','failed','content risk',NULL,'req-2','2026-11-02T09:04:00.000Z',NULL,NULL,NULL,NULL,NULL,'{}');
INSERT INTO "attempts" VALUES('welcome-de-r2','welcome-de',2,'1:bb','{}','2026-11-02T09:06:00.000Z','2026-11-02T09:06:00.000Z',1,90.0,'9.6',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'5d41402abc4b2a76',-3599.75,'{"prompt": "old"}','{}');
INSERT INTO "attempts" VALUES('welcome-en','welcome-en',1,'1:aa','{"image": "aa"}','2026-11-02T09:00:01.000Z','2026-11-02T09:00:01.000Z',1,90.0,'4.8','868123456789012345','2026-11-02T09:00:02.000Z','succeed',NULL,NULL,'req-1','2026-11-02T09:04:00.000Z','11.3','4.4','5d41402abc4b2a76',0.5,NULL,'{"image": "turned upright"}');
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
INSERT INTO "events" VALUES(1,'2026-11-02T09:00:00.100Z','welcome-en',NULL,NULL,'pending','read from the manifest',NULL,NULL);
INSERT INTO "events" VALUES(2,'2026-11-02T09:00:01.000Z','welcome-en','welcome-en','pending','submitting','it is due',NULL,'req-1');
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
, listed INTEGER NOT NULL DEFAULT 1, line INTEGER, changed TEXT NOT NULL DEFAULT '[]', current TEXT, captions_file TEXT) WITHOUT ROWID;
INSERT INTO "jobs" VALUES('welcome-de','spring',1,'submitting','pro',1,'welcome-de.mp4','[]','{}',NULL,'2026-11-02T09:00:00.100Z','tried again',NULL,NULL,NULL,NULL,NULL,0,NULL,'[]',NULL,NULL);
INSERT INTO "jobs" VALUES('welcome-en','spring',0,'done','std',0,'welcome-en.mp4','["intro", "en"]','{"first_name": "Ana"}','4.8','2026-11-02T09:00:00.100Z','the video is at welcome-en.mp4','welcome-en.mp4',NULL,'abababababababababababababababababababababababababababababababab',1234,'2026-11-02T09:05:00.000Z',1,7,'["prompt"]','welcome-en','welcome-en.srt');
CREATE TABLE limits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    campaign TEXT NOT NULL,
    slots_limit INTEGER NOT NULL,
    slots_used INTEGER NOT NULL,
    why TEXT NOT NULL
);
INSERT INTO "limits" VALUES(1,'2026-11-02T09:00:00.900Z','spring',5,0,'the run began');
INSERT INTO "limits" VALUES(2,'2026-11-02T09:00:02.500Z','spring',3,3,'the account refused more');
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "meta" VALUES('account','kling:api-singapore.klingai.com');
INSERT INTO "meta" VALUES('ledger_id','0123456789abcdef');
CREATE TABLE migrations (
    version INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL
);
INSERT INTO "migrations" VALUES(1,'2026-11-02T09:00:00.000Z');
INSERT INTO "migrations" VALUES(2,'2026-11-24T03:00:00.000Z');
INSERT INTO "migrations" VALUES(3,'2026-11-24T04:00:00.000Z');
INSERT INTO "migrations" VALUES(4,'2026-11-24T18:30:00.000Z');
INSERT INTO "migrations" VALUES(5,'2026-11-24T22:00:00.000Z');
INSERT INTO "migrations" VALUES(6,'2026-11-25T01:00:00.000Z');
CREATE TABLE owner (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    since TEXT NOT NULL
, seen_at TEXT);
INSERT INTO "owner" VALUES(1,'studio',4242,'2026-11-02T09:00:00.000Z','2026-11-24T04:00:05.000Z');
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
, external_task_id TEXT, call_units TEXT NOT NULL DEFAULT '0.05', figureless INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
INSERT INTO "speeches" VALUES('k1','spring','2026-11-02T09:00:00.500Z',2,1,'audio-1','3.2','2026-11-02T09:00:00.900Z','0.05','req-3','welcome-en','0.06',1);
CREATE INDEX jobs_by_campaign ON jobs (campaign, position);
CREATE INDEX jobs_by_state ON jobs (campaign, state);
CREATE INDEX events_by_job ON events (external_task_id, seq);
CREATE INDEX speeches_by_job ON speeches (external_task_id);

PRAGMA application_id = 1297243980;
PRAGMA user_version = 6;
