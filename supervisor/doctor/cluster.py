"""Checks of the cluster that jobs.yaml names: its schema, clock, wake-ups and labels."""

import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.core.config_model import EACH, IfLost
from supervisor.doctor.context import DoctorContext
from supervisor.doctor.finding import Finding, error, ok, warning
from workers.units import format_count, format_duration

if TYPE_CHECKING:
    from supervisor.cluster.session import Connection

# A leader that is further off than this opens slots noticeably early or late.
MOST_OFFSET_S = 2.0
# A wake-up comes at once, or it does not come (behind pgbouncer in transaction mode).
WAKE_S = 1.0
_INIT = "nightshift cluster init DSN, as the owner of the database"


@dataclass(frozen=True, slots=True)
class Member:
    """What this host sees of its cluster.

    error: why it cannot work with it. offset_s: this host's clock before PostgreSQL's.
    wakes: whether a notification arrives. role_settings: statements that give the role what
    a session needs behind a pooler; "" if it has that, or there is none. may_write: whether
    the role has its rights.
    homeless: jobs with labels that no host has. unsynced: jobs that must run at most once
    on a server whose standbys may lose commits.
    """

    name: str
    error: str = ""
    offset_s: float = 0.0
    wakes: bool = True
    role_settings: str = ""
    may_write: bool = True
    hosts: int = 0
    homeless: tuple[str, ...] = ()
    unsynced: tuple[str, ...] = ()


def member(context: DoctorContext) -> Member | None:
    """Return what this host sees of its cluster; None if it is in none."""
    cluster = None if context.config is None else context.config.cluster
    if cluster is None:
        return None
    try:
        import psycopg

        from supervisor.cluster import install, session
    except ModuleNotFoundError as missing:
        return Member(cluster.name, f"{missing.name} is not installed")
    try:
        schema = session.schema_of(cluster.name)
        db = session.connect(cluster.postgres, schema)
        try:
            wrong = install.check(db)
            return Member(cluster.name, wrong) if wrong else _seen(db, context, schema)
        finally:
            session.close(db)
    except (psycopg.Error, OSError) as failed:
        lines = str(failed).strip().splitlines() or [type(failed).__name__]
        return Member(cluster.name, lines[0])


def judge_member(found: Member | None) -> Iterator[Finding]:
    """Report what keeps this host from being a good member."""
    if found is None:
        return
    if found.error:
        yield error(f"{found.name}: {found.error}", "a schema that this host can use", _INIT)
        return
    yield ok(f"{found.name}: {format_count(found.hosts, 'host')}")
    if abs(found.offset_s) > MOST_OFFSET_S:
        text = format_duration(round(abs(found.offset_s), 1))
        yield warning(
            f"this clock is {text} off PostgreSQL's",
            f"at most {MOST_OFFSET_S:.0f}s: a leader here opens slots at the wrong time",
            "start a time service (chrony, systemd-timesyncd), or set lead: false",
        )
    if not found.may_write:
        yield error("the role may not write the schema", "rights to its tables", f"{_INIT} --role")
    if not found.wakes and found.role_settings:
        yield error(
            "a pooler gives each transaction another session, and the role has no settings",
            "settings of the role, which each session begins with",
            found.role_settings,
        )
    elif not found.wakes:
        yield warning(
            "no wake-up arrives",
            "LISTEN and NOTIFY; without them each step takes up to a second longer",
            "connect to PostgreSQL itself, or to a pool in session mode",
        )
    for job in found.homeless:
        yield warning(
            f"no host has the labels of {job}", "a host that may run it", f"runs_on of {job}"
        )
    for job in found.unsynced:
        yield warning(
            f"a failover of PostgreSQL may start {job} twice (if_lost: never)",
            "synchronous_standby_names, so that no commit is lost",
            "set it in postgresql.conf",
        )


def _seen(db: "Connection", context: DoctorContext, schema: str) -> Member:
    assert context.config is not None
    assert context.config.cluster is not None
    cluster = context.config.cluster
    before = time.time()
    ((server, may_write),) = db.execute(
        "SELECT extract(epoch FROM clock_timestamp())::float8,"
        " has_table_privilege('assignments', 'INSERT')"
    ).fetchall()
    offset_s = (before + time.time()) / 2 - server
    labels = [
        frozenset(filter(None, text.split(",")))
        for (text,) in db.execute("SELECT labels FROM hosts")
    ]
    return Member(
        cluster.name,
        offset_s=offset_s,
        wakes=_wakes(cluster.postgres, schema, db),
        role_settings=_role_settings(db, schema),
        may_write=may_write,
        hosts=len(labels),
        homeless=tuple(
            job.name
            for job in context.jobs
            if EACH not in job.runs_on
            and labels
            and not any(set(job.runs_on) <= each for each in labels)
        ),
        unsynced=tuple(
            job.name for job in context.jobs if job.if_lost is IfLost.NEVER and _may_lose(db)
        ),
    )


def _wakes(dsn: str, schema: str, db: "Connection") -> bool:
    """Return whether a line receives the notification of another connection."""
    from supervisor.cluster import session

    line, until = session.WakeLine(dsn, schema, db), time.monotonic() + WAKE_S
    try:
        while not line.is_receiving and (left_s := until - time.monotonic()) > 0:
            select.select([line.fileno()], [], [], left_s)
            line.drain()
        return line.is_receiving
    finally:
        line.close()


def _role_settings(db: "Connection", schema: str) -> str:
    from supervisor.cluster import session

    if not session.is_pooled(db) or session.has_settings(db, schema):
        return ""
    row = db.execute(
        "SELECT quote_ident(current_user), quote_ident(current_database())"
    ).fetchone()
    assert row is not None
    role, database = row
    return "; ".join(
        f"ALTER ROLE {role} IN DATABASE {database} SET {name} = {value}"
        for name, value in session.settings_of_role(schema)
    )


def _may_lose(db: "Connection") -> bool:
    """Return whether the server has standbys and waits for none of them."""
    row = db.execute(
        "SELECT current_setting('synchronous_standby_names') = ''"
        " AND EXISTS (SELECT 1 FROM pg_stat_replication)"
    ).fetchone()
    return row is not None and bool(row[0])
