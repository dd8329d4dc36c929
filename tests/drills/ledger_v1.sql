-- What a service of ledger version 1 left behind when it was killed at 02:00:01.
BEGIN TRANSACTION;
CREATE TABLE actions (
    at TEXT NOT NULL,
    peer TEXT NOT NULL,
    verb TEXT NOT NULL,
    what TEXT NOT NULL,
    answer TEXT NOT NULL
);
CREATE TABLE attempts (
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    pid INTEGER,
    ended_at TEXT,
    reason TEXT,
    cause TEXT NOT NULL,
    wait_status INTEGER,
    cpu_s REAL,
    max_rss_bytes INTEGER,
    strays TEXT NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
INSERT INTO "attempts" VALUES(1,1,'2026-02-09T02:00:00.000429+00:00',1039,'2026-02-09T02:00:00.045104+00:00',NULL,'',0,0.001109,13381632,'[]');
INSERT INTO "attempts" VALUES(2,1,'2026-02-09T02:00:00.000429+00:00',1026,NULL,NULL,'',NULL,NULL,NULL,'[]');
INSERT INTO "attempts" VALUES(4,1,'2026-02-09T02:00:00.000429+00:00',1041,'2026-02-09T02:00:00.045104+00:00','exit','exit status 1',256,0.001004,13381632,'[]');
INSERT INTO "attempts" VALUES(5,1,'2026-02-09T02:00:00.045104+00:00',1059,'2026-02-09T02:00:00.077945+00:00','exit','exit status 1',256,1.08199999999999984558e-03,13512704,'[]');
INSERT INTO "attempts" VALUES(6,1,'2026-02-09T02:00:00.045104+00:00',1052,'2026-02-09T02:00:00.051590+00:00',NULL,'',0,0.000919,13512704,'[]');
CREATE TABLE gaps (
    job TEXT NOT NULL,
    since TEXT NOT NULL,
    until TEXT NOT NULL,
    count INTEGER NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (job, since)
) WITHOUT ROWID;
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    cause TEXT NOT NULL,
    count INTEGER NOT NULL,
    run INTEGER,
    reminders INTEGER NOT NULL,
    reminded_count INTEGER NOT NULL,
    next_reminder_at TEXT,
    closed_at TEXT,
    acked_until TEXT,
    ack_by TEXT NOT NULL,
    ack_reason TEXT NOT NULL
);
INSERT INTO "incidents" VALUES(1,'loud','exit','error','2026-02-09T02:00:00.077945+00:00','2026-02-09T02:00:00.077945+00:00','exit status 1',1,5,0,1,'2026-02-09T03:00:00.077945+00:00',NULL,NULL,'','');
CREATE TABLE jobs (
    job TEXT PRIMARY KEY,
    seen_until TEXT NOT NULL,
    pause TEXT
) WITHOUT ROWID;
INSERT INTO "jobs" VALUES('backup','2026-02-09T02:00:00+00:00',NULL);
INSERT INTO "jobs" VALUES('cards','2026-02-09T02:00:00+00:00',NULL);
INSERT INTO "jobs" VALUES('loud','2026-02-09T02:00:00+00:00',NULL);
INSERT INTO "jobs" VALUES('minutely','2026-02-09T02:00:00+00:00',NULL);
INSERT INTO "jobs" VALUES('report','2026-02-09T02:00:00+00:00',NULL);
INSERT INTO "jobs" VALUES('sets','2026-02-09T02:00:00+00:00',NULL);
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "meta" VALUES('clean','0');
INSERT INTO "meta" VALUES('instance','30c032e81c9ca2b99d732115ea5ea6d0');
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL,
    word TEXT NOT NULL,
    severity TEXT NOT NULL,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    count INTEGER NOT NULL,
    run INTEGER,
    at TEXT NOT NULL,
    lasted_s REAL NOT NULL,
    delivered_at TEXT
);
INSERT INTO "outbox" VALUES(1,1,'opened','error','loud','exit','exit status 1',1,5,'2026-02-09T02:00:00.077945+00:00',0.0,NULL);
CREATE TABLE reloads (
    at TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    said TEXT NOT NULL
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    due TEXT NOT NULL,
    trigger TEXT NOT NULL,
    state TEXT NOT NULL,
    slot TEXT,
    place INTEGER NOT NULL,
    reason TEXT,
    cause TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    retries_used INTEGER NOT NULL,
    interruptions INTEGER NOT NULL,
    after TEXT,
    batch TEXT NOT NULL,
    set_json TEXT NOT NULL,
    dry_run INTEGER NOT NULL,
    blocked_by INTEGER,
    opened_at TEXT,
    started_at TEXT,
    ended_at TEXT,
    next_attempt_at TEXT,
    progress TEXT,
    result_json TEXT,
    exit_status INTEGER,
    cpu_s REAL,
    max_rss_bytes INTEGER,
    strays TEXT NOT NULL,
    log_bytes INTEGER NOT NULL,
    UNIQUE (job, slot)
);
INSERT INTO "runs" VALUES(1,'sets','2026-02-09T02:00:00+00:00','schedule','success','2026-02-09T02:00:00+00:00',0,NULL,'',1,0,0,NULL,'','{}',0,NULL,'2026-02-09T02:00:00.000429+00:00','2026-02-09T02:00:00.000429+00:00','2026-02-09T02:00:00.045104+00:00',NULL,NULL,NULL,0,0.001109,13381632,'[]',0);
INSERT INTO "runs" VALUES(2,'cards','2026-02-09T02:00:00+00:00','schedule','running','2026-02-09T02:00:00+00:00',1,NULL,'',1,0,0,NULL,'','{}',0,NULL,'2026-02-09T02:00:00.000429+00:00','2026-02-09T02:00:00.000429+00:00',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]',0);
INSERT INTO "runs" VALUES(3,'report','2026-02-09T02:00:00+00:00','schedule','pending','2026-02-09T02:00:00+00:00',2,NULL,'waits for run 2 of cards',0,0,0,NULL,'','{}',0,NULL,'2026-02-09T02:00:00.000429+00:00',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]',0);
INSERT INTO "runs" VALUES(4,'backup','2026-02-09T02:00:00+00:00','schedule','retrying','2026-02-09T02:00:00+00:00',3,'exit','exit status 1',1,1,0,NULL,'','{}',0,NULL,'2026-02-09T02:00:00.000429+00:00','2026-02-09T02:00:00.000429+00:00',NULL,'2026-02-09T02:09:05.304976+00:00',NULL,NULL,1,0.001004,13381632,'[]',0);
INSERT INTO "runs" VALUES(5,'loud','2026-02-09T02:00:00+00:00','schedule','failed','2026-02-09T02:00:00+00:00',4,'exit','exit status 1',1,0,0,NULL,'','{}',0,NULL,'2026-02-09T02:00:00.000429+00:00','2026-02-09T02:00:00.045104+00:00','2026-02-09T02:00:00.077945+00:00',NULL,NULL,NULL,1,1.08199999999999984558e-03,13512704,'[]',0);
INSERT INTO "runs" VALUES(6,'minutely','2026-02-09T02:00:00+00:00','schedule','success','2026-02-09T02:00:00+00:00',5,NULL,'',1,0,0,NULL,'','{}',0,NULL,'2026-02-09T02:00:00.000429+00:00','2026-02-09T02:00:00.045104+00:00','2026-02-09T02:00:00.051590+00:00',NULL,NULL,NULL,0,0.000919,13512704,'[]',0);
CREATE INDEX runs_of_job ON runs (job, id);
CREATE INDEX runs_by_due ON runs (due);
CREATE INDEX runs_open ON runs (state) WHERE state IN ('pending', 'running', 'retrying');
COMMIT;
PRAGMA user_version = 1;
