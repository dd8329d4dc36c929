"""The page: a process of its own that reads the supervisor's socket, as the commands do.

`server.py` binds and serves. `gate.py` decides who comes in; its rules are pure
(`settings.py`, `request_rules.py`). `pages.py`, `buttons.py` and `live.py` ask the
socket (`source.py`) and render templates with values from `views/`, which are pure.
The supervisor imports nothing of this.
"""
