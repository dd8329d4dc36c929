"""Decide which copies are kept, which are removed, and why.

Pure: the copies, the time and the time zone are arguments. Invariants: every copy is either
kept or removed; every kept copy has a reason; the newest verified copy and at least `last`
verified copies of each source are kept; an unverified copy neither counts nor displaces
another. Enter at `plan`; `refusal` returns whether a plan may be carried out.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from workers.backup.listing import Backup, State, is_in_future
from workers.units import format_count, format_duration


@dataclass(frozen=True, slots=True)
class Policy:
    """How many copies of each kind are kept; only periods with a verified copy count."""

    last: int
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """A copy, whether it is kept, and why."""

    backup: Backup
    keep: bool
    reason: str


_Orders = dict[str, dict[str, list[tuple[str, str]]]]
Period = Callable[[datetime], tuple[int, ...]]

# Longest first, which is the order of the reasons.
_PERIODS: tuple[tuple[str, Period], ...] = (
    ("yearly", lambda local: (local.year,)),
    ("monthly", lambda local: (local.year, local.month)),
    ("weekly", lambda local: local.isocalendar()[:2]),
    ("daily", lambda local: (local.year, local.month, local.day)),
)


def plan(
    backups: Sequence[Backup], policy: Policy, now: datetime, zone: tzinfo
) -> tuple[Decision, ...]:
    """Return a decision for each copy, newest first; `zone` determines when a day begins.

    Raises:
        ValueError: `now` is naive.
    """
    if now.tzinfo is None:
        raise ValueError(f"expected an aware instant, got {now}")
    newest_first = sorted(backups, key=_age_order, reverse=True)
    reasons = _reasons(newest_first, policy, now, zone)
    orders = _verified_orders(newest_first, now)
    return tuple(_decision(one, reasons, orders, policy, now) for one in newest_first)


def refusal(
    decisions: Sequence[Decision], max_age: timedelta | None, max_delete: int, now: datetime
) -> str:
    """Return why nothing may be removed and what would allow it; empty if removal is allowed."""
    going = [one.backup for one in decisions if not one.keep]
    if not going:
        return ""
    everything = [one.backup for one in decisions]
    objections = [] if max_age is None else _dates(everything, going, max_age, now)
    if len(going) > max_delete:
        are = format_count(len(going), "copy is", "copies are")
        objections.append(
            f"{are} to go, expected at most {max_delete};"
            f" to allow it: --set max_delete={len(going)}"
        )
    return "; ".join(objections)


def newest_verified(backups: Sequence[Backup], now: datetime) -> list[Backup]:
    """Return the newest verified copy of each source, on which a removal relies."""
    return [verified[0] for verified in _by_source(backups, now)]


def _age_order(backup: Backup) -> tuple[str, str]:
    return backup.order


def _reasons(
    newest_first: Sequence[Backup], policy: Policy, now: datetime, zone: tzinfo
) -> dict[Backup, list[str]]:
    """Return why each verified copy is kept; each source is judged separately."""
    reasons: dict[Backup, list[str]] = defaultdict(list)
    for verified in _by_source(newest_first, now):
        reasons[verified[0]].append("newest verified")
        for name, period in _PERIODS:
            count = getattr(policy, name)
            for place, backup in enumerate(_first_of_each(verified, period, zone)[:count], 1):
                reasons[backup].append(f"{name} {place}/{count}")
        for place, backup in enumerate(verified[: policy.last], 1):
            reasons[backup].append(f"last {place}/{policy.last}")
    return reasons


def _by_source(backups: Sequence[Backup], now: datetime) -> list[list[Backup]]:
    """Return the verified copies of each source, newest first; databases may share a name."""
    sources: dict[tuple[str, str], list[Backup]] = defaultdict(list)
    for backup in sorted(backups, key=_age_order, reverse=True):
        # A copy dated in the future would stay the newest until that time.
        if backup.state is State.VERIFIED and not is_in_future(backup, now):
            sources[backup.stem, backup.source].append(backup)
    return list(sources.values())


def _first_of_each(verified: Sequence[Backup], period: Period, zone: tzinfo) -> list[Backup]:
    """Return the newest copy of each period that has one, newest first."""
    found: dict[tuple[int, ...], Backup] = {}
    for backup in verified:
        found.setdefault(period(backup.taken_at.astimezone(zone)), backup)
    return list(found.values())


def _decision(
    backup: Backup,
    reasons: dict[Backup, list[str]],
    orders: _Orders,
    policy: Policy,
    now: datetime,
) -> Decision:
    words = ["kept by hand"] if backup.kept else []
    if is_in_future(backup, now):
        by = format_duration((backup.taken_at - now).total_seconds())
        words.append(f"dated {by} in the future")
    words += reasons.get(backup, [])
    if backup.state is State.VERIFIED:
        return Decision(backup, bool(words), ", ".join(words) or "in no period to keep")
    newer = _verified_since(backup, orders)
    if newer < policy.last:
        words.append(f"{backup.state}, with {newer} newer verified of {policy.last}")
    return Decision(
        backup, bool(words), ", ".join(words) or f"{backup.state}, with {newer} newer verified"
    )


def _verified_orders(newest_first: Sequence[Backup], now: datetime) -> _Orders:
    """Return the sort keys of the verified copies by stem and source, oldest first."""
    found: _Orders = defaultdict(lambda: defaultdict(list))
    for backup in reversed(newest_first):
        if backup.state is State.VERIFIED and not is_in_future(backup, now):
            found[backup.stem][backup.source].append(backup.order)
    return found


def _verified_since(backup: Backup, orders: _Orders) -> int:
    """Return how many verified copies of the same source are newer.

    Without a manifest the source is unknown, so return the lowest count of all sources of
    that name.
    """
    sources = orders.get(backup.stem, {})
    alike = sources.values() if not backup.source else [sources.get(backup.source, [])]
    return min((len(known) - bisect_right(known, backup.order) for known in alike), default=0)


def _dates(
    everything: Sequence[Backup], going: Sequence[Backup], max_age: timedelta, now: datetime
) -> list[str]:
    objections = []
    strange = [one for one in everything if is_in_future(one, now)]
    if strange:
        objections.append(
            f"{strange[0].path.name} is dated in the future (now {now.astimezone(UTC):%FT%TZ}):"
            " a clock was or is wrong; correct it or move the copy away, or to allow it:"
            " --set max_age=none"
        )
    for stem, source in sorted({(one.stem, one.source) for one in going}):
        age = _age_of_newest(everything, stem, source, now)
        if age is not None and age > max_age:
            # One day more, so that the next run is still within the limit.
            enough = format_duration((age + timedelta(days=1)).total_seconds())
            objections.append(
                f"the newest verified copy of {source or stem} is"
                f" {format_duration(age.total_seconds())} old, expected at most"
                f" {format_duration(max_age.total_seconds())}; to allow it: --set max_age={enough}"
            )
    return objections


def _age_of_newest(
    everything: Sequence[Backup], stem: str, source: str, now: datetime
) -> timedelta | None:
    moments = [
        one.taken_at
        for one in everything
        if one.state is State.VERIFIED
        and one.stem == stem
        and source in ("", one.source)
        and not is_in_future(one, now)
    ]
    return now - max(moments) if moments else None
