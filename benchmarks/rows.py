"""The rows that are measured, the targets of each, and their table.

A row compares two sides of one measurement. Ours may take at most `ratio` of what the peer
takes, or at most `limit` by itself; a row with neither has no target. Medians are compared,
unless the row's name says otherwise. Nothing here measures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from measured import ALL, P99, WORST, Measured


@dataclass(frozen=True, slots=True)
class Unit:
    """How a number is shown: its unit, digits, and the factor from seconds or bytes."""

    name: str
    digits: int
    factor: float = 1

    def shown(self, value: float) -> str:
        """Return the number with its unit."""
        return f"{value * self.factor:.{self.digits}f} {self.name}"


S, MS, MB = Unit("s", 3), Unit("ms", 2, 1e3), Unit("MB", 1, 1e-6)
KB, COUNT = Unit("kB", 1, 1e-3), Unit("requests", 0)
EACH = Unit("", 2)
PER_START = Unit("ms", 3, 1.0)  # a thousand starts: total seconds are milliseconds for each


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; key: of its measured values; peer: a side, or "" for none."""

    key: str
    what: str
    unit: Unit
    peer: str = ""
    ratio: float | None = None
    limit: float | None = None
    ratio_on_one: float | None = None
    ours: str = "nightshift"

    def wanted(self, cores: int) -> float | None:
        """Return the target ratio on this number of cores."""
        is_one = cores == 1 and self.ratio_on_one is not None
        return self.ratio_on_one if is_one else self.ratio


CRONSTABLE, APSCHEDULER, CRON = "cronstable", "APScheduler", "cron (Debian)"

# By the letters that burst.py's --only accepts.
BURST: dict[str, tuple[Row, ...]] = {
    "a": (Row("a", "1,000 commands (a list) due, to the last start", S, CRONSTABLE, 0.55,
              ratio_on_one=0.9),
          Row("a first", "the same, to the first start", MS, CRONSTABLE, limit=10e-3)),
    "b": (Row("b", "1,000 commands that are one text of plain words", S, CRONSTABLE, 0.5),
          Row("b shell", "1,000 commands that need a shell", S, CRONSTABLE, 0.9,
              ratio_on_one=1.0)),
    "c": (Row("c", "first start after the full minute", MS, CRONSTABLE, limit=5e-3),
          Row("c", "the same, beside Debian's", MS, CRON)),
    "d": (Row("d", "1,000 Python functions, a process each, to the last result", S, APSCHEDULER,
              0.75),),
    "e": (Row("e", "supervisor's own CPU per start", PER_START, CRONSTABLE, limit=0.23),
          Row("e all", "CPU per start with fork server and keepers", PER_START, CRONSTABLE,
              limit=0.55)),
    "f": (Row("f 10", "ready with 10 jobs, read for the first time", S, CRONSTABLE, 0.5),
          Row("f 1000", "ready with 1,000 jobs, for the first time", S, CRONSTABLE, 0.5),
          Row("f 10000", "ready with 10,000 jobs, for the first time", S, CRONSTABLE, 0.25),
          Row("f 10 again", "ready with 10 jobs, an unchanged file", S, CRONSTABLE, 0.5),
          Row("f 1000 again", "ready with 1,000 jobs, an unchanged file", S, CRONSTABLE, 0.5),
          Row("f 10000 again", "ready with 10,000 jobs, an unchanged file", S, CRONSTABLE, 0.25)),
    "g": (Row("g", "idle with 10 jobs: PSS of all processes", MB, CRONSTABLE, 0.8),
          Row("g after", "idle after a minute of these 10 jobs: PSS", MB, CRONSTABLE, 0.8)),
    "h": (Row("h", "GET of a job, idle", MS, CRONSTABLE, limit=1e-3),
          Row(f"h {P99}", "GET of the status during the burst, 99 of 100 within", MS, CRONSTABLE,
              limit=15e-3),
          Row(f"h {WORST}", "GET of the status during the burst, the slowest", MS, CRONSTABLE)),
    "t": (Row("t", "CPU of a full minute with 10,000 jobs not due", MS, CRONSTABLE, limit=1e-3),),
}  # fmt: skip

_FULL, _GIGABYTE = 190, 1000
BACKUP_MB = (_FULL, _GIGABYTE)
_UNVERIFIED = {_FULL: 1 / 6, _GIGABYTE: 1 / 15}
_VERIFIED = {_FULL: 1 / 2.5, _GIGABYTE: 1 / 5}
_MOST_BYTES = 64e6


