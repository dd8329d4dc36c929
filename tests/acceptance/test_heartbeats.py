"""A beat says what happened: none tells of a start that the ledger forbade."""

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
    sandbox: Sandbox, hook: Webhook, spoil: Callable[[], None], fix: Callable[[], None]
) -> None:
    sandbox.config.write_text(JOBS)
    sandbox.environ["HOOK"] = hook.url
    clock = Clock(sandbox, "2026-02-09 01:59:01")
    with supervised(sandbox) as supervisor:
        spoil()
        clock.set("2026-02-09 01:59:59.8")
        supervisor.send_signal(signal.SIGCHLD)  # it looks at the clock, and does no more
        until(lambda: waits_for_the_ledger(sandbox))
        # Whatever that minute had to tell has been reported when its own beat has come.
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
    def spoil() -> None:
        # Not through the service: the launch is to be the first thing it cannot write.
        (small_disk.state / "ballast").unlink()
        fill(small_disk.state)

    no_start_is_reported_before_there_is_one(
        small_disk, hook, spoil, (small_disk.state / "filler").unlink
    )


def test_a_launch_that_a_locked_ledger_forbade_has_no_start(hook: Webhook) -> None:
    with Sandbox(JOBS) as sandbox, contextlib.ExitStack() as stack:
        other: list[sqlite3.Connection] = []

        def spoil() -> None:
            path = sandbox.state / "ledger.sqlite3"
            ledger = sqlite3.connect(path, isolation_level=None)
            other.append(stack.enter_context(contextlib.closing(ledger)))
            ledger.execute("BEGIN IMMEDIATE")

        no_start_is_reported_before_there_is_one(
            sandbox, hook, spoil, lambda: other[0].execute("ROLLBACK") and None
        )
