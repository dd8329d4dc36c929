"""Compute the column widths of a table. Pure functions.

Numbers, states and times are never folded. Names and texts fold: each has a minimum
readable width, and they share the remaining width. If the minimums do not fit, spare
columns are dropped first, and then the texts become narrower still.
"""

from collections.abc import Mapping, Sequence

GAP = "  "
# A narrower column would be unreadable: a few letters per line.
_TIGHT = 6
# A name is read as a whole: it gets up to this share of the width before texts grow.
_NAME, _NAME_SHARE = "JOB", 0.4
# The columns that fold, with their minimum readable width.
_LEAST = {
    "DESCRIPTION": 30,
    "COPY": 40,
    **dict.fromkeys(("CAUSE", "DETAIL", "RUNS", "ANSWER", "WHAT", "SCHEDULE", _NAME), 14),
}


def folds(header: str) -> bool:
    """Return whether cells under this header may take several lines."""
    return header in _LEAST


def fitting(wanted: Mapping[str, int], spare: Sequence[str], total: int) -> dict[str, int]:
    """Return the columns that fit into `total` characters, each with its width.

    wanted: header -> width of its longest cell.
    spare: headers to drop, the first one first.
    """
    kept = dict(wanted)
    for header in spare:
        if _left(_at_least(kept, total), total) >= 0:
            break
        del kept[header]
    return _shared(kept, total)


def _shared(wanted: Mapping[str, int], total: int) -> dict[str, int]:
    """Grow the narrowest unsatisfied columns, or shrink the widest, until they fill `total`."""
    found = _at_least(wanted, total)
    left = _left(found, total)
    while left > 0 and (hungry := [each for each in found if found[each] < wanted[each]]):
        found[min(hungry, key=found.__getitem__)] += 1
        left -= 1
    while left < 0 and (wide := [each for each in found if folds(each) and found[each] > _TIGHT]):
        found[max(wide, key=found.__getitem__)] -= 1
        left += 1
    return found


def _at_least(wanted: Mapping[str, int], total: int) -> dict[str, int]:
    least = {**_LEAST, _NAME: max(_LEAST[_NAME], int(total * _NAME_SHARE))}
    return {header: min(size, least.get(header, size)) for header, size in wanted.items()}


def _left(found: Mapping[str, int], total: int) -> int:
    return total - sum(found.values()) - len(GAP) * (len(found) - 1)
