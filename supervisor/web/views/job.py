"""The page of one job: its definition in rows, and its durations as a chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import msgspec

from supervisor.core import schedule
from supervisor.core.responses import JobDetail
from supervisor.core.views import Definition, RunView
from workers.units import format_count, format_duration

_LEFT_OUT = {
    "name",
    "description",
    "docs",
    "with",
    "env",
    "worker",
    "command",
    "cron",
    "status",
    "runs",
    "environment",
}
CHART_HEIGHT = 120


@dataclass(frozen=True, slots=True)
class Chart:
    """Durations of runs, oldest first, in a box of 100 (percent) by CHART_HEIGHT."""

    bars: tuple[tuple[float, float, float, str, int, str], ...]
    median: float
    labels: tuple[tuple[float, str], ...]
    words: str


def definition_rows(job: JobDetail) -> list[tuple[str, str]]:
    """Return the keys of jobs.yaml that this job sets, and their values as text."""
    rows: list[tuple[str, str]] = []
    rows.append(("worker", job.worker) if job.worker else ("command", _text(job.command)))
    rows += [("cron", expression) for expression in job.cron] or [("cron", "none: by request")]
    shown = msgspec.to_builtins(job)
    for name, value in shown.items():
        if name not in _LEFT_OUT and value not in (None, False, [], {}, ()):
            key = name.removesuffix("_seconds")
            is_time = name.endswith("_seconds") and isinstance(value, int | float)
            rows.append((key, format_duration(value) if is_time else _text(value)))
    return [(key, text) for key, text in rows if text]


def cron_words(job: Definition) -> list[str]:
    """Return the calendar in English; [] if it has no words."""
    try:
        return [schedule.explain(expression) for expression in job.cron]
    except (schedule.CronError, ValueError):
        return []


def chart(runs: Sequence[RunView]) -> Chart | None:
    """Return the chart of the runs that had a duration. runs: newest first."""
    ran = [run for run in reversed(runs) if run.duration_seconds is not None and not run.dry_run]
    if not ran:
        return None
    seconds = [run.duration_seconds or 0.0 for run in ran]
    top = max(*seconds, 0.001) if len(seconds) > 1 else max(seconds[0], 0.001)
    middle = median(seconds)
    width = 100 / max(len(ran), 12)
    bars = []
    for place, run in enumerate(ran):
        lasted = run.duration_seconds or 0.0
        height = round(max(2.0, CHART_HEIGHT * lasted / top), 1)
        words = f"run {run.id}: {run.state} after {format_duration(round(lasted, 1))}"
        left, wide = round(place * width, 3), round(width * 0.8, 3)
        bars.append((left, wide, height, str(run.state), run.id, words))
    labels = (
        (0.0, format_duration(round(top, 1))),
        (CHART_HEIGHT / 2, format_duration(round(top / 2, 1))),
    )
    usual = format_duration(round(middle, 1))
    words = f"{format_count(len(ran), 'run')}, median {usual}, longest {labels[0][1]}"
    return Chart(tuple(bars), round(CHART_HEIGHT - CHART_HEIGHT * middle / top, 1), labels, words)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(
            f"{key}: {_text(item)}" for key, item in value.items() if item is not None
        )
    return str(value).lower() if isinstance(value, bool) else str(value)
