"""Several hosts, one jobs.yaml: what a host and the leader do with the shared PostgreSQL.

One host at a time leads: its leader process runs the rules of `core` over all hosts, with
the ledger in PostgreSQL. An attempt becomes a job of the engine, Procrastinate, whose
tables and SQL functions assign, lock and abort it. Each host's agent fetches what its
labels allow and gives it to its own supervisor, which contains it as any other run.

Both are child processes, so that the supervisor never waits for PostgreSQL. Without
`cluster` in jobs.yaml nothing here is imported. docs/cluster.md says what is promised.
"""
