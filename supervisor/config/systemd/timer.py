"""A systemd timer -> when a job is due: cron, time zone, catch-up, run on startup.

Pure. Settings that cannot be converted are added to the notes.
"""

from collections.abc import Iterator

from supervisor.config import intervals
from supervisor.config.problems import BadValueError
from supervisor.config.systemd.calendar import CronTime, to_cron
from supervisor.config.systemd.exec_line import seconds
from supervisor.config.systemd.units import Unit, specified, specifiers
from supervisor.config.yaml_writer import value

TIMER = "Timer"
_YES = ("1", "yes", "y", "true", "t", "on")


def times_keys(timer: Unit, notes: list[str]) -> list[list[tuple[str, str]]]:
    """Return the keys for cron, timezone, catch_up and run_on_startup, once for each zone.

    Raises:
        BadValueError: no time can be converted.
    """
    found = [*_calendar(timer, notes), *_intervals(timer, notes)]
    is_at_boot = any(
        timer.all(TIMER, name) for name in ("OnBootSec", "OnStartupSec", "OnActiveSec")
    )
    if not found and not is_at_boot:
        raise BadValueError("the timer has no time")
    zones = dict.fromkeys(each.zone for each in found) or {"": None}
    if len(zones) > 1:
        notes.append("its times are in several zones: one job for each")
    jobs: list[list[tuple[str, str]]] = []
    for zone in zones:
        texts = list(dict.fromkeys(each.cron for each in found if each.zone == zone))
        keys = [("cron", value(texts[0]) if len(texts) == 1 else _listed(texts))] if texts else []
        keys += [("timezone", value(zone))] if zone else []
        if is_at_boot and not jobs:
            keys.append(("run_on_startup", "true"))
        is_persistent = timer.last(TIMER, "Persistent").lower() in _YES
        keys.append(("catch_up", "latest" if is_persistent else "none"))
        jobs.append(keys)
    return jobs


def _calendar(timer: Unit, notes: list[str]) -> Iterator[CronTime]:
    """Yield the OnCalendar times; note those that cannot be converted, raise if none can."""
    lost: BadValueError | None = None
    kept = 0
    for setting in timer.all(TIMER, "OnCalendar"):
        try:
            found = to_cron(specified(setting.value, specifiers(timer, "")))
        except BadValueError as wrong:
            lost = wrong
            hint = f" ({wrong.hint})" if wrong.hint else ""
            notes.append(f"OnCalendar={setting.value} is not kept: {wrong.message}{hint}")
            continue
        kept += 1
        notes += [found.note] if found.note else []
        yield found
    if lost is not None and not kept:
        raise lost


def _intervals(timer: Unit, notes: list[str]) -> Iterator[CronTime]:
    for name in ("OnUnitActiveSec", "OnUnitInactiveSec"):
        text = timer.last(TIMER, name)
        if text:
            yield CronTime(_interval(seconds(text), f"{name}={text}"))
            since = "its last start" if name == "OnUnitActiveSec" else "its last end"
            notes.append(f"{name}={text} counts from {since}, cron from the full hour or day")
    for name in ("OnBootSec", "OnStartupSec", "OnActiveSec"):
        text = timer.last(TIMER, name)
        if text:
            notes.append(f"{name}={text}: it runs at each start of the service, at once")


def _interval(length_s: float | None, text: str) -> str:
    """Return a cron expression with about this interval. Raises: BadValueError."""
    expression = intervals.expression(length_s or 0)
    if expression:
        return expression
    raise BadValueError(f"no cron expression has the interval {text}", "divide an hour or a day")


def _listed(texts: list[str]) -> str:
    return "[" + ", ".join(map(value, texts)) + "]"
