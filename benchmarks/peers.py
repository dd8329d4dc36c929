"""A service under measurement: configured, started, asked, weighed and ended.

What burst.py and endurance.py share: one `Side` a program, and `Living`, one
process of it in a folder of its own. All is measured from outside, the same way
for every side: the clock around exec and request, and what `memory.py` reads
of processes. Nothing here knows a benchmark or prints.
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

# A list is executed as it is, a text goes to /bin/sh -c.
Command = Sequence[str] | str


@dataclass(frozen=True, slots=True)
class Side:
    """One program: its module, how its file is written, where it answers.

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
        """The version that is installed; "" if none is."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return ""


class Living:
    """One process of a side, started, and ready to answer about `job`.

    ready_s: seconds from exec to the first whole answer about that job.
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
        """The body of an answer, on a connection that is kept while the other side keeps it.

        Raises: OSError.
        """
        request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        connection = self._line()
        try:
            connection.sendall(request.encode())
            body = _answer(connection)
        except OSError:
            connection.close()
            raise
        self._connection = connection
        return body

    def cpu_s(self) -> float:
        """CPU of the process that was started, all its threads, without its children."""
        return cpu_s(self.pid)

    def others_cpu_s(self) -> float:
        """CPU of its living descendants, as far as it is their own."""
        return sum(cpu_s(pid) for pid in descendants(self.pid))

    def pss_bytes(self) -> int:
        """Memory of all its processes; what they share with others is divided."""
        return sum(pss_bytes(pid) for pid in (self.pid, *descendants(self.pid)))

    def end(self) -> None:
        """End it, and every process that it had; nothing is left running."""
        if self._connection is not None:
            self._connection.close()
        ended(self._process, END_S)

    def _line(self) -> socket.socket:
        """The connection that was kept, unless it was hung up, or a new one."""
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
    """A side that runs these commands, until the end of the block."""
    folder.mkdir(exist_ok=True)
    (folder / "jobs.yaml").write_text(side.text(commands, cron, folder))
    service = Living(side, folder, next(iter(commands)), cores)
    try:
        yield service
    finally:
        service.end()


def environment(folder: Path) -> dict[str, str]:
    """The same little for each side; without a locale, which programs would only load."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LC_ALL": "C",
        "TZ": "UTC",
        "PYTHONPYCACHEPREFIX": str(_compiled()),
    }


@cache
def _compiled() -> Path:
    """Where compiled modules lie for as long as we live, as an installation has them."""
    name = tempfile.mkdtemp(prefix="compiled-")
    atexit.register(shutil.rmtree, name, ignore_errors=True)
    return Path(name)


def _answer(connection: socket.socket) -> bytes:
    """One HTTP answer that says its length. Raises: OSError, if it is no 2xx."""
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
