"""The API of a running supervisor: events, log followers, requesters, and metrics over TCP."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from supervisor.api.limits import ClientLimits
from tests.acceptance import raw_client
from tests.acceptance.daemon import Sandbox, living, supervised
from tests.edge.fixtures_api import connect, read_all, stream
from tests.waiting import until

HANDBOOK = Path(__file__).parents[2] / "docs" / "api.md"
JOBS = """
max_concurrent: 4
jobs:
  hello: {command: [/bin/echo, hi], cron: "0 4 29 2 *"}
  twice: {command: "exit 4", retries: 1, retry_delay: 100ms}
  talker: {command: "echo one; echo two; while [ ! -e go ]; do sleep 0.05; done; echo three"}
  flood: {command: "head -c 4000000 /dev/zero | tr '\\\\0' x"}
  mine: {worker: "mine:work"}
"""
PLAIN = "max_concurrent: 4\njobs: {hello: {command: [/bin/echo, hi]}}\n"
WORKER = 'def work(params, report):\n    report.metric("depth", 3)\n    return {"size": 7}\n'


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        Path(sandbox.root, "mine.py").write_text(WORKER)
        with supervised(sandbox):
            yield sandbox


def metrics(sandbox: Sandbox, connection: http.client.HTTPConnection | None = None) -> dict:
    """Return name and labels of each sample -> its value."""
    if connection is None:
        connection = http.client.HTTPConnection("nightshift")
        connection.sock = connect(sandbox.socket)
    connection.request("GET", "/metrics", headers={"Connection": "close"})
    text = connection.getresponse().read().decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_every_change_of_a_run_comes_as_an_event(sandbox: Sandbox) -> None:
    client, _, pieces = stream(sandbox.socket, "/v1/events")
    next(pieces)
    sandbox.ask("run", "twice", "--wait")

    reported = []
    while not reported or reported[-1][0] != "failed":
        found = re.search(rb"^data: (.*)$", next(pieces), re.M)
        if found:
            run = json.loads(found[1])
            reported.append((run["state"], run["attempt"]))

    assert reported == [
        *(("pending", 0), ("running", 1), ("retrying", 1)),
        *(("pending", 1), ("running", 2), ("failed", 2)),
    ]
    client.close()


def test_a_follower_sees_lines_as_they_come_and_ends_with_the_run(sandbox: Sandbox) -> None:
    number = sandbox.json("run", "talker")["run"]["id"]
    follower = sandbox.begin("logs", "-f", str(number))
    assert follower.stdout is not None

    first = [follower.stdout.readline(), follower.stdout.readline()]
    assert raw_client.run(sandbox, number)["state"] == "running"
    Path(sandbox.root, "go").touch()
    rest = follower.communicate(timeout=20)[0]

    assert (first, rest, follower.returncode) == (["one\n", "two\n"], "three\n", 0)


def test_each_command_is_kept_with_who_asked(sandbox: Sandbox) -> None:
    sandbox.says("run", "hello", "--wait")
    sandbox.says("pause", "hello", "--reason", "tea")
    sandbox.says("resume", "hello")
    sandbox.says("reload")
    sandbox.refuses("cancel", "hello")

    kept = sandbox.json("history", "--actions", "-n", "5")["actions"]

    assert [(each["verb"], each["what"]) for each in reversed(kept)] == [
        ("run", "hello"),
        ("pause", "hello"),
        ("resume", "hello"),
        ("reload", ""),
        ("cancel", "hello"),
    ]
    assert {each["peer"]["uid"] for each in kept} == {os.getuid()}
    assert all(each["peer"]["pid"] > 0 for each in kept)
    assert kept[0]["answer"] == "no run of hello is open"


def test_a_refused_reload_is_kept_with_who_asked(sandbox: Sandbox) -> None:
    good = sandbox.config.read_text()
    sandbox.config.write_text("jobs: {}\n")
    sandbox.refuses("reload")
    sandbox.config.write_text(good)
    sandbox.says("reload")

    accepted, refused = sandbox.json("history", "--actions", "-n", "2")["actions"]

    assert (refused["verb"], refused["answer"]) == (
        "reload",
        "jobs.yaml is refused: 1 problem",
    )
    assert (accepted["answer"], accepted["peer"]["uid"]) == ("ok", os.getuid())


def test_what_ran_is_counted(sandbox: Sandbox) -> None:
    before = metrics(sandbox)
    for job in ("twice", "mine"):
        sandbox.ask("run", job, "--wait")
    after = metrics(sandbox)

    failed = ("nightshift_runs_total", "exit", "failed", "twice")
    assert after[failed] == before.get(failed, 0) + 1
    assert after["nightshift_run_duration_seconds_count", "mine"] == 1
    assert after["nightshift_worker_metric", "depth", "mine"] == 3
    assert after["nightshift_worker_metric", "mine", "size"] == 7


def test_output_that_is_not_kept_is_counted(sandbox: Sandbox) -> None:
    sandbox.says("run", "flood", "--wait")
    until(lambda: metrics(sandbox)["nightshift_output_dropped_bytes_total",] > 0)

    kept = len(sandbox.says("logs", "flood"))
    dropped = metrics(sandbox)["nightshift_output_dropped_bytes_total",]
    notice = len("\n--- 2000000 bytes dropped ---\n")
    assert kept - notice + dropped == 4_000_000


def test_many_clients_delay_neither_jobs_nor_each_other(sandbox: Sandbox) -> None:
    crowd = [connect(sandbox.socket) for _ in range(150)]
    for each in crowd[::2]:
        each.send(b"POST /v1/run-all HTTP/1.1\r\nContent-Length: 5000\r\n")

    said = sandbox.says("run", "hello", "--wait")

    assert "success" in said
    for each in crowd:
        each.close()


def test_where_no_stream_is_left_waiting_goes_on_without_one(sandbox: Sandbox) -> None:
    readers = [stream(sandbox.socket, "/v1/events") for _ in range(ClientLimits().streams)]
    for _, _, pieces in readers:
        next(pieces)

    assert "success" in sandbox.says("run", "hello", "--wait")

    for client, _, _ in readers:
        client.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_metrics_may_be_read_by_tcp_and_nothing_be_asked() -> None:
    port = free_port()
    with living(f"metrics: 127.0.0.1:{port}\n{PLAIN}") as sandbox:
        found = metrics(sandbox, http.client.HTTPConnection("127.0.0.1", port, timeout=10))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as outsider:
            outsider.sendall(b"POST /v1/stop HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
            refused = read_all(outsider)

        assert found["nightshift_pool_places",] == 4
        assert refused.startswith(b"HTTP/1.1 404")
        assert f"metrics http://127.0.0.1:{port}/metrics\n" in sandbox.says("status")


def test_a_metrics_address_in_use_is_a_warning_and_jobs_run_all_the_same() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with living(f"metrics: {address}\n{PLAIN}") as sandbox:
            log, line = sandbox.root / "log", f"metrics: {address}: Address already in use"

            until(lambda: line in log.read_text())
            assert "cannot be had: Address already in use" in sandbox.says("status")
            assert sandbox.json("run", "hello", "--wait")["state"] == "success"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_handbook_says_what_works(sandbox: Sandbox) -> None:
    text = HANDBOOK.read_text()
    environ = {**sandbox.environ, "NIGHTSHIFT_SOCKET": str(sandbox.socket)}
    (shell, *_) = re.findall(r"```sh\n(.*?)```", text, re.S)
    (python,) = re.findall(r"```python\n(.*?)```", text, re.S)

    for command in shell.strip().splitlines():
        done = subprocess.run(
            ["sh", "-c", command], env=environ, capture_output=True, check=True, timeout=20
        )
        assert "error" not in json.loads(done.stdout), command
    until(lambda: not raw_client.status(sandbox)["runs"])
    scope: dict = {}
    code = python.replace('os.environ["NIGHTSHIFT_SOCKET"]', repr(str(sandbox.socket)))
    exec(code, scope)
    assert scope["status"] == 202
