"""Fixtures for the API: a bridge with a published state, and a client that writes raw HTTP.

A test module that needs other limits overrides the fixture `limits`.
"""

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from supervisor.api import ApiServer
from supervisor.api.bridge import LoopBridge
from supervisor.api.limits import ClientLimits
from supervisor.core import events as ev
from supervisor.core.config_model import Api as Access
from supervisor.core.config_model import Config, Job
from supervisor.core.decide import decide
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts
from supervisor.ledger.store import Store

AT = ev.At(datetime(2026, 2, 9, 1, 59, tzinfo=UTC), 100.0)
PATIENCE_S = 10.0
JOBS = (Job("sync", 0, argv=("x",), cron=("0 2 * * *",)), Job("by-hand", 1, shell="y"))


def made_bridge(*jobs: Job) -> LoopBridge:
    """Return a bridge with these jobs at 01:59; nothing has run."""
    config = Config(jobs or JOBS)
    bridge = LoopBridge(Facts("1.2.3", 7, AT.wall, "/etc/jobs.yaml", AT.wall))
    bridge.scheduler, _ = decide(SchedulerState(config), ev.Restored(AT, config, ev.Memory()))
    bridge.is_ready = True
    return bridge


@pytest.fixture
def bridge() -> LoopBridge:
    """Return a bridge with the jobs of JOBS."""
    return made_bridge()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a state folder with an empty ledger."""
    # A UNIX socket path holds 107 bytes, and pytest's folders may be longer.
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    (made / "runs").mkdir()
    Store(made).close()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def limits() -> ClientLimits:
    """Return the limits of the service."""
    return ClientLimits()


@pytest.fixture
def api(folder: Path, bridge: LoopBridge, limits: ClientLimits) -> Iterator[ApiServer]:
    """Yield the API bound to the folder's socket, but not started."""
    made = ApiServer(folder / "s", Access(), bridge, folder, limits)
    yield made
    made.close()


@pytest.fixture
def path(folder: Path, api: ApiServer) -> Path:
    """Return the socket of the started API."""
    api.start()
    return folder / "s"


def connect(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(PATIENCE_S)
    client.connect(str(path))
    return client


def read_all(client):
    with client.makefile("rb") as answer:
        return answer.read()


def ask(path, what, verb="GET", body=b"", headers=""):
    """Return status and body of a request on its own connection."""
    request = (
        f"{verb} {what} HTTP/1.1\r\nHost: nightshift\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    )
    with connect(path) as client:
        client.sendall(request.encode() + body)
        head, _, answer = read_all(client).partition(b"\r\n\r\n")
    return int(head.split()[1]), answer


def ask_json(path, *args, **kwargs):
    status, answer = ask(path, *args, **kwargs)
    return status, json.loads(answer)


def stream(path, what, headers=""):
    """Return client, status and chunk iterator of a streamed response."""
    client = connect(path)
    client.sendall(f"GET {what} HTTP/1.1\r\nHost: nightshift\r\n{headers}\r\n".encode())
    answer = client.makefile("rb")
    status = int(answer.readline().split()[1])
    while answer.readline() != b"\r\n":
        pass
    return client, status, pieces(answer)


def pieces(answer):
    """Yield the chunks of a body as they arrive."""
    while size := int(answer.readline(), 16):
        yield answer.read(size)
        answer.readline()
