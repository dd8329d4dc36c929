"""Health checks with limits that the machine of the tests cannot exceed."""

from pathlib import Path
from typing import Any

from tests.workers.catalogue_folder import a_report
from workers import health, params
from workers.protocol import Message, Scalar

# Disk space and speed of the machine that runs the tests must not change the verdict.
GENEROUS = {"disk_free": 0, "query": "30s", "postgres": "30s", "answer": "30s"}


def measured(
    path: Path,
    copies: Path | None = None,
    received: list[Message] | None = None,
    limits: dict[str, Any] | None = None,
    dry_run: bool = False,
    **given: Any,
) -> dict[str, Scalar]:
    """Check the database at `path` and its copies; `given`: more keys of `with`."""
    wanted = {"database": str(path), "limits": {**GENEROUS, **(limits or {})}, **given}
    if copies is not None:
        wanted["backups"] = str(copies)
    return health.run(params.parse(health.Params, wanted), a_report(received, dry_run))