def backup(size_mb: int) -> tuple[Row, ...]:
    """Return the rows of a backup of that size; only two sizes have targets."""
    key, size = f"backup {size_mb} MB", f"backup of {size_mb:,} MB"
    most = _MOST_BYTES if size_mb in BACKUP_MB else None
    unverified, verified = _UNVERIFIED.get(size_mb), _VERIFIED.get(size_mb)
    return (
        Row(key, f"{size}, unverified", S, "gzip6", unverified, ours="packed"),
        Row(key, f"{size}, unverified", S, "pigz", ours="packed"),
        Row(key, f"{size}, restored and verified", S, "gzip6", verified, ours="proved"),
        Row(key, f"{size}, verified, by `run --local`", S, "gzip6", verified, ours="local"),
        Row(f"{key} memory", f"{size}: memory", MB, "gzip6", limit=most, ours="proved"),
    )  # fmt: skip


_FEW, _MILLION = 200_000, 1_000_000
REPLICATION_ROWS = (_FEW, _MILLION)


def replication(rows: int) -> tuple[Row, ...]:
    """Return the rows of a replication of that many rows; only two sizes have targets."""
    key, size = f"replication {rows}", f"replication of {rows:,} rows"
    pipe, loader = (1.2, 1 / 1.8) if rows == _FEW else (None, None)
    tenth, nothing = (1 / 100, 1 / 500) if rows == _MILLION else (None, None)
    own = f"{key} own"
    return (
        Row(key, f"{size}, full", S, "pipe", pipe, ours="full"),
        Row(key, f"{size}, full", S, "pgloader", loader, ours="full"),
        Row(own, f"{size}, 0.1 % changed", S, "full", tenth, ours="tenth"),
        Row(own, f"{size}, nothing changed", S, "full", nothing, ours="nothing"),
    )  # fmt: skip


SYNC = (
    Row("sync", "catalogue into an empty database", S, "limit", 1.5, ours="ours"),
    Row("sync", "the same, beside a script of one's own", S, "peer", ours="ours"),
    Row("sync", "nothing to do, launch to exit", S, ours="nothing", limit=0.1),
    Row("sync own", "nothing to do, the jobs' own seconds", S, ours="nothing"),
    Row("sync", "0.1 % of the cards changed", S, "peer", ours="0.1 %"),
)
PAGE = (
    Row("page paint", "page of 100 jobs, to the first paint", MS, CRONSTABLE, limit=0.15),
    Row("page paint", "the same, beside a page of one line from a bare socket", MS, "floor"),
    Row("page table", "page of 100 jobs, to the table", MS, CRONSTABLE),
    Row("page bytes", "page of 100 jobs: bytes over the network", KB, CRONSTABLE),
    Row("page requests", "page of 100 jobs: requests", COUNT, CRONSTABLE),
    Row("page change", "page of 100 jobs: a change of a job, to the page", MS, limit=1.0),
    Row("page memory", "PSS of what serves the page", MB, CRONSTABLE, limit=40e6),
)
# Several hosts, beside three stock workers of Procrastinate.
_STOCK = "stock"
_A_HOST = "a host with nothing to do"
CLUSTER = (
    Row("cluster burst", "1,000 slots over three hosts, to the last start", S, _STOCK, 1.0,
        ours="hosts"),
    Row("cluster burst first", "the same, to the first start", S, ours="hosts"),
    Row("cluster start", "request to start on the leader's host", MS, _STOCK, ours="same host"),
    Row("cluster start", "request to start on another host", MS, _STOCK, limit=50e-3,
        ours="other host"),
    Row(f"cluster start {P99}", "the same, 99 of 100 within", MS, _STOCK, limit=250e-3,
        ours="other host"),
    Row("cluster idle transactions", f"{_A_HOST}: transactions a second", EACH, _STOCK, limit=1.0,
        ours="hosts"),
    Row("cluster idle PostgreSQL", f"{_A_HOST}: PostgreSQL's CPU a second", MS, _STOCK,
        limit=0.3e-3, ours="hosts"),
    Row("cluster connections", f"{_A_HOST}: connections", EACH, ours="hosts"),
    Row("cluster takeover", "leader killed, to the next (short lease)", S, ours="hosts"),
    Row("cluster lost attempt", "the same, to the start of what it ran", S, ours="hosts"),
    Row("cluster minute", "leader's CPU of a full minute with 10,000 jobs not due", MS,
        limit=5e-3, ours="hosts"),
    *(
        row
        for hosts in ("100", "1,000", "3,000")
        for row in (
            Row(f"cluster {hosts} hosts: PostgreSQL", f"{hosts} hosts: PostgreSQL's cores", EACH,
                ours="hosts"),
            Row(f"cluster {hosts} hosts: look", f"{hosts} hosts: a leader's look at all", MS,
                ours="hosts"),
            Row(f"cluster {hosts} hosts: late {P99}", f"{hosts} hosts: looks late, 99 of 100"
                " within", MS, ours="hosts"),
        )
    ),
)  # fmt: skip
GROWN = 1.03
ENDURANCE = (
    Row("endurance", "PSS of all processes after thousands of runs", MB, "the first", GROWN,
        ours="the last"),
)  # fmt: skip

