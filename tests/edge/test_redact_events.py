"""Messages of jobs are masked when received, so that no row and no answer holds a secret."""

import pytest

from supervisor.core import events as ev
from supervisor.redaction.mask import make_mask
from supervisor.redaction.redact_events import redact_event
from tests.edge.fixtures_keepers import at
from workers import protocol

mask = make_mask(["hunter22"])


@pytest.mark.parametrize(
    "message",
    [
        protocol.Failed("login with hunter22 failed", permanent=True),
        protocol.Log("info", "password hunter22"),
        protocol.Garbage("a line that is not JSON: hunter22"),
        protocol.Done({"dsn": "postgres://u:hunter22@db", "rows": 3}),
        protocol.Failed("connect postgres://u:geheim@db: refused", permanent=False),
    ],
    ids=lambda message: type(message).__name__,
)
def test_whatever_a_worker_says_is_masked(message):
    received = redact_event(ev.MessageReceived(at(), 1, 1, message), mask)

    assert "***" in str(received)
    assert "hunter22" not in str(received)
    assert "geheim" not in str(received)


@pytest.mark.parametrize(
    "event",
    [
        ev.LaunchFailed(at(), 1, 1, "no such file: hunter22"),
        ev.TreeEmpty(at(), 1, 1, strays=("7 curl -u root:hunter22", "8 sleep 600")),
    ],
    ids=["a launch", "strays"],
)
def test_what_the_system_says_about_a_run_is_masked(event):
    received = redact_event(event, mask)

    assert "***" in str(received)
    assert "hunter22" not in str(received)


@pytest.mark.parametrize(
    "message",
    [
        protocol.Done({"rows": 3, "ratio": 0.5, "verified": True, "note": None}),
        protocol.Progress(1, 2, "rows"),
        protocol.Metric("rows", 7),
        protocol.Started(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_holds_no_secret_comes_through_as_it_is(message):
    said = ev.MessageReceived(at(), 1, 1, message)

    assert redact_event(said, mask) == said
