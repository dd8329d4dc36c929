"""An asynchronous standby that was behind is promoted: what is lost is named."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from scripts import embedded_postgres
from tests.cluster.hosts import TIMES, Host, cluster
from tests.fix_postgres import needs_account
from tests.waiting import until

JOBS = f"""
cluster: {{postgres: "${{DSN}}", host: "${{HOST}}", {TIMES}}}
jobs:
  hello: {{command: 'true'}}
"""
# Every step below ends in seconds; a busy machine may take its time.
WITHIN_S = 90

pytestmark = [needs_account, pytest.mark.long, pytest.mark.timeout(300)]


@contextmanager
def standby_of(primary: embedded_postgres.Server) -> Iterator[embedded_postgres.Server]:
    """Yield a server that follows another one by streaming replication."""
    data = Path(f"{primary.data}.standby")
    primary.stop()
    subprocess.run(["cp", "-a", str(primary.data), str(data)], check=True)
    primary.start()
    (data / "standby.signal").touch()
    with open(data / "postgresql.auto.conf", "a") as settings:
        settings.write(f"primary_conninfo = '{primary.dsn}'\n")
    sockets = Path(tempfile.mkdtemp(prefix="nightshift-postgres-", dir="/dev/shm"))
    server = embedded_postgres.Server(data, sockets, primary.settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(sockets, ignore_errors=True)


def is_caught_up(primary: embedded_postgres.Server, standby: embedded_postgres.Server) -> bool:
    with psycopg.connect(primary.dsn) as db:
        (position,) = db.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
    with psycopg.connect(standby.dsn) as db:
        query = "SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)"
        return db.execute(query, (position,)).fetchone()[0]


def receive_nothing(standby: embedded_postgres.Server) -> None:
    """Let the standby receive nothing more: it is behind from now on."""
    with psycopg.connect(standby.dsn, autocommit=True) as db:
        db.execute("ALTER SYSTEM SET primary_conninfo = ''")
        db.execute("SELECT pg_reload_conf()")
        query = "SELECT count(*) FROM pg_stat_wal_receiver"
        until(lambda: db.execute(query).fetchone() == (0,), within_s=WITHIN_S)


def promote(standby: embedded_postgres.Server) -> None:
    with psycopg.connect(standby.dsn, autocommit=True) as db:
        assert db.execute("SELECT pg_promote(true, 60)").fetchone() == (True,)


def runs_once(host: Host) -> bool:
    """Ask for a run, and return whether it was taken and succeeded."""
    return host.ask("run", "hello", "--wait").returncode == 0


def runs_of(host: Host) -> set[int]:
    shown = host.ask("history", "hello", "--json")
    return {run["id"] for run in json.loads(shown.stdout)["runs"]}


def test_what_a_promoted_standby_does_not_have_is_named_and_known_again(own_postgres):
    with standby_of(own_postgres) as standby, cluster(own_postgres.dsn, JOBS, "ab") as hosts:
        one = hosts["a"]
        assert runs_once(one)
        until(lambda: is_caught_up(own_postgres, standby), within_s=WITHIN_S)
        receive_nothing(standby)
        assert runs_once(one)
        assert runs_once(one)
        before = runs_of(one)

        own_postgres.crash()
        promote(standby)
        for host in hosts.values():
            host.proxy.server = standby.sockets / ".s.PGSQL.5432"

        # Until the leader has found out, requests are refused with that reason.
        until(lambda: runs_once(one), within_s=WITHIN_S)
        said = one.ask("incidents").stdout + one.ask("incidents", "--all").stdout
        assert "lost what it had confirmed" in said, said + "".join(h.log for h in hosts.values())
        assert len(before) == 3
        assert before <= runs_of(one)
