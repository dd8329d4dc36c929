"""The API socket: its mode, the peer's uid, routing, and invalid requests."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from supervisor.api import ApiServer
from supervisor.api.sockets import bind
from supervisor.core import control_requests
from supervisor.core.config_model import Api as Access
from supervisor.state_dir import StateDirError
from tests.edge.fixtures_api import ask, ask_json, connect


def test_the_socket_is_for_its_owner_only(path):
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_mode_is_what_the_file_says(folder, bridge):
    api = ApiServer(folder / "open", Access(socket_mode=0o660), bridge, folder)
    api.start()

    assert (folder / "open").stat().st_mode & 0o777 == 0o660
    api.close()


def test_a_stale_socket_is_replaced(folder, bridge):
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(folder / "s"))
    dead.close()

    api = ApiServer(folder / "s", Access(), bridge, folder)

    connect(folder / "s").close()
    api.close()


@pytest.fixture
def as_common_user(tmp_path_factory):
    """A folder of the user that this process is meanwhile: root may open any socket."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    before = os.geteuid()
    if before == 0:
        os.chown(folder, 10001, -1)
        os.seteuid(10001)
    yield folder
    os.seteuid(before)
    shutil.rmtree(folder)


def test_a_stale_socket_that_its_owner_may_not_open_is_replaced(as_common_user):
    dead = bind(as_common_user / "s", Access(socket_mode=0))
    dead.close()

    bind(as_common_user / "s", Access()).close()

    assert (as_common_user / "s").stat().st_mode & 0o777 == 0o600


def test_a_living_socket_that_its_owner_may_not_open_is_left_as_it_is(as_common_user):
    living = bind(as_common_user / "s", Access(socket_mode=0o060))

    with pytest.raises(StateDirError, match="another program answers"):
        bind(as_common_user / "s", Access())

    assert (as_common_user / "s").stat().st_mode & 0o777 == 0o060
    living.close()


def test_a_group_that_does_not_exist_is_named_and_leaves_no_socket(folder):
    with pytest.raises(StateDirError, match='no group is called "nobodys" on this machine'):
        bind(folder / "s", Access(socket_group="nobodys"))

    assert not (folder / "s").exists()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir], ids=["a file", "a folder"])
def test_what_is_no_socket_is_never_deleted(folder, bridge, make):
    make(folder / "s")

    with pytest.raises(StateDirError, match="no socket is in its place"):
        ApiServer(folder / "s", Access(), bridge, folder)

    assert (folder / "s").exists()


def test_a_socket_that_answers_is_left_to_its_owner(path, folder, bridge):
    with pytest.raises(StateDirError, match="another program answers"):
        ApiServer(path, Access(), bridge, folder)


def test_nothing_is_imported_for_clients_that_do_not_come(short_path):
    code = """
import sys
import tempfile
from pathlib import Path
from datetime import UTC, datetime
from supervisor.api import ApiServer
from supervisor.api.sockets import bind
from supervisor.api.bridge import LoopBridge
from supervisor.core.config_model import Api
from supervisor.core.views import Facts
now = datetime.now(UTC)
bridge = LoopBridge(Facts("1", 1, now, "x", now))
api = ApiServer(Path(sys.argv[1], "s"), Api(), bridge, Path(sys.argv[1]))
api.start()
api.close()
print("starlette" in sys.modules, api._thread.is_alive())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(short_path)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "False False\n"


def test_status_tells_of_service_and_jobs(path):
    status, reported = ask_json(path, "/v1/status")

    assert status == 200
    assert (reported["version"], reported["pid"], reported["pool"]["max"]) == ("1.2.3", 7, 3)
    assert [job["name"] for job in reported["jobs"]] == ["sync", "by-hand"]
    assert reported["jobs"][0]["next_at"] == "2026-02-09T02:00:00Z"


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
        ("/v1/runs/1/explain", 404),
        ("/v1/runs/x/explain", 422),
        ("/v1/runs/1/log", 404),
        ("/v1/runs/1/log?follow=maybe", 404),
        ("/v1/runs?since=2026-02-09T02:00:00Z&before=7&job=sync", 200),
        ("/v1/runs?since=yesterday", 422),
        ("/v1/runs?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z", 200),
        ("/v1/runs?since=1970-01-01T00:00:00-12:00", 200),
        ("/v1/runs?before=-1", 422),
        ("/v1/runs?limit=0", 422),
        ("/v1/runs?limit=1000", 200),
        ("/v1/runs?limit=1001", 422),
        ("/v1/runs?stat=failed", 422),
        ("/v1/runs?limit=1&limit=2", 422),
        ("/v1/status?x", 422),
        ("/v1/status?x=1", 422),
        ("/v1/jobs/sync?env=1", 200),
        ("/v1/jobs/sync?env=perhaps", 422),
        ("/v1/jobs/%E2%98%83", 404),
        ("/v1/status/", 404),
        ("/healthz?probe=1", 503),
        ("/v1/incidents", 200),
        ("/v1/actions", 200),
        ("/v1/reloads?limit=5", 200),
        ("/v1/reloads?limit=0", 422),
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
def test_an_invalid_body_is_422_and_says_why(path, body):
    status, reported = ask_json(path, "/v1/run-all", "POST", body)

    assert status == 422
    assert reported["error"].startswith("the body cannot be read")


def test_a_request_reaches_the_loop_with_the_peer_that_the_kernel_names(path, bridge):
    asking = threading.Thread(target=ask, args=(path, "/v1/jobs/sync/run", "POST"))
    asking.start()
    calls = []
    while not calls:
        calls = bridge.take_requests()

    assert calls[0].peer.uid == os.getuid()
    assert calls[0].peer.pid == os.getpid()
    assert calls[0].what == control_requests.RunJobs(("sync",))
    calls[0].answer.set_result(
        control_requests.Reply(1, control_requests.ReplyStatus.CONFLICT, error="no")
    )
    asking.join()


def test_healthz_fails_when_the_tick_is_old(path, bridge):
    bridge.ticked_mono = -1000.0

    status, reported = ask_json(path, "/healthz")

    assert status == 503
    assert "the last tick was" in reported["error"]


def test_the_socket_file_goes_with_the_service(folder, bridge):
    api = ApiServer(folder / "s", Access(), bridge, folder)
    api.start()

    api.close()

    assert not (folder / "s").exists()


def test_a_parameter_that_nobody_knows_is_refused_with_the_nearest_word(path):
    status, reported = ask_json(path, "/v1/runs?stat=failed")

    assert (status, reported["hint"]) == (422, 'did you mean "state"?')


def test_a_wrong_verb_says_which_ones_are_right(path):
    with connect(path) as client:
        client.sendall(b"PUT /v1/run-all HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n")
        head = client.recv(65536).lower()

    assert head.startswith(b"http/1.1 405")
    assert b"allow: post" in head


@pytest.mark.parametrize("size", [65_537, 300_000, 900_000])
def test_a_huge_body_is_refused_with_words(path, size):
    status, reported = ask_json(path, "/v1/run-all", "POST", b" " * size)

    assert (status, reported["error"]) == (413, "a body of more than 65536 bytes")
