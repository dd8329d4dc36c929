"""Fixtures for the ledger: one on a real disk, and rows to write into it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.alert_model import Alert
from supervisor.core.config_model import Severity
from supervisor.core.model import Run, State, Trigger, replace
from supervisor.ledger.store import Store

AT = datetime(2026, 2, 9, 2, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield an open, empty ledger."""
    opened = Store(tmp_path)
    yield opened
    opened.close()


def run(number: int, **changes: Any) -> Run:
    """Return a successful run of the slot `number` minutes after `AT`."""
    due = AT + timedelta(minutes=number)
    made = Run(number, "sync", due, Trigger.SCHEDULE, State.SUCCESS, slot=due)
    return replace(made, **changes)


def alert(number: int, **changes: Any) -> Alert:
    """Return an undelivered alert about incident 1."""
    made = Alert(number, 1, "opened", Severity.ERROR, "sync", "exit", "exit status 1", 1, 3, AT)
    return replace(made, **changes)
