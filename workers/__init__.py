"""Nightshift's built-in workers: sync, backup, rotation, cleanup, health, integrity, replication.

This package does not import the supervisor. Each worker defines `Params`, a pure `plan`,
and `run(params, report) -> dict`. `protocol.py` is the only interface between the two
packages. `bootstrap.py` is the first code that runs in a worker process.
"""

DISTRIBUTION = "nightshift-cron"
# The version is defined only here.
__version__ = "0.2.0"
