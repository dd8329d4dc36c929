"""Health as the tests measure it: where only what a test does may be unhealthy."""

from pathlib import Path
from typing import Any

from tests.workers.catalogue_folder import a_report
from workers import health, params
from workers.protocol import Message, Scalar

# Disks and minutes of the machine that runs the tests are not theirs to judge.
CALM = {"disk_free": 0, "query": "30s", "postgres": "30s", "answer": "30s"}


def measured(
    path: Path,
    copies: Path | None = None,
    received: list[Message] | None = None,
    limits: dict[str, Any] | None = None,
    dry_run: bool = False,
    **given: Any,
) -> dict[str, Scalar]:
    """The health of the database at `path`, and of its copies; more of `with` may be given."""
    wanted = {"database": str(path), "limits": {**CALM, **(limits or {})}, **given}
    if copies is not None:
        wanted["backups"] = str(copies)
    return health.run(params.parse(health.Params, wanted), a_report(received, dry_run))
