"""SQL statements that migrate an older ledger, one version at a time.

`file.py` copies the ledger beside itself first and runs all steps in one
transaction. A step is never changed once it has been released.
"""

SCHEMA_VERSION = 8

# From version n to n + 1. Version 0 was never released.
MIGRATIONS: dict[int, str] = {
    1: """
        ALTER TABLE outbox ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE outbox ADD COLUMN next_at TEXT;
        ALTER TABLE outbox ADD COLUMN error TEXT NOT NULL DEFAULT '';
        ALTER TABLE outbox ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE outbox ADD COLUMN withheld TEXT NOT NULL DEFAULT '';
        UPDATE outbox SET withheld = 'written before alerts were delivered'
        WHERE delivered_at IS NULL;
        CREATE INDEX outbox_waiting ON outbox (id)
        WHERE delivered_at IS NULL AND withheld = ''
    """,
    # The last tick is in `meta` from the first minute on; until then the newest
    # `seen_until` replaces it (core/startup.py explains why that is safe).
    2: """
        ALTER TABLE jobs ADD COLUMN removed_at TEXT;
        ALTER TABLE jobs ADD COLUMN fixed_until TEXT;
        ALTER TABLE incidents ADD COLUMN recovery_at TEXT;
        ALTER TABLE incidents ADD COLUMN successes INTEGER NOT NULL DEFAULT 0
    """,
    # Until then there was one channel at most; `notify: {slack: URL}` names it slack.
    3: """
        ALTER TABLE outbox ADD COLUMN channel TEXT NOT NULL DEFAULT '';
        UPDATE outbox SET channel = 'slack' WHERE withheld = ''
    """,
    4: """
        CREATE INDEX IF NOT EXISTS runs_open ON runs (id)
        WHERE state IN ('pending', 'running', 'retrying');
        CREATE INDEX IF NOT EXISTS runs_succeeded ON runs (job, id) WHERE state = 'success';
        CREATE INDEX IF NOT EXISTS runs_failed ON runs (job, id) WHERE state = 'failed';
        CREATE INDEX IF NOT EXISTS runs_in_vain ON runs (state, id)
        WHERE state IN ('failed', 'skipped', 'missed', 'cancelled', 'interrupted');
        CREATE INDEX IF NOT EXISTS runs_with_log ON runs (id, log_bytes) WHERE log_bytes > 0
    """,
    # What the earlier texts changed is not known.
    5: """
        ALTER TABLE reloads ADD COLUMN changes TEXT NOT NULL DEFAULT '[]';
        ALTER TABLE reloads ADD COLUMN changes_left_out INTEGER NOT NULL DEFAULT 0
    """,
    6: """
        ALTER TABLE runs ADD COLUMN on_host TEXT NOT NULL DEFAULT '';
        ALTER TABLE runs ADD COLUMN incident TEXT NOT NULL DEFAULT ''
    """,
    # The same indexes with conditions that cost half of each write.
    7: """
        DROP INDEX IF EXISTS runs_open;
        DROP INDEX IF EXISTS runs_in_vain;
        CREATE INDEX runs_open ON runs (id)
        WHERE (state = 'pending' OR state = 'running' OR state = 'retrying');
        CREATE INDEX runs_in_vain ON runs (state, id)
        WHERE (state = 'failed' OR state = 'skipped' OR state = 'missed'
            OR state = 'cancelled' OR state = 'interrupted')
    """,
}
