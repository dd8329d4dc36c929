"""A measured service: configured, started, queried, measured and ended.

Shared by burst.py and endurance.py: a `Side` is a program, and `Living` is one process of
it in its own folder. Everything is measured from outside, in the same way for every side:
wall-clock time of exec and requests, and what `memory.py` reads about processes. Nothing
here knows a benchmark or prints.
"""

import atexit
import importlib.metadata
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from memory import cpu_s, descendants, ended, pinned, pss_bytes

ROOT = Path(__file__).resolve().parents[1]
CONCURRENT = 8
READY_S = 90.0
END_S = 15.0
ASK_S = 30.0
_LOOK_S = 0.001
_PIECE_BYTES = 1024 * 1024
EVERY_MINUTE = "* * * * *"
NEVER = "0 0 29 2 *"

# A list is executed directly, a text by /bin/sh -c.
Command = Sequence[str] | str


@dataclass(frozen=True, slots=True)
class Side:
    """A program: its module, how its config is written, and its API paths.

    module: what `python -m` runs; distribution: what pip installs.
    """

    name: str
    module: str
    distribution: str
    text: Callable[[Mapping[str, Command], str, Path], str]
    arguments: Callable[[Path], list[str]]
    job: str
    status: str

    @property
    def version(self) -> str:
        """Return the installed version; "" if there is none."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return ""


class Living:
    """One running process of a side, ready to answer requests about `job`.

    ready_s: seconds from exec to the first complete answer about that job.
    """

    def __init__(self, side: Side, folder: Path, job: str, cores: Collection[int]) -> None:
        self.side = side
        self._connection: socket.socket | None = None
        self._at = str(_socket(folder))
        before = time.perf_counter()
        with pinned(cores):
            self._process = subprocess.Popen(
                [sys.executable, "-m", side.module, *side.arguments(folder)],
                cwd=ROOT,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = self._process.pid
        try:
            self._wait_ready(side.job.format(job), before + READY_S)
        except BaseException:
            self.end()
            raise
        self.ready_s = time.perf_counter() - before

    def ask(self, path: str, method: str = "GET") -> bytes:
        """Return the body of an answer; reuses the connection while the server keeps it open.

        Raises: OSError.
        """
        request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        connection = self._line()
        try:
            connection.sendall(request.encode())
            body = answer(connection)
        except OSError:
            connection.close()
            raise
        self._connection = connection
        return body

    def cpu_s(self) -> float:
        """Return the CPU seconds of the main process with all threads, without its children."""
        return cpu_s(self.pid)

    def others_cpu_s(self) -> float:
        """Return the CPU seconds of its living descendants, without their ended children."""
        return sum(cpu_s(pid) for pid in descendants(self.pid))

    def pss_bytes(self) -> int:
        """Return the memory of all its processes; memory shared with others is divided (PSS)."""
        return sum(pss_bytes(pid) for pid in (self.pid, *descendants(self.pid)))

    def end(self) -> None:
        """End the process and all of its descendants."""
        if self._connection is not None:
            self._connection.close()
        ended(self._process, END_S)

    def _line(self) -> socket.socket:
        """Return the kept connection, unless the server has closed it; else a new one."""
        kept, self._connection = self._connection, None
        if kept is not None:
            if not select.select([kept], [], [], 0)[0]:
                return kept
            kept.close()
        fresh = socket.socket(socket.AF_UNIX)
        fresh.settimeout(ASK_S)
        try:
            fresh.connect(self._at)
        except OSError:
            fresh.close()
            raise
        return fresh

    def _wait_ready(self, path: str, until: float) -> None:
        while True:
            with suppress(OSError):
                self.ask(path)
                return
            if self._process.poll() is not None or time.perf_counter() > until:
                raise RuntimeError(f"{self.side.name} does not answer {path}")
            time.sleep(_LOOK_S)


@contextmanager
def living(
    side: Side,
    folder: Path,
    commands: Mapping[str, Command],
    cron: str = EVERY_MINUTE,
    cores: Collection[int] = (),
) -> Iterator[Living]:
    """Run a side with these commands until the end of the block."""
    folder.mkdir(exist_ok=True)
    (folder / "jobs.yaml").write_text(side.text(commands, cron, folder))
    service = Living(side, folder, next(iter(commands)), cores)
    try:
        yield service
    finally:
        service.end()


def environment(folder: Path) -> dict[str, str]:
    """Return the same minimal environment for each side, without a locale that would be loaded."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LC_ALL": "C",
        "TZ": "UTC",
        "PYTHONPYCACHEPREFIX": str(_compiled()),
    }


@cache
def _compiled() -> Path:
    """Return a folder for compiled modules, as an installation has; removed at exit."""
    name = tempfile.mkdtemp(prefix="compiled-")
    atexit.register(shutil.rmtree, name, ignore_errors=True)
    return Path(name)


def answer(connection: socket.socket) -> bytes:
    """Return the body of an HTTP answer with Content-Length. Raises: OSError, unless 2xx."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _piece(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    status = lines[0].split()[1]
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
    while len(body) < length:
        body += _piece(connection)
    if not status.startswith("2"):
        raise OSError(f"answered {lines[0]}: {body[:200]!r}")
    return body


def _piece(connection: socket.socket) -> bytes:
    piece = connection.recv(_PIECE_BYTES)
    if not piece:
        raise ConnectionError("hung up")
    return piece


def _socket(folder: Path) -> Path:
    return folder / "socket"


def _our_text(commands: Mapping[str, Command], cron: str, _folder: Path) -> str:
    lines = ["timezone: UTC", f"max_concurrent: {CONCURRENT}", "jobs:"]
    for name, command in commands.items():
        what = "worker" if isinstance(command, str) and ":" in command else "command"
        lines += [f"  {name}:", f'    cron: "{cron}"', f"    {what}: {json.dumps(command)}"]
    return "\n".join(lines) + "\n"


def _our_arguments(folder: Path) -> list[str]:
    places = {"config": folder / "jobs.yaml", "state": folder / "state", "socket": _socket(folder)}
    return [*(f"--{name}={path}" for name, path in places.items()), "start"]


def _their_text(commands: Mapping[str, Command], cron: str, folder: Path) -> str:
    lines = ["web:", "  listen:", f"    - unix://{_socket(folder)}", "jobs:"]
    for name, command in commands.items():
        lines += [f"  - name: {name}", f'    schedule: "{cron}"']
        if isinstance(command, str):
            lines.append(f"    command: {command}")
        else:
            lines += ["    command:", *(f"      - {word}" for word in command)]
    return "\n".join(lines) + "\n"


OURS = Side(
    "nightshift", "supervisor", "nightshift-cron",
    _our_text, _our_arguments, "/v1/jobs/{}", "/v1/status",
)  # fmt: skip
CRONSTABLE = Side(
    "cronstable", "cronstable", "cronstable",
    _their_text, lambda folder: ["-c", str(folder / "jobs.yaml")], "/jobs/{}", "/status",
)  # fmt: skip
