"""Nightshift's supervisor: decides what runs, contains each run and keeps the ledger.

Start reading at `core/decide.py` for what happens and why, at `runtime/loop.py`
for how requests and events arrive, and at `__main__.py` for the command line.
"""

DISTRIBUTION = "nightshift-cron"

try:
    from workers import __version__ as __version__
except ImportError:  # another package named `workers`: __main__ refuses to start and says why
    __version__ = ""
