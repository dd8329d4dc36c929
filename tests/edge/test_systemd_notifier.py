"""What is told of a world, turn by turn, and what is not told twice."""

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
WORLD = SchedulerState(Config(()))


def at(mono: float) -> At:
    return At(MINUTE, mono, 0.5)


@pytest.fixture
def manager(short_path: Path) -> Iterator[ManagerSocket]:
    with ManagerSocket(f"{short_path}/n") as manager:
        yield manager


@pytest.fixture
def herald(manager: ManagerSocket) -> SystemdNotifier:
    herald = SystemdNotifier(NotifySocket(manager.address), ServiceLog("info", False))
    herald.begin(WORLD, 0.0)
    herald.update(WORLD, False, MINUTE, at(0.0))
    manager.heard()
    return herald


def test_turns_in_which_nothing_becomes_of_the_world_are_silent(herald, manager):
    herald.update(WORLD, False, MINUTE, at(1.0))
    herald.update(WORLD, False, NEXT, at(2.0))

    assert manager.heard() == []


def test_the_status_changes_with_the_minute_and_not_with_each_run(herald, manager):
    broken = replace(WORLD, ledger_error="disk full")

    herald.update(broken, False, MINUTE, at(1.0))
    assert manager.heard() == []

    herald.update(broken, False, NEXT, at(2.0))
    assert manager.heard() == [
        {"STATUS": "0 jobs, 0 running, 0 pending, the ledger cannot be written"}
    ]


def test_a_reading_is_a_reload_until_it_is_over(herald, manager):
    herald.update(WORLD, True, MINUTE, at(1.0))
    herald.update(WORLD, True, MINUTE, at(2.0))
    herald.update(WORLD, False, MINUTE, at(3.0))

    assert [set(said) for said in manager.heard()] == [
        {"RELOADING", "MONOTONIC_USEC"},
        {"READY"},
    ]


def test_a_stop_ends_all_other_talk(herald, manager):
    stopping = replace(WORLD, life=ServicePhase.STOPPING)

    herald.update(stopping, True, NEXT, at(1.0))
    herald.update(stopping, False, NEXT, at(2.0))

    (said,) = manager.heard()
    assert said["STOPPING"] == "1"


def test_trouble_is_logged_once_until_there_is_another(tmp_path):
    with open(tmp_path / "log", "w+") as file:
        log = ServiceLog("info", False, file.fileno())
        herald = SystemdNotifier(NotifySocket(f"{tmp_path}/nobody"), log)
        herald.begin(WORLD, 0.0)

        herald.update(WORLD, False, MINUTE, at(0.0))
        herald.update(replace(WORLD, ledger_error="x"), False, NEXT, at(60.0))
        log.close()
        lines = (tmp_path / "log").read_text().splitlines()

    assert len(lines) == 1
    assert "the service manager was not notified: $NOTIFY_SOCKET" in lines[0]
