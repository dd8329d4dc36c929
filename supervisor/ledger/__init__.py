"""The ledger: what happened, in SQLite, whatever happens.

`store.py` is its one writer and `backlog.py` what waits for it; `history.py`
reads for people; `rows.py` turns values into rows of `schema.sql` and back.
"""
