"""Nightshift's supervisor: decides what runs, contains it, and keeps the account.

Enter by `core/decide.py` for what happens and why, by `loop.py` for how the
outside reaches it, by `__main__.py` for the command line.
"""

DISTRIBUTION = "nightshift-cron"

try:
    from workers import __version__ as __version__
except ImportError:  # a stranger's `workers`: __main__ refuses to begin, in words
    __version__ = ""
