"""What is told of a world, turn by turn, and what is not told twice."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from supervisor.core.model import Config, replace
from supervisor.core.world import Life, World
from supervisor.herald import Herald
from supervisor.notify_socket import NotifySocket
from tests.manager_socket import ManagerSocket

MINUTE = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
NEXT = datetime(2026, 1, 5, 2, 1, tzinfo=UTC)
WORLD = World(Config(()))


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ManagerSocket]:
    with ManagerSocket(f"{tmp_path}/n") as manager:
        yield manager


@pytest.fixture
def herald(manager: ManagerSocket) -> Herald:
    herald = Herald(NotifySocket(manager.address))
    herald.begin(WORLD, 0.0)
    herald.look(WORLD, False, MINUTE, 0.0)
    manager.heard()
    return herald


def test_turns_in_which_nothing_becomes_of_the_world_are_silent(herald, manager):
    herald.look(WORLD, False, MINUTE, 1.0)
    herald.look(WORLD, False, NEXT, 2.0)

    assert manager.heard() == []


def test_the_status_changes_with_the_minute_and_not_with_each_run(herald, manager):
    broken = replace(WORLD, ledger_trouble="disk full")

    herald.look(broken, False, MINUTE, 1.0)
    assert manager.heard() == []

    herald.look(broken, False, NEXT, 2.0)
    assert manager.heard() == [
        {"STATUS": "0 jobs, 0 running, 0 pending, the ledger cannot be written"}
    ]


def test_a_reading_is_a_reload_until_it_is_over(herald, manager):
    herald.look(WORLD, True, MINUTE, 1.0)
    herald.look(WORLD, True, MINUTE, 2.0)
    herald.look(WORLD, False, MINUTE, 3.0)

    assert [set(said) for said in manager.heard()] == [
        {"RELOADING", "MONOTONIC_USEC"},
        {"READY"},
    ]


def test_a_stop_ends_all_other_talk(herald, manager):
    stopping = replace(WORLD, life=Life.STOPPING)

    herald.look(stopping, True, NEXT, 1.0)
    herald.look(stopping, False, NEXT, 2.0)

    (said,) = manager.heard()
    assert said["STOPPING"] == "1"


def test_trouble_is_said_once_until_there_is_another(tmp_path):
    herald = Herald(NotifySocket(f"{tmp_path}/nobody"))
    herald.begin(WORLD, 0.0)

    first = herald.look(WORLD, False, MINUTE, 0.0)
    second = herald.look(replace(WORLD, ledger_trouble="x"), False, NEXT, 60.0)

    assert first.endswith("No such file or directory")
    assert second == ""
