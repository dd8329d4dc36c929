"""Places of copies beyond the backup folder: other folders, object stores, SFTP servers.

`place.py` reads what jobs.yaml says of one; `store.py` is what every place can do, done by
`folder_store`, `object_store` and `sftp_store`. On that stand `send` (put a copy there and
prove it), `catalogue` (what is there), `fetch` (bring a copy back), `marks`, `removal` and
`probe`; `sealing` encrypts with age. Invariant: an object is created, never overwritten, and
deleted only if a manifest of ours names it; `<copy>.verified` is written last, after the
copy was read back.
"""
