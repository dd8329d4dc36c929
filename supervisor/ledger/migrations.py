"""From an older ledger to this one: the statements, a version at a time.

`opening.py` copies the ledger beside itself first and runs all steps in one
transaction. A step is never changed once it has left this house.
"""

SCHEMA_VERSION = 3

# From version n to n + 1. Version 0 never left this house.
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
    # The last tick stands in `meta` from the first minute on; until then the newest
    # `seen_until` stands for it (core/restoring.py says why that is safe).
    2: """
        ALTER TABLE jobs ADD COLUMN removed_at TEXT;
        ALTER TABLE jobs ADD COLUMN fixed_until TEXT;
        ALTER TABLE incidents ADD COLUMN recovery_at TEXT;
        ALTER TABLE incidents ADD COLUMN successes INTEGER NOT NULL DEFAULT 0
    """,
}
