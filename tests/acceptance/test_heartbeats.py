"""Heartbeats report only what happened: no start that the ledger prevented."""

import contextlib
import signal
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.test_disk import RECOVERED_WITHIN_S, fill, small_disk
from tests.waiting import until
from tests.webhook import Webhook

__all__ = ["small_disk"]

JOBS = """
heartbeat: ${HOOK}/self
jobs:
  minutely: {command: ["true"], cron: "* * * * *", heartbeat: "${HOOK}/minutely"}
"""


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


def beats(hook: Webhook) -> list[str]:
    return [path.removeprefix("sesame/") for path in hook.paths()]


def no_start_is_reported_before_there_is_one(
    sandbox: Sandbox, hook: Webhook, break_ledger: Callable[[], None], fix: Callable[[], None]
) -> None:
    sandbox.config.write_text(JOBS)
    sandbox.environ["HOOK"] = hook.url
    clock = Clock(sandbox, "2026-02-09 01:59:01")
    with supervised(sandbox) as supervisor:
        break_ledger()
        clock.set("2026-02-09 01:59:59.8")
        supervisor.send_signal(signal.SIGCHLD)  # makes it read the clock and does nothing else
        until(lambda: waits_for_the_ledger(sandbox))
        # Once the heartbeat of that minute has arrived, all its reports have.
        until(lambda: "self" in beats(hook))
        reported = beats(hook)
        fix()
        until(lambda: beats(hook)[-1:] == ["minutely"], within_s=RECOVERED_WITHIN_S)

    assert reported == ["self"]
    assert beats(hook) == ["self", "minutely/start", "minutely"]


def waits_for_the_ledger(sandbox: Sandbox) -> bool:
    causes = [run["cause"] for run in raw_client.status(sandbox)["runs"]]
    return any(cause.startswith("waits for the ledger") for cause in causes)


@pytest.mark.root
def test_a_launch_that_a_full_disk_forbade_has_no_start(
    small_disk: Sandbox, hook: Webhook
) -> None:
    def break_ledger() -> None:
        # Not through the service: the launch must be the first write that fails.
        (small_disk.state / "ballast").unlink()
        fill(small_disk.state)

    no_start_is_reported_before_there_is_one(
        small_disk, hook, break_ledger, (small_disk.state / "filler").unlink
    )


def test_a_launch_that_a_locked_ledger_forbade_has_no_start(hook: Webhook) -> None:
    with Sandbox(JOBS) as sandbox, contextlib.ExitStack() as stack:
        other: list[sqlite3.Connection] = []

        def break_ledger() -> None:
            path = sandbox.state / "ledger.sqlite3"
            ledger = sqlite3.connect(path, isolation_level=None)
            other.append(stack.enter_context(contextlib.closing(ledger)))
            ledger.execute("BEGIN IMMEDIATE")

        no_start_is_reported_before_there_is_one(
            sandbox, hook, break_ledger, lambda: other[0].execute("ROLLBACK") and None
        )
