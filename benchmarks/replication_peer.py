"""One of our sides of replication.py, in a process that loads nothing else.

    python benchmarks/replication_peer.py NAME DATABASE DSN

NAME is a side of replication.py; the worker's result goes to stdout.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from workers import replication
from workers.report import Report


def side(name: str, database: str, dsn: str) -> None:
    """Run the worker once."""
    capture = "compare" if name == "compare" else "triggers"
    params = replication.Params(
        Path(database),
        dsn,
        schema="ours",
        capture=capture,
        proof_budget=0.0,  # type: ignore[arg-type] - a Duration is its seconds
        verify_only=name == "verify",
    )
    result = replication.run(params, Report(lambda _: None, datetime.now(UTC)))
    print(json.dumps(result))


if __name__ == "__main__":
    side(*sys.argv[1:])
