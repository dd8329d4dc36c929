"""Very many bad clients and unresponsive servers: the service handles each minute on time.

The clients are slow, silent, huge, deaf and many; every heartbeat and every alert goes
to a server that accepts connections and never answers.
"""

import contextlib
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import TracebackType

import pytest

from supervisor.api.limits import ClientLimits
from tests.acceptance import raw_client
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.ledger_reader import MINUTE, outcomes, rows
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)

JOBS = """
heartbeat: ${DEAD}/self
notify: {slack: "${DEAD}"}
jobs:
  noter: {command: 'echo $NIGHTSHIFT_SLOT >> slots', cron: "* * * * *", heartbeat: "${DEAD}/a"}
  flaky: {command: "exit 3", cron: "* * * * *", heartbeat: "${DEAD}/b"}
"""
MINUTES = 5
FIRST = datetime(2026, 2, 9, 2, tzinfo=UTC)
SLOTS = [FIRST + n * MINUTE for n in range(MINUTES)]
BEFORE = timedelta(milliseconds=300)
# The clients and the service share a machine that may be busy.
PATIENCE_S = 10.0

# What each kind sends first, and what it sends repeatedly while it is connected.
SILENT = (b"", b"")
SLOW = (b"GET /v1/status HTTP/1.1\r\nX-Slow: ", b"x")
HUGE = (b"POST /v1/run-all HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n", bytes(1 << 16))
ENDLESS = (b"GET /v1/status HTTP/1.1\r\nX-Long: ", b"x" * (1 << 16))
DEAF = (b"", b"GET /openapi.json HTTP/1.1\r\nHost: nightshift\r\n\r\n" * 4)
# The slow and silent clients alone fill every place; the others compete for one.
ALL_KINDS = (SILENT, SLOW) * (ClientLimits().clients // 2) + (HUGE, ENDLESS, DEAF) * 8


class BadClient:
    """A client of one kind that reconnects when it is disconnected, and reads nothing."""

    def __init__(self, sandbox: Sandbox, kind: tuple[bytes, bytes]) -> None:
        self._path = str(sandbox.socket)
        self._greeting, self._rest = kind
        self._connect()

    def send_more(self) -> None:
        """Send some more; reconnect if the server has closed the connection."""
        try:
            if self._rest:
                self._socket.send(self._rest)
            elif self._socket.recv(1) == b"":
                raise BrokenPipeError
        except BlockingIOError:
            pass  # the buffer is full, or no answer yet: still connected
        except OSError:
            self.close()
            self._connect()

    def close(self) -> None:
        self._socket.close()

    def _connect(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(5)
        self._socket.connect(self._path)
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            self._socket.send(self._greeting)


class Crowd:
    """More clients than the server admits, some of each kind."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._clients = [BadClient(sandbox, kind) for kind in ALL_KINDS]

    def send_more(self) -> None:
        for client in self._clients:
            client.send_more()

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Make a sandbox whose external server accepts connections (the kernel does) and is mute."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as dead, Sandbox(JOBS) as made:
        made.environ["DEAD"] = f"http://127.0.0.1:{dead.getsockname()[1]}/x"
        yield made


def test_bad_clients_and_dead_servers_delay_no_minute(sandbox: Sandbox) -> None:
    clock = Clock(sandbox, "2026-02-09 01:59:01")
    with supervised(sandbox) as supervisor, Crowd(sandbox) as crowd:
        for slot in SLOTS:
            clock.set((slot - BEFORE).isoformat(sep=" ").removesuffix("+00:00"))
            supervisor.send_signal(signal.SIGCHLD)  # makes it read the clock and does nothing else
            crowd.send_more()
            until(lambda slot=slot: slot in outcomes(sandbox, "noter"), PATIENCE_S)
            crowd.send_more()
            until(lambda slot=slot: has_ended(sandbox, slot), PATIENCE_S)

            until(lambda slot=slot: minute_of_tick(sandbox) == slot, PATIENCE_S)
        waiting = raw_client.status(sandbox)["alerts"]["waiting"]

    assert waiting == 1
    for job, end in (("noter", "success schedule"), ("flaky", "failed schedule")):
        assert outcomes(sandbox, job) == dict.fromkeys(SLOTS, end)
    assert (sandbox.root / "slots").read_text().split() == [f"{slot:%FT%TZ}" for slot in SLOTS]
    for slot, began in began_at(sandbox):
        assert slot <= began < slot + MINUTE


def minute_of_tick(sandbox: Sandbox) -> datetime | None:
    """Return the minute that the service handled last, as it reports; None: no answer yet."""
    with contextlib.suppress(TimeoutError):
        reported = datetime.fromisoformat(raw_client.status(sandbox)["tick"]["last_at"])
        return reported.replace(second=0, microsecond=0)
    return None


def has_ended(sandbox: Sandbox, slot: datetime) -> bool:
    """Return whether both jobs have an outcome of this slot."""
    ends = [outcomes(sandbox, job).get(slot, "") for job in ("noter", "flaky")]
    return [each.split(" ")[0] for each in ends] == ["success", "failed"]


def began_at(sandbox: Sandbox) -> list[tuple[datetime, datetime]]:
    """Return the slot and the beginning of every attempt."""
    query = "SELECT slot, a.started_at FROM attempts a JOIN runs ON runs.id = a.run"
    return [
        (datetime.fromisoformat(slot), datetime.fromisoformat(began))
        for slot, began in rows(sandbox, query)
    ]


def test_readers_that_never_read_a_log_cost_little_memory(sandbox: Sandbox) -> None:
    """Each client requests 1.7 MB; the buffer of each is bounded."""
    sandbox.config.write_text("jobs: {a: {command: 'yes 0123456789abcdef | head -c 1700000'}}")
    with supervised(sandbox):
        sandbox.says("run", "a", "--wait")
        pid = sandbox.json("status")["pid"]
        before = resident_kib(pid)
        deaf = [
            connected(sandbox, b"GET /v1/runs/1/log HTTP/1.1\r\nHost:\r\n\r\n") for _ in range(60)
        ]
        until(lambda: all(has_answer(each) for each in deaf), PATIENCE_S)

        assert sandbox.ask("status").returncode == 0
        assert resident_kib(pid) - before < 64 * 1024
        for each in deaf:
            each.close()


def resident_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(row.split()[1]) for row in file if row.startswith("VmRSS"))


def connected(sandbox: Sandbox, request: bytes) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(sandbox.socket))
    client.sendall(request)
    return client


def has_answer(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
