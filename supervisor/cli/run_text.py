"""Words about a run: its progress, the cause of its state, the results of its worker."""

from supervisor.cli.output import results
from supervisor.core.model import Progress
from supervisor.core.views import RunView
from workers.units import format_size

_BYTES = "bytes"
# From this value on decimals are noise.
_WHOLE = 10


def outcome(run: RunView) -> str:
    """Return the detail of the run, and the results of its worker."""
    return "; ".join(text for text in (detail(run), results(run.result)) if text)


def detail(run: RunView) -> str:
    """Return the progress while the run reports any, else the cause of its state."""
    if run.progress is None or run.is_final:
        return run.cause
    return format_progress(run.progress)


def format_progress(progress: Progress) -> str:
    """Return `30 of 120 sets (2.5/s)`; bytes are formatted as sizes."""
    unit = progress.unit
    of = f" of {_amount(progress.total, unit)}" if progress.total is not None else ""
    rate = f" ({_amount(progress.per_second, unit)}/s)" if progress.per_second else ""
    named = "" if unit == _BYTES else f" {unit}".rstrip()
    return f"{_amount(progress.done, unit)}{of}{named}{rate}"


def _amount(value: float, unit: str) -> str:
    if unit == _BYTES:
        return format_size(value)
    return f"{value:.0f}" if float(value).is_integer() or value >= _WHOLE else f"{value:.2g}"
