"""The socket: its mode, who asks, and clients that are slow, silent, huge or many."""

import json
import os
import shutil
import socket
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from supervisor.api import Api
from supervisor.api.limits import Limits
from supervisor.core import events as ev
from supervisor.core.decide import decide
from supervisor.core.model import Api as Access
from supervisor.core.model import Config, Job
from supervisor.core.view import Facts
from supervisor.core.world import World
from supervisor.desk import Desk
from supervisor.ledger.store import Store
from supervisor.state_folder import FolderTrouble

LIMITS = Limits()
AT = ev.At(datetime(2026, 2, 9, 1, 59, tzinfo=UTC), 100.0)


@pytest.fixture
def folder():
    # A UNIX path holds 107 bytes, and pytest's folders may be longer.
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def desk():
    config = Config(
        (Job("sync", 0, argv=("x",), cron=("0 2 * * *",)), Job("by-hand", 1, shell="y"))
    )
    made = Desk(Facts("1.2.3", 7, AT.wall, "/etc/jobs.yaml", AT.wall))
    made.world, _ = decide(World(config), ev.Restored(AT, config, ev.Memory()))
    made.is_ready = True
    return made


@pytest.fixture
def path(folder, desk):
    Store(folder).close(clean=True)
    api = Api(folder / "s", Access(), desk, folder)
    api.start()
    yield folder / "s"
    api.close()


def connect(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(LIMITS.request_s + 5)
    client.connect(str(path))
    return client


def read_all(client):
    with client.makefile("rb") as answer:
        return answer.read()


def ask(path, what, verb="GET", body=b"", headers=""):
    request = (
        f"{verb} {what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    )
    with connect(path) as client:
        client.sendall(request.encode() + body)
        head, _, answer = read_all(client).partition(b"\r\n\r\n")
    return int(head.split()[1]), answer


def ask_json(path, *args, **kwargs):
    status, answer = ask(path, *args, **kwargs)
    return status, json.loads(answer)


def test_the_socket_is_for_its_owner_only(path):
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_mode_is_what_the_file_says(folder, desk):
    api = Api(folder / "open", Access(socket_mode=0o660), desk, folder)
    api.start()

    assert (folder / "open").stat().st_mode & 0o777 == 0o660
    api.close()


def test_a_stale_socket_is_replaced(folder, desk):
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(folder / "s"))
    dead.close()

    api = Api(folder / "s", Access(), desk, folder)

    connect(folder / "s").close()
    api.close()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir], ids=["a file", "a folder"])
def test_what_is_no_socket_is_never_deleted(folder, desk, make):
    make(folder / "s")

    with pytest.raises(FolderTrouble, match="no socket is in its place"):
        Api(folder / "s", Access(), desk, folder)

    assert (folder / "s").exists()


def test_a_socket_that_answers_is_left_to_its_owner(path, folder, desk):
    with pytest.raises(FolderTrouble, match="another program answers"):
        Api(path, Access(), desk, folder)


def test_status_tells_of_service_and_jobs(path):
    status, told = ask_json(path, "/v1/status")

    assert status == 200
    assert (told["version"], told["pid"], told["pool"]["max"]) == ("1.2.3", 7, 3)
    assert [job["name"] for job in told["jobs"]] == ["sync", "by-hand"]
    assert told["jobs"][0]["next_at"] == "2026-02-09T02:00:00Z"


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("/v1/jobs", 200),
        ("/v1/jobs/sync", 200),
        ("/v1/jobs/nobody", 404),
        ("/v1/jobs/sync/next?n=3", 200),
        ("/v1/jobs/sync/next?n=-1", 422),
        ("/v1/jobs/sync/explain", 200),
        ("/v1/jobs/sync/explain?at=2026-02-09T02:00:00%2B01:00", 200),
        ("/v1/jobs/sync/explain?at=yesterday", 422),
        ("/v1/jobs/sync/explain?at=2026-02-09T02:00:00", 422),
        ("/v1/jobs/by-hand/explain?at=0001-01-01T00:00:00Z", 422),
        ("/v1/runs", 200),
        ("/v1/runs?state=failed&limit=1", 200),
        ("/v1/runs?state=nonsense", 422),
        ("/v1/runs?limit=99999999999999999999", 422),
        ("/v1/runs/1", 404),
        ("/v1/runs/x", 422),
        ("/v1/runs/1/log", 404),
        ("/v1/incidents", 200),
        ("/v1/actions", 200),
        ("/readyz", 200),
        ("/nowhere", 404),
    ],
)
def test_each_question_has_its_status(path, what, status):
    assert ask(path, what)[0] == status


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"only": 7}', b'{"unknown": true}', b"\xff\xfe", b'{"only":' * 5000],
    ids=["half", "a list", "wrong type", "unknown key", "not UTF-8", "deep"],
)
def test_a_body_that_does_not_hold_is_422_and_says_why(path, body):
    status, told = ask_json(path, "/v1/run-all", "POST", body)

    assert status == 422
    assert told["error"].startswith("the body does not hold")


def test_a_request_reaches_the_loop_with_the_peer_that_the_kernel_names(path, desk):
    asking = threading.Thread(target=ask, args=(path, "/v1/jobs/sync/run", "POST"))
    asking.start()
    calls = []
    while not calls:
        calls = desk.take()

    assert calls[0].peer.uid == os.getuid()
    assert calls[0].peer.pid == os.getpid()
    assert calls[0].what == ev.RunJobs(("sync",))
    calls[0].answer.set_result(ev.Reply(1, ev.Answer.CONFLICT, error="no"))
    asking.join()


def test_a_silent_client_is_hung_up_on(path):
    with connect(path) as silent:
        assert read_all(silent) == b""


def test_a_client_that_never_ends_its_request_is_hung_up_on(path):
    with connect(path) as slow:
        slow.sendall(b"POST /v1/run-all HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")

        assert b"200" not in read_all(slow)


def test_a_huge_body_is_hung_up_on(path):
    with connect(path) as huge:
        huge.sendall(b"POST /v1/run-all HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n")
        with pytest.raises(OSError):  # noqa: PT012 - whichever write finds it closed
            for _ in range(1000):
                huge.sendall(bytes(65536))


def test_a_crowd_of_silent_clients_shuts_nobody_out(path):
    crowd = [connect(path) for _ in range(3 * LIMITS.clients)]

    assert ask(path, "/v1/status")[0] == 200

    for client in crowd:
        client.close()


def test_garbage_is_answered_and_changes_nothing(path):
    with connect(path) as client:
        client.sendall(os.urandom(4096) + b"\r\n\r\n")
        read_all(client)

    assert ask(path, "/v1/status")[0] == 200


def test_healthz_fails_when_the_tick_is_old(path, desk):
    desk.ticked_mono = -1000.0

    status, told = ask_json(path, "/healthz")

    assert status == 503
    assert "the last tick was" in told["error"]


def test_the_socket_file_goes_with_the_service(folder, desk):
    Store(folder).close(clean=True)
    api = Api(folder / "s", Access(), desk, folder)
    api.start()

    api.close()

    assert not (folder / "s").exists()
