"""Messages to the service manager, turn by turn, without repetition."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from supervisor.core.config_model import Config
from supervisor.core.events import At
from supervisor.core.model import replace
from supervisor.core.state import SchedulerState, ServicePhase
from supervisor.log import ServiceLog
from supervisor.systemd import NotifySocket, SystemdNotifier
from tests.manager_socket import ManagerSocket

MINUTE = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
NEXT = datetime(2026, 1, 5, 2, 1, tzinfo=UTC)
SCHEDULER = SchedulerState(Config(()))


def at(mono: float) -> At:
    return At(MINUTE, mono, 0.5)


@pytest.fixture
def manager(short_path: Path) -> Iterator[ManagerSocket]:
    with ManagerSocket(f"{short_path}/n") as manager:
        yield manager


@pytest.fixture
def notifier(manager: ManagerSocket) -> SystemdNotifier:
    notifier = SystemdNotifier(NotifySocket(manager.address), ServiceLog("info", False))
    notifier.begin(SCHEDULER, 0.0)
    notifier.update(SCHEDULER, False, MINUTE, at(0.0))
    manager.received()
    return notifier


def test_turns_without_a_change_send_nothing(notifier, manager):
    notifier.update(SCHEDULER, False, MINUTE, at(1.0))
    notifier.update(SCHEDULER, False, NEXT, at(2.0))

    assert manager.received() == []


def test_the_status_changes_with_the_minute_and_not_with_each_run(notifier, manager):
    broken = replace(SCHEDULER, ledger_error="disk full")

    notifier.update(broken, False, MINUTE, at(1.0))
    assert manager.received() == []

    notifier.update(broken, False, NEXT, at(2.0))
    assert manager.received() == [
        {"STATUS": "0 jobs, 0 running, 0 pending, the ledger cannot be written"}
    ]


def test_a_reading_is_a_reload_until_it_is_over(notifier, manager):
    notifier.update(SCHEDULER, True, MINUTE, at(1.0))
    notifier.update(SCHEDULER, True, MINUTE, at(2.0))
    notifier.update(SCHEDULER, False, MINUTE, at(3.0))

    assert [set(said) for said in manager.received()] == [
        {"RELOADING", "MONOTONIC_USEC"},
        {"READY"},
    ]


def test_after_a_stop_no_other_message_is_sent(notifier, manager):
    stopping = replace(SCHEDULER, life=ServicePhase.STOPPING)

    notifier.update(stopping, True, NEXT, at(1.0))
    notifier.update(stopping, False, NEXT, at(2.0))

    (said,) = manager.received()
    assert said["STOPPING"] == "1"


def test_a_problem_is_logged_once_until_there_is_another(tmp_path):
    with open(tmp_path / "log", "w+") as file:
        log = ServiceLog("info", False, file.fileno())
        notifier = SystemdNotifier(NotifySocket(f"{tmp_path}/nobody"), log)
        notifier.begin(SCHEDULER, 0.0)

        notifier.update(SCHEDULER, False, MINUTE, at(0.0))
        notifier.update(replace(SCHEDULER, ledger_error="x"), False, NEXT, at(60.0))
        log.close()
        lines = (tmp_path / "log").read_text().splitlines()

    assert len(lines) == 1
    assert "the service manager was not notified: $NOTIFY_SOCKET" in lines[0]
