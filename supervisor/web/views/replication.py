"""The page of replication: for each `replication.run` job what its last successes reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from supervisor.core.views import RunView

WORKER = "replication.run"
_FIRST = (
    "lag_seconds",
    "oldest_unproved_seconds",
    "inserted",
    "updated",
    "deleted",
    "healed",
    "compared",
    "tables",
)


@dataclass(frozen=True, slots=True)
class Replica:
    """One job: its newest run, its newest success, and the figures of that."""

    job: str
    newest: RunView | None
    succeeded_at: datetime | None
    lag_seconds: float | None
    unproved_seconds: float | None
    figures: tuple[tuple[str, Any], ...]
    lags: tuple[tuple[int, float], ...]


def replica(job: str, runs: Sequence[RunView]) -> Replica:
    """Return the figures of a job. runs: newest first."""
    done = [run for run in runs if run.result and run.state == "success" and not run.dry_run]
    newest = next(iter(runs), None)
    result = dict(done[0].result or {}) if done else {}
    first = [(key, result[key]) for key in _FIRST if key in result]
    rest = [(key, value) for key, value in result.items() if key not in _FIRST]
    lags = [(run.id, _number(run.result, "lag_seconds") or 0.0) for run in reversed(done)]
    return Replica(
        job,
        newest,
        done[0].ended_at if done else None,
        _number(result, "lag_seconds"),
        _number(result, "oldest_unproved_seconds"),
        tuple(first + rest),
        tuple(lags),
    )


def _number(result: dict[str, Any] | None, key: str) -> float | None:
    value = (result or {}).get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
