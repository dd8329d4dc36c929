"""Read the handbook's pages in tests: their code blocks, and a shell to run them."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.acceptance.daemon import Sandbox

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in this language, in order."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def generate_catalogue(sandbox: Sandbox, *words: str) -> None:
    """Generate an example catalogue where the shipped jobs.yaml expects one."""
    generate = [sys.executable, ROOT / "scripts" / "generate-catalogue", "var/catalogue", *words]
    subprocess.run(generate, cwd=sandbox.root, check=True, capture_output=True)


def typed(sandbox: Sandbox, commands: Iterable[str]) -> str:
    """Run the blocks in order and return their output; each must succeed."""
    install(sandbox)
    return "".join(_type(sandbox, block) for block in commands)


def _type(sandbox: Sandbox, block: str) -> str:
    """Run a block in a shell that stops at the first failure."""
    path = f"{sandbox.root / 'bin'}:{sandbox.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", block],
        cwd=sandbox.root,
        env={**sandbox.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def install(sandbox: Sandbox) -> None:
    """Install the commands that a reader has: nightshift and sqlite3."""
    _write(sandbox.root / "bin" / "nightshift", f'exec {sys.executable} -m supervisor "$@"\n')
    if shutil.which("sqlite3") is None:
        # A replacement for machines without it, for the queries on the pages.
        asks = (
            "import sqlite3, sys;"
            " print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())"
        )
        _write(sandbox.root / "bin" / "sqlite3", f'exec {sys.executable} -c "{asks}" "$@"\n')


def _write(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    assert os.access(path, os.X_OK)
