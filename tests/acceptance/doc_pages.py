"""Pages of the handbook as tests read them: their blocks, and a shell to type them into."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.acceptance.daemon import House

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in that language, in order."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def generate_catalogue(house: House, *words: str) -> None:
    """A made-up catalogue where the shipped jobs.yaml looks for one."""
    generate = [sys.executable, ROOT / "scripts" / "generate-catalogue", "var/catalogue", *words]
    subprocess.run(generate, cwd=house.root, check=True, capture_output=True)


def typed(house: House, commands: Iterable[str]) -> str:
    """What blocks of commands print, typed one after the other; each must succeed."""
    _install(house)
    return "".join(_type(house, block) for block in commands)


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
    """The commands a reader has: nightshift, and the shell of SQLite."""
    _write(house.root / "bin" / "nightshift", f'exec {sys.executable} -m supervisor "$@"\n')
    if shutil.which("sqlite3") is None:
        # For machines without it: the questions that the pages ask.
        asks = (
            "import sqlite3, sys;"
            " print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())"
        )
        _write(house.root / "bin" / "sqlite3", f'exec {sys.executable} -c "{asks}" "$@"\n')


def _write(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    assert os.access(path, os.X_OK)
