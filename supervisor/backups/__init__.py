"""Lists the copies of the `backup.run` jobs for the API; a child reads the folders.

`lister.py` is the supervisor's side, `read_folders.py` the child's, and `model.py` has
the values that go between them.
"""
