"""Hosts of a cluster on this machine, each with a state folder and a connection to PostgreSQL.

A host consists of all processes that its supervisor has started. `kill`, `freeze` and `thaw`
act on all of them at once, as the loss of a machine does; `cut` drops its data to PostgreSQL.
"""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import psutil

from tests.acceptance.clock import Clock
from tests.acceptance.daemon import LIMIT_S, CommandResult, Sandbox
from tests.waiting import until
from tests.workers.proxy import Proxy, proxied

# Times of the cluster, short enough for tests to wait for them.
TIMES = "heartbeat: 0.5s, fence: 2s, lease: 4s"


class Host:
    """One host; its jobs.yaml is `text` with its own name and DSN.

    off_s: error of its wall clock in seconds.
    """

    def __init__(
        self, name: str, text: str, proxy: Proxy, dsn: str, labels: str = "", off_s: float = 0.0
    ) -> None:
        self.name, self.proxy = name, proxy
        self.sandbox = Sandbox(text)
        self.sandbox.environ |= {"DSN": dsn, "HOST": name, "NIGHTSHIFT_LABELS": labels}
        now = datetime.now(UTC) + timedelta(seconds=off_s)
        self.clock = Clock(self.sandbox, f"{now:%F %T.%f}") if off_s else None
        self._process: subprocess.Popen[str] | None = None
        self._frozen: list[psutil.Process] = []

    @property
    def log(self) -> str:
        """Return the log of its supervisor, agent and leader."""
        files = (self.sandbox.root / "log", self.sandbox.state / "cluster" / "log")
        return "\n".join(path.read_text(errors="replace") for path in files if path.exists())

    def start(self) -> None:
        """Start its supervisor; the agent joins when it can."""
        with open(self.sandbox.root / "log", "a") as log:
            self._process = self.sandbox.begin("start", stdout=log, stderr=log)

    def ask(self, *words: str) -> CommandResult:
        """Run a command on this host."""
        return self.sandbox.ask(*words, "--config", str(self.sandbox.config))

    def kill(self) -> None:
        """Kill all processes of this host at once."""
        for process in self._everything():
            with contextlib.suppress(psutil.Error):
                process.suspend()
        for process in self._everything():
            with contextlib.suppress(psutil.Error):
                process.kill()
        assert self._process is not None
        self._process.wait(LIMIT_S)
        self._process = None

    def freeze(self) -> None:
        """Stop all processes of this host, as a suspended machine does."""
        self._frozen = self._everything()
        for process in self._frozen:
            with contextlib.suppress(psutil.Error):
                process.suspend()

    def thaw(self) -> None:
        """Let all processes of this host continue."""
        for process in self._frozen:
            with contextlib.suppress(psutil.Error):
                process.resume()
        self._frozen = []

    def cut(self) -> None:
        """Drop the data between this host and PostgreSQL."""
        self.proxy.swallow_after = 0

    def reconnect(self) -> None:
        """Accept new connections; the old ones have lost data."""
        self.proxy.swallow_after = None

    def stop(self) -> None:
        """Shut the supervisor down."""
        self.thaw()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(LIMIT_S)
            self._process = None

    @property
    def is_up(self) -> bool:
        """Return whether its supervisor runs."""
        return self._process is not None

    @property
    def is_reached(self) -> bool:
        """Return whether it runs and is connected to PostgreSQL."""
        return self.is_up and not self._frozen and self.proxy.swallow_after is None

    def _everything(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        with contextlib.suppress(psutil.Error):
            top = psutil.Process(self._process.pid)
            return [top, *top.children(recursive=True)]
        return []


@contextmanager
def cluster(
    dsn: str,
    text: str,
    names: str = "abc",
    labels: Mapping[str, str] = MappingProxyType({}),
    files: Mapping[str, str] = MappingProxyType({}),
    off_s: Mapping[str, float] = MappingProxyType({}),
    prepare: Callable[[Host], None] = lambda host: None,
) -> Iterator[dict[str, Host]]:
    """Yield hosts that have joined a new cluster in the database of `dsn`; one leads.

    labels: by the host's name. files: beside each jobs.yaml, by name. off_s: how far the
    clock of a host is off, by its name. prepare: called with each host before it starts.
    """
    with ExitStack() as closing:
        hosts = {}
        for name in names:
            proxy, through = closing.enter_context(proxied(dsn))
            host = Host(name, text, proxy, through, labels.get(name, ""), off_s.get(name, 0.0))
            for file, content in files.items():
                (host.sandbox.root / file).write_text(content)
            closing.callback(host.sandbox.__exit__)
            prepare(host)
            hosts[name] = host
        first = hosts[names[0]]
        made = first.ask("cluster", "init", dsn)
        assert made.returncode == 0, made.stderr
        for host in hosts.values():
            closing.callback(host.stop)
            host.start()
        try:
            until(lambda: is_led(first), within_s=60)
        except AssertionError as error:
            raise AssertionError("\n".join(host.log for host in hosts.values())) from error
        for host in hosts.values():
            until(lambda host=host: answers(host), within_s=60)
        yield hosts


def is_led(host: Host) -> bool:
    """Return whether there is a leader, as this host sees it."""
    return host.ask("cluster", "status").returncode == 0


def answers(host: Host) -> bool:
    """Return whether the cluster answers on this host."""
    gateway = host.sandbox.state / "cluster.sock"
    return gateway.exists() and host.ask("status").returncode == 0


def rest(seconds: float) -> None:
    """Let a fault last this long: its duration is what is tested."""
    time.sleep(seconds)


def lines(path: Path) -> list[list[str]]:
    """Return the words of each line of a file that jobs write."""
    with contextlib.suppress(FileNotFoundError):
        return [line.split() for line in path.read_text().splitlines()]
    return []
