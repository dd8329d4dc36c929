"""The ledger: the history of jobs and runs in SQLite.

`store.py` is the only writer and `write_queue.py` holds what waits for it. `queries.py`
reads for the API and the command line. `rows.py` converts values to rows of
`schema.sql` and back. `file.py` opens, checks and migrates the file.
"""
