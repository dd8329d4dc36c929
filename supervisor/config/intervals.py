"""Cron expressions for intervals.

Pure. Cron has an expression only for intervals that divide an hour or a day evenly.
"""

_MINUTE_S, _HOUR_S, _DAY_S, _WEEK_S = 60, 3600, 86400, 7 * 86400
_WHOLE = {_HOUR_S: "0 * * * *", _DAY_S: "0 0 * * *", _WEEK_S: "0 0 * * 1"}
_STEPS = ((_MINUTE_S, 60, "*/{} * * * *"), (_HOUR_S, 24, "0 */{} * * *"))


def expression(length_s: float) -> str:
    """Return the cron expression with slots every `length_s` seconds, or "" if there is none."""
    if length_s in _WHOLE:
        return _WHOLE[int(length_s)]
    for unit_s, cycle, form in _STEPS:
        count, rest = divmod(length_s, unit_s)
        if not rest and 1 <= count < cycle and cycle % count == 0:
            return form.format(int(count)).replace("*/1 ", "* ", 1)
    return ""
