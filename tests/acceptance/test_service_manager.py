"""Messages of the real supervisor to a service manager, at a real notify socket."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.manager_socket import ManagerSocket
from tests.waiting import until

JOBS = """
jobs:
  variables: {command: "env | grep -E '^(NOTIFY|WATCHDOG)' || echo none of them"}
  sleeper: {command: [/bin/sleep, "60"]}
  deaf: {command: "trap '' TERM; echo up; while :; do sleep 0.1; done"}
"""


class Manager:
    """The messages received so far, in one list."""

    def __init__(self, socket: ManagerSocket) -> None:
        self.socket = socket
        self.messages: list[dict[str, str]] = []

    def received(self, name: str) -> list[str]:
        """Return the values of one variable, oldest first."""
        self.messages += self.socket.received()
        return [message[name] for message in self.messages if name in message]

    def forget(self) -> None:
        """Drop the messages received so far."""
        self.received("")
        self.messages.clear()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        yield sandbox


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Manager]:
    address = str(sandbox.root / "notify")
    if request.param == "abstract":
        address = f"@{sandbox.root.name}"
    sandbox.environ["NOTIFY_SOCKET"] = address
    with ManagerSocket(address) as socket:
        yield Manager(socket)


def test_it_is_ready_when_the_socket_answers_and_says_so_once(sandbox, manager):
    with supervised(sandbox) as process:
        until(lambda: manager.received("READY"))

        assert sandbox.ask("status").returncode == 0
        assert manager.received("READY") == ["1"]
        assert manager.received("MAINPID") == [str(process.pid)]
        assert manager.received("STATUS") == ["3 jobs, 0 running, 0 pending"]
        assert manager.received("WATCHDOG") == []


def test_a_service_that_cannot_start_is_never_ready(sandbox, manager):
    sandbox.config.write_text("jobs: {}\n")

    sandbox.refuses("start")

    assert manager.received("READY") == []


@pytest.mark.parametrize("text", [JOBS + "  new: {command: ['true']}\n", "jobs: {}\n"])
def test_a_reload_begins_and_ends_also_when_it_is_refused(sandbox, manager, text):
    with supervised(sandbox):
        until(lambda: manager.received("READY"))
        manager.forget()
        sandbox.config.write_text(text)
        sandbox.ask("reload")

        until(lambda: manager.received("READY"))
        assert manager.received("RELOADING") == ["1"]
        assert int(manager.received("MONOTONIC_USEC")[0]) > 0


def test_stopping_is_said_before_the_grace_begins(sandbox, manager):
    with supervised(sandbox, "--shutdown-grace", "60s") as process:
        sandbox.says("run", "deaf")
        until(lambda: "up" in sandbox.ask("logs", "deaf").stdout)
        process.send_signal(signal.SIGTERM)

        until(lambda: manager.received("STOPPING"))
        assert manager.received("STATUS")[-1] == "stopping: 3 jobs, 1 running, 0 pending"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert manager.received("STOPPING") == ["1"]


def test_a_drain_is_no_stop_until_it_is_over(sandbox, manager):
    with supervised(sandbox) as process:
        sandbox.says("run", "sleeper")
        stopping = sandbox.begin("stop", "--drain", "1h")
        until(lambda: sandbox.json("status")["runs"][0]["state"] == "running")

        assert manager.received("STOPPING") == []
        process.send_signal(signal.SIGTERM)
        until(lambda: manager.received("STOPPING"))
        assert process.wait(10) == 0
        stopping.communicate(timeout=10)


def test_a_stopped_loop_sends_no_watchdog_message(sandbox, manager):
    sandbox.environ["WATCHDOG_USEC"] = "600000"  # one message each 0.2 s
    with supervised(sandbox) as process:
        until(lambda: len(manager.received("WATCHDOG")) > 3)

        process.send_signal(signal.SIGSTOP)
        until(lambda: _state(process.pid) == "T")
        manager.forget()
        assert manager.socket.is_silent_for(1.2)
        process.send_signal(signal.SIGCONT)
        until(lambda: manager.received("WATCHDOG"))


def test_jobs_cannot_send_messages_in_its_name(sandbox, manager):
    sandbox.environ |= {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    with supervised(sandbox):
        sandbox.says("run", "variables", "--wait")

        assert sandbox.says("logs", "variables").strip().endswith("none of them")


def test_an_invalid_notify_socket_is_logged_and_ignored(sandbox):
    sandbox.environ["NOTIFY_SOCKET"] = str(sandbox.root / "nobody")
    with supervised(sandbox):
        log = sandbox.root / "log"

        until(lambda: "No such file" in log.read_text())
        assert log.read_text().count("the service manager was not notified") == 1


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(") ")[2][0]
