"""Messages to a service manager, as specified by sd_notify(3)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.systemd import NotifySocket, from_environ
from tests.manager_socket import ManagerSocket

PID = os.getpid()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, short_path: Path) -> Iterator[ManagerSocket]:
    address = f"@nightshift-test-{PID}" if request.param == "abstract" else f"{short_path}/n"
    with ManagerSocket(address) as manager:
        yield manager


def test_ready_names_the_main_process_once(manager):
    line = NotifySocket(manager.address)

    line.ready("3 jobs", 0.0)
    line.ready("3 jobs", 1.0)

    assert manager.received() == [
        {"READY": "1", "MAINPID": str(PID), "STATUS": "3 jobs"},
        {"READY": "1"},
    ]


def test_a_reload_has_a_beginning_and_an_end(manager):
    line = NotifySocket(manager.address)

    line.reloading(12.5)
    line.ready("4 jobs", 13.0)

    beginning, end = manager.received()
    assert beginning == {"RELOADING": "1", "MONOTONIC_USEC": "12500000"}
    assert (end["READY"], end["STATUS"]) == ("1", "4 jobs")


def test_after_stopping_nothing_is_ready_or_reloading_any_more(manager):
    line = NotifySocket(manager.address)
    line.stopping("stopping", 0.0)
    line.stopping("stopping", 1.0)
    line.reloading(2.0)
    line.ready("3 jobs", 3.0)

    assert manager.received() == [{"STOPPING": "1", "STATUS": "stopping"}]


def test_a_status_is_one_line_and_said_once(manager):
    line = NotifySocket(manager.address)

    line.status("a\nREADY=1", 0.0)
    line.status("a READY=1", 1.0)

    assert manager.received() == [{"STATUS": "a READY=1"}]


def test_watchdog_messages_come_within_half_the_period(manager):
    line = NotifySocket(manager.address, watchdog_s=6.0)
    line.ready("", 100.0)
    manager.received()
    at = line.next_instant()

    assert at is not None
    assert 100.0 < at < 103.0
    line.send_due(at - 0.1)
    assert manager.received() == []
    line.send_due(at)
    assert manager.received() == [{"WATCHDOG": "1"}]
    assert line.next_instant() > at


def test_before_it_is_ready_no_watchdog_message_is_sent(manager):
    line = NotifySocket(manager.address, watchdog_s=6.0)

    line.status("starting", 0.0)

    assert manager.received() == [{"STATUS": "starting"}]
    assert line.next_instant() is None


def test_without_a_watchdog_nothing_wakes_the_loop(manager):
    line = NotifySocket(manager.address)

    line.ready("3 jobs", 0.0)

    assert line.next_instant() is None


def test_without_a_manager_nothing_is_said_or_due():
    line = NotifySocket("", watchdog_s=6.0)

    line.ready("3 jobs", 0.0)
    line.send_due(1.0)

    assert (line.next_instant(), line.error) == (None, "")


@pytest.mark.parametrize("watchdog_s", [None, 60.0])
def test_a_message_that_would_block_is_sent_later(manager, watchdog_s):
    line = NotifySocket(manager.address, watchdog_s)
    full = 0
    while not line.next_instant() or line.next_instant() > full + 1.0:
        full += 1
        assert full < 10_000
        line.ready(f"{full}", full)
    again = line.next_instant()
    manager.received()

    line.send_due(again + 1)

    (said,) = manager.received()
    assert (said["READY"], said["STATUS"]) == ("1", str(full))
    assert full < again <= full + 1.0


def test_a_missing_manager_loses_messages_without_an_exception(short_path):
    line = NotifySocket(f"{short_path}/nobody", watchdog_s=6.0)

    line.ready("3 jobs", 0.0)

    assert line.error == f"$NOTIFY_SOCKET {short_path}/nobody: No such file or directory"
    assert line.next_instant() == 2.0


def test_what_was_read_is_taken_out_of_the_environment(manager):
    environ = {
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(PID),
        "PATH": "/bin",
    }

    line = from_environ(environ, PID)
    line.ready("", 0.0)

    assert environ == {"PATH": "/bin"}
    assert manager.received()[0]["WATCHDOG"] == "1"
    assert line.next_instant() == 1.0


def test_a_watchdog_of_another_process_is_ignored(manager):
    environ = {
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(PID + 1),
    }

    line = from_environ(environ, PID)
    line.ready("", 0.0)

    assert "WATCHDOG" not in manager.received()[0]
    assert line.next_instant() is None


@pytest.mark.parametrize("text", ["0", "-5", "soon", "1.5", "٣", "9" * 40])
def test_a_period_that_is_none_is_named_and_not_heeded(manager, text):
    line = from_environ({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": text}, PID)

    assert "expected microseconds above 0" in line.error
    line.ready("", 0.0)
    assert line.next_instant() is None
    assert "WATCHDOG" not in manager.received()[0]


@pytest.mark.parametrize("address", ["relative", "vsock:2:1234", "/" + "x" * 200])
def test_an_address_that_is_none_is_named_and_not_heeded(address):
    line = from_environ({"NOTIFY_SOCKET": address}, PID)

    assert "expected an absolute path or @name" in line.error
    line.ready("", 0.0)
    assert line.next_instant() is None
