"""docs/restore.md, as an operator reads it: each command is typed and must succeed."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.daemon import House, supervised

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "docs" / "restore.md"
COMMANDS = re.findall(r"^```sh\n(.*?)^```", RUNBOOK.read_text(), flags=re.M | re.S)


@pytest.fixture
def house():
    with House((ROOT / "jobs.yaml").read_text()) as made:
        generate = [sys.executable, ROOT / "scripts" / "generate-catalogue", "var/catalogue"]
        subprocess.run(generate, cwd=made.root, check=True, capture_output=True)
        _install(made)
        yield made


def test_every_command_of_the_restore_runbook_succeeds(house):
    if shutil.which("sqlite3") is None:
        _lend_sqlite3(house.root / "bin" / "sqlite3")
    house.says("run", "--all", "--local", "--yes", "--log-level", "error")

    with supervised(house):
        printed = "".join(_type(house, block) for block in COMMANDS)

    assert "verified" in printed
    assert "\n1000\n" in printed
    assert "success" in printed
    assert "damaged" not in printed


def _type(house: House, block: str) -> str:
    """Type a block of commands into a shell that stops at the first failure."""
    path = f"{house.root / 'bin'}:{house.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", block],
        cwd=house.root,
        env={**house.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _install(house: House) -> None:
    _write(house.root / "bin" / "nightshift", f'exec {sys.executable} -m supervisor "$@"\n')


def _lend_sqlite3(path: Path) -> None:
    """For machines without the shell of SQLite: the two questions the runbook asks."""
    asks = (
        "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())"
    )
    _write(path, f'exec {sys.executable} -c "{asks}" "$@"\n')


def _write(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    assert os.access(path, os.X_OK)
