"""A stage for the ledger: one on a real disk, and rows to be written into it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.alert_model import Alert
from supervisor.core.model import Run, Severity, State, Trigger, replace
from supervisor.ledger.store import Store

AT = datetime(2026, 2, 9, 2, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open ledger that holds nothing."""
    opened = Store(tmp_path)
    yield opened
    opened.close()


def run(number: int, **changes: Any) -> Run:
    """A successful run of the slot so many minutes after `AT`."""
    due = AT + timedelta(minutes=number)
    made = Run(number, "sync", due, Trigger.SCHEDULE, State.SUCCESS, slot=due)
    return replace(made, **changes)


def alert(number: int, **changes: Any) -> Alert:
    """An alert about incident 1 that waits to be delivered."""
    made = Alert(number, 1, "opened", Severity.ERROR, "sync", "exit", "exit status 1", 1, 3, AT)
    return replace(made, **changes)