# n log n between the last two points, a factor of ten apart.
_N_LOG_N = 1.2
EXPONENT = Unit("", 2)
_GROWTH = {
    "jobs": ("memory", "all due at once", "none due", "reload", "status"),
    "incidents": ("a minute", "status"),
    "history": ("start", "purge, nothing to do", "history", "history of a job",
                "history --state failed", "explain"),
    "backups": ("backups", "plan of a rotation"),
    "tables": ("replication, first run", "replication, nothing changed"),
    "running": ("CPU", "memory"),
    "clients": ("status",),
}  # fmt: skip


def growth(axis: str, operation: str) -> str:
    """Return the key of the exponent of an operation."""
    return f"growth {axis} {operation}"


GROWTH = tuple(
    Row(growth(axis, each), f"growth with {axis}: {each} (exponent)", EXPONENT, limit=_N_LOG_N)
    for axis, operations in _GROWTH.items()
    for each in operations
)


def table(measured: Measured, rows: Iterable[Row]) -> str:
    """Return the table of these rows; rows that were not measured are included."""
    lines = [
        "| what | cores | ours | the peer | ratio | wanted | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        found = measured.cores(row.key) or [ALL]
        lines += [_line(row, cores, measured) for cores in found]
    return "\n".join(lines)


def _line(row: Row, cores: int, measured: Measured) -> str:
    mine = measured.median_of(row.key, cores, row.ours)
    theirs = measured.median_of(row.key, cores, row.peer)
    cells = (
        row.what,
        str(cores or "all"),
        "not measured" if mine is None else row.unit.shown(mine),
        _of_peer(row, theirs),
        "-" if mine is None or not theirs else _ratio(mine / theirs),
        _wanted(row, cores),
        _met(row, cores, mine, theirs),
    )
    return f"| {' | '.join(cells)} |"


def _of_peer(row: Row, theirs: float | None) -> str:
    if not row.peer:
        return "-"
    return f"{row.peer}: {'not measured' if theirs is None else row.unit.shown(theirs)}"


def _ratio(found: float) -> str:
    """Format a ratio; one below 0.2 as a fraction."""
    return f"1/{1 / found:.3g}" if 0 < found < 0.2 else f"{found:.2f}"


def _wanted(row: Row, cores: int) -> str:
    ratio = row.wanted(cores)
    said = [] if ratio is None else [f"≤ {_ratio(ratio)}"]
    if row.limit is not None:
        said.append(f"≤ {row.limit * row.unit.factor:g} {row.unit.name}")
    return ", ".join(said)


def _met(row: Row, cores: int, mine: float | None, theirs: float | None) -> str:
    """Return "yes", "**no**", or "" if there is no target or a side was not measured."""
    ratio = row.wanted(cores)
    if mine is None or (ratio is None and row.limit is None):
        return ""
    if ratio is not None and not theirs:
        return ""
    is_within = ratio is None or not theirs or mine / theirs <= ratio
    return "yes" if is_within and (row.limit is None or mine <= row.limit) else "**no**"


@dataclass(frozen=True, slots=True)
class Column:
    """One measurement of every side."""

    heading: str
    key: str
    unit: Unit


def sides(measured: Measured, words: dict[str, str], columns: Sequence[Column]) -> str:
    """Return the table of all sides of a benchmark, with the medians of each measurement."""
    lines = [
        f"| what | {' | '.join(each.heading for each in columns)} |",
        f"| {' | '.join('---' for _ in range(len(columns) + 1))} |",
    ]
    for side, what in words.items():
        found = [measured.median_of(each.key, ALL, side) for each in columns]
        if found[0] is not None:
            cells = ["-" if value is None else each.unit.shown(value)
                     for each, value in zip(columns, found, strict=True)]  # fmt: skip
            lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)
