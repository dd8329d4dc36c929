"""Nightshift's supervisor: decides what runs, contains it, and keeps the account.

Enter by `core/decide.py` for what happens and why, by `loop.py` for how the
outside reaches it, by `__main__.py` for the command line.
"""

__version__ = "0.1.0"
