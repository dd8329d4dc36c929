-- Schema of the ledger. Columns have the names of the fields in core/model.py and
-- core/alert_model.py. Instants are RFC 3339 in UTC, lists JSON text, booleans 0 or 1.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

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
    on_host TEXT NOT NULL,
    incident TEXT NOT NULL,
    UNIQUE (job, slot)
);
CREATE INDEX runs_of_job ON runs (job, id);
CREATE INDEX runs_by_due ON runs (due);
-- What a start, a purge and `history --state` look for, however many runs there are.
-- No IN: for that SQLite makes a table of the texts at each write, for each index.
CREATE INDEX runs_open ON runs (id)
WHERE (state = 'pending' OR state = 'running' OR state = 'retrying');
CREATE INDEX runs_succeeded ON runs (job, id) WHERE state = 'success';
CREATE INDEX runs_failed ON runs (job, id) WHERE state = 'failed';
CREATE INDEX runs_in_vain ON runs (state, id)
WHERE (state = 'failed' OR state = 'skipped' OR state = 'missed'
    OR state = 'cancelled' OR state = 'interrupted');
CREATE INDEX runs_with_log ON runs (id, log_bytes) WHERE log_bytes > 0;

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

CREATE TABLE gaps (
    job TEXT NOT NULL,
    since TEXT NOT NULL,
    until TEXT NOT NULL,
    count INTEGER NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (job, since)
) WITHOUT ROWID;

CREATE TABLE jobs (
    job TEXT PRIMARY KEY,
    seen_until TEXT NOT NULL,
    pause TEXT,
    removed_at TEXT,
    fixed_until TEXT
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
    ack_reason TEXT NOT NULL,
    recovery_at TEXT,
    successes INTEGER NOT NULL
);

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
    delivered_at TEXT,
    attempts INTEGER NOT NULL,
    next_at TEXT,
    error TEXT NOT NULL,
    folded INTEGER NOT NULL,
    withheld TEXT NOT NULL,
    channel TEXT NOT NULL
);
CREATE INDEX outbox_waiting ON outbox (id) WHERE delivered_at IS NULL AND withheld = '';

CREATE TABLE actions (
    at TEXT NOT NULL,
    peer TEXT NOT NULL,
    verb TEXT NOT NULL,
    what TEXT NOT NULL,
    answer TEXT NOT NULL
);

CREATE TABLE reloads (
    at TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    said TEXT NOT NULL,
    changes TEXT NOT NULL,
    changes_left_out INTEGER NOT NULL
);
