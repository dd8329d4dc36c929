"""A cluster behind a real pgbouncer, where each transaction may use another session."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from supervisor.cluster import install, session
from supervisor.core.config_model import Cluster, Config
from supervisor.doctor.cluster import judge_member, member
from supervisor.doctor.context import DoctorContext
from tests.cluster.hosts import TIMES, Host, cluster
from tests.fix_postgres import needs_account
from tests.waiting import until

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
SCHEMA, ROLE = "nightshift_main", "nightshift_hosts"
JOBS = f"""
cluster: {{postgres: "${{DSN}}", host: "${{HOST}}", {TIMES}}}
max_concurrent: 4
jobs:
  hello: {{command: 'echo hello'}}
  slow: {{command: [sleep, '60'], kill_grace: 1s}}
"""

pytestmark = [
    needs_account,
    pytest.mark.timeout(180),
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed"),
]


@pytest.fixture(scope="module")
def pooled(postgres_server: str) -> Iterator[str]:
    """Yield the DSN of a cluster's schema through a pooler, as a role without settings."""
    with psycopg.connect(postgres_server, autocommit=True) as owner:
        owner.execute("CREATE DATABASE pooled TEMPLATE template0")
        owner.execute(f"CREATE ROLE {ROLE} LOGIN")
    direct = postgres_server.replace("dbname=postgres", "dbname=pooled")
    with tempfile.TemporaryDirectory(prefix="nsp-", dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o777)
        (folder / "ini").write_text(
            f"[databases]\npooled = {direct.replace('user=postgres', f'user={ROLE}')}\n"
            "[pgbouncer]\npool_mode = transaction\nauth_type = any\nlisten_port = 5432\n"
            f"unix_socket_dir = {folder}\ndefault_pool_size = 10\nmax_client_conn = 200\n"
        )
        # pgbouncer refuses to run as root, and needs access to the folder of the server's socket.
        account = Path(conninfo.conninfo_to_dict(direct)["host"]).owner()
        command = [PROGRAM, *(["-u", account] if os.geteuid() == 0 else []), str(folder / "ini")]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(lambda: (folder / ".s.PGSQL.5432").exists() or process.poll() is not None)
            assert process.poll() is None, (folder / "log").read_text()
            with session.connect(direct, SCHEMA) as db:
                install.install(db, SCHEMA, ROLE)
                db.execute(f"ALTER ROLE {ROLE} IN DATABASE pooled RESET ALL")
            yield f"host={folder} port=5432 user={ROLE} dbname=pooled"
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def unprepared(pooled: str) -> list[tuple[str, str, str]]:
    """Return what doctor finds before the role has its settings."""
    return findings(pooled)


@pytest.fixture(scope="module")
def hosts(
    pooled: str, unprepared: list[tuple[str, str, str]], postgres_server: str
) -> Iterator[dict[str, Host]]:
    direct = postgres_server.replace("dbname=postgres", "dbname=pooled")
    with session.connect(direct, SCHEMA) as db:
        install.install(db, SCHEMA, ROLE)
    with cluster(pooled, JOBS) as hosts:
        yield hosts


def findings(dsn: str) -> list[tuple[str, str, str]]:
    config = Config((), cluster=Cluster(dsn, "main", "a"))
    path = Path("/jobs.yaml")
    context = DoctorContext(path, config, 0, "", path, path, {}, "", None, "", "")
    return [(str(each.state), each.value, each.fix) for each in judge_member(member(context))]


def test_doctor_says_what_the_role_needs(unprepared):
    (error,) = [each for each in unprepared if each[0] == "error"]

    assert error[1].startswith("a pooler gives each transaction another session")
    set_path = f'ALTER ROLE {ROLE} IN DATABASE pooled SET search_path = "{SCHEMA}", pg_catalog; '
    assert error[2].startswith(set_path)


def test_runs_go_to_hosts_and_are_cancelled(hosts):
    for host in hosts.values():
        done = host.ask("run", "hello", "--wait")
        assert done.returncode == 0, done.stderr
    hosts["a"].ask("run", "slow")
    assert hosts["b"].ask("cancel", "slow").returncode == 0


def test_doctor_says_that_no_wake_up_arrives(hosts, pooled):
    found = {(state, value) for state, value, _ in findings(pooled)}

    assert ("warning", "no wake-up arrives") in found
    assert [value for state, value in found if state == "error"] == []
