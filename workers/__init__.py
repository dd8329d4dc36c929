"""Nightshift's built-in workers: what a night does with a data set.

Workers know nothing of the supervisor. Each is a little house of the same
plan: `Params`, a pure `plan`, and `run(params, report) -> dict`.
`protocol.py` is the one door between the two packages; `child.py` is the first
code that runs in a worker's process.
"""

DISTRIBUTION = "nightshift-cron"
# The one place of the version.
__version__ = "0.1.0"
