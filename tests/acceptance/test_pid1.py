"""As process 1 of a container: it buries strangers and steals nobody's status."""

import subprocess
import sys

import pytest

from tests.acceptance.daemon import House

JOBS = """
jobs:
  orphans:
    command: for n in 1 2 3 4 5 6 7 8 9 10 11 12; do setsid sleep 600 & done; exit 0
  statuses:
    worker: mine:run
"""
MINE = """
import subprocess

def run(params, report):
    ends = [subprocess.run(["/bin/sh", "-c", f"exit {n}"]).returncode for n in range(20)]
    return {"codes": " ".join(map(str, ends))}
"""
# Beside the service, in its namespace: orphans of others fall to process 1, too.
SCRIPT = """
nightshift() { "$PYTHON" -m supervisor "$@"; }
(
    until nightshift healthcheck; do :; done
    for n in 1 2 3 4 5 6 7 8 9 10 11 12; do ( : & ); done
    nightshift run orphans statuses --wait
    nightshift status --json > /dev/null
    cat /proc/[0-9]*/stat > stats
    nightshift stop
) > said 2>&1 &
exec "$PYTHON" -m supervisor start
"""
NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc"]


def _may_make_namespaces() -> bool:
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.root
@pytest.mark.skipif(not _may_make_namespaces(), reason="no pid namespace may be made here")
def test_as_process_1_it_leaves_no_zombies_and_no_strays_and_steals_no_status():
    with House(JOBS) as house:
        (house.root / "mine.py").write_text(MINE)

        done = subprocess.run(
            [*NAMESPACE, "/bin/sh", "-c", SCRIPT],
            cwd=house.root,
            env={**house.environ, "PYTHON": sys.executable},
            capture_output=True,
            timeout=25,
        )
        said = (house.root / "said").read_text()
        processes = (house.root / "stats").read_text().splitlines()

    assert done.returncode == 0, done.stderr
    assert f"codes={' '.join(map(str, range(20)))}" in said
    assert [line for line in processes if ") Z " in line] == []
    assert [line for line in processes if "(sleep)" in line] == []
