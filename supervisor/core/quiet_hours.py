"""Quiet hours of a channel: a part of each day, in a time zone, in which nothing is sent.

Pure. Wall time decides, so a night with a changed clock is quiet from and until the same
hours. They begin and end at full minutes, at which the loop wakes in any case.
"""

from datetime import datetime, timedelta

from supervisor.core import schedule
from supervisor.core.config_model import QuietHours

_DAY_MIN = 24 * 60


def quiet_until(hours: QuietHours, at: datetime) -> datetime | None:
    """Return the end of the quiet hours that hold at this instant; None: they do not."""
    local = at.astimezone(schedule.zone(hours.timezone))
    now_min = local.hour * 60 + local.minute
    left_min = (hours.until_min - now_min) % _DAY_MIN
    length_min = (hours.until_min - hours.since_min) % _DAY_MIN
    if not 0 < left_min <= length_min:
        return None
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    end = midnight + timedelta(minutes=now_min + left_min)
    # An hour that comes twice has two ends.
    ends = (end.replace(tzinfo=local.tzinfo, fold=fold).astimezone(at.tzinfo) for fold in (0, 1))
    return next((each for each in ends if each > at), at + timedelta(minutes=1))
