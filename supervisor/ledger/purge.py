"""SQL that selects what may be purged; `store.py` deletes it, a step at a time."""

# When a row of these tables ended; NULL: it is still open.
ENDED = {
    # An acknowledgement stays in force for its term, even if the incident is closed.
    "incidents": "max(closed_at, coalesce(acked_until, closed_at))",
    "outbox": "(CASE WHEN withheld = '' THEN delivered_at ELSE at END)",
}

# Texts of jobs.yaml that are kept, whatever their age: their number has no other limit.
MOST_RELOADS = 1000
# The newest one is what the next text is compared with.
OLD_RELOADS = f"""
DELETE FROM reloads WHERE rowid < (SELECT max(rowid) FROM reloads)
AND (at < ? OR rowid <= (SELECT max(rowid) FROM reloads) - {MOST_RELOADS})
"""

PURGEABLE = """
WITH aged AS (
    SELECT id, job, due, state,
           row_number() OVER (PARTITION BY job ORDER BY id DESC) AS age
    FROM runs
)
SELECT id FROM aged
WHERE state NOT IN ('pending', 'running', 'retrying')
  AND (due < ? OR age > ?)
  AND age > 1
  AND id NOT IN (SELECT max(id) FROM runs WHERE state = 'success' GROUP BY job)
  AND id NOT IN (SELECT max(id) FROM runs WHERE state = 'failed' GROUP BY job)
ORDER BY id LIMIT ?
"""

LOGS_BEYOND = """
SELECT id FROM (
    SELECT id, state, sum(log_bytes) OVER (ORDER BY id DESC) AS kept
    FROM runs WHERE log_bytes > 0
)
WHERE kept > ? AND state NOT IN ('pending', 'running', 'retrying')
ORDER BY id LIMIT ?
"""
