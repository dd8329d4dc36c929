"""Which copies stay, which go, and why, in words.

Pure: the copies, the instant and the zone are given. The laws: kept and
removed together are all; whoever stays has a reason; of each source the
newest verified copy and at least `last` verified ones stay; what is not
verified neither counts nor pushes anything out. Enter at `plan`; `refusal`
says whether a plan may be carried out at all.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from workers.backup.catalogue import Backup, State, ahead
from workers.units import format_duration


@dataclass(frozen=True, slots=True)
class Policy:
    """How many of each kind stay; a period counts only if it has a verified copy."""

    last: int
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """A copy, whether it stays, and why."""

    backup: Backup
    keep: bool
    reason: str


_Orders = dict[str, dict[str, list[tuple[str, str]]]]
Period = Callable[[datetime], tuple[int, ...]]

# Longest first, as reasons are read.
_PERIODS: tuple[tuple[str, Period], ...] = (
    ("yearly", lambda local: (local.year,)),
    ("monthly", lambda local: (local.year, local.month)),
    ("weekly", lambda local: local.isocalendar()[:2]),
    ("daily", lambda local: (local.year, local.month, local.day)),
)


def plan(
    backups: Sequence[Backup], policy: Policy, now: datetime, zone: tzinfo
) -> tuple[Decision, ...]:
    """A decision for each copy, newest first; `zone` says when a day begins.

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
    """Why nothing may be removed, and what would allow it; empty if it may, or need not be."""
    going = [one.backup for one in decisions if not one.keep]
    if not going:
        return ""
    everything = [one.backup for one in decisions]
    objections = [] if max_age is None else _dates(everything, going, max_age, now)
    if len(going) > max_delete:
        objections.append(
            f"{len(going)} copies are to go, expected at most {max_delete};"
            f" to allow it: --set max_delete={len(going)}"
        )
    return "; ".join(objections)


def newest_verified(backups: Sequence[Backup], now: datetime) -> list[Backup]:
    """The newest verified copy of each source: what a removal relies on."""
    return [verified[0] for verified in _by_source(backups, now)]


def _age_order(backup: Backup) -> tuple[str, str]:
    return backup.order


def _reasons(
    newest_first: Sequence[Backup], policy: Policy, now: datetime, zone: tzinfo
) -> dict[Backup, list[str]]:
    """Why each verified copy stays; each source is judged apart."""
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
    """The verified copies of each source, newest first; two databases may share a name."""
    sources: dict[tuple[str, str], list[Backup]] = defaultdict(list)
    for backup in sorted(backups, key=_age_order, reverse=True):
        # A copy from the future would be the newest for as long as that lasts.
        if backup.state is State.VERIFIED and not ahead(backup, now):
            sources[backup.stem, backup.source].append(backup)
    return list(sources.values())


def _first_of_each(verified: Sequence[Backup], period: Period, zone: tzinfo) -> list[Backup]:
    """The newest copy of each period that has one, newest first."""
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
    if ahead(backup, now):
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
    """Where the verified copies of each stem and source stand in time, oldest first."""
    found: _Orders = defaultdict(lambda: defaultdict(list))
    for backup in reversed(newest_first):
        if backup.state is State.VERIFIED and not ahead(backup, now):
            found[backup.stem][backup.source].append(backup.order)
    return found


def _verified_since(backup: Backup, orders: _Orders) -> int:
    """How many verified copies of its source are newer.

    Without a manifest the source is not known: then the one with the fewest,
    since it may be of any database of that name.
    """
    sources = orders.get(backup.stem, {})
    alike = sources.values() if not backup.source else [sources.get(backup.source, [])]
    return min((len(known) - bisect_right(known, backup.order) for known in alike), default=0)


def _dates(
    everything: Sequence[Backup], going: Sequence[Backup], max_age: timedelta, now: datetime
) -> list[str]:
    objections = []
    strange = [one for one in everything if ahead(one, now)]
    if strange:
        objections.append(
            f"{strange[0].path.name} is dated in the future (now {now.astimezone(UTC):%FT%TZ}):"
            " a clock was or is wrong; mend it or move the copy away, or to allow it:"
            " --set max_age=none"
        )
    for stem, source in sorted({(one.stem, one.source) for one in going}):
        age = _age_of_newest(everything, stem, source, now)
        if age is not None and age > max_age:
            # A day more, so that the run that follows is still inside.
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
        and not ahead(one, now)
    ]
    return now - max(moments) if moments else None
