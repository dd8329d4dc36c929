"""docs/first-five-minutes.md, in an empty home without a configuration."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import LIMIT_S, Sandbox
from tests.acceptance.doc_pages import blocks, install, typed
from tests.waiting import until
from tests.webhook import Webhook

PAGE = "docs/first-five-minutes.md"
OWN_JOB, BACKUP, ALERT = (block.splitlines() for block in blocks(PAGE, "sh"))


@pytest.fixture
def home() -> Iterator[Sandbox]:
    """Return an empty folder that is the home, in an otherwise empty environment."""
    with Sandbox() as sandbox:
        if os.geteuid() != 0:  # root's state folder is the machine's: /var/lib/nightshift
            del sandbox.environ["NIGHTSHIFT_STATE_DIR"]
            sandbox.state = sandbox.root / ".local" / "state" / "nightshift"
            sandbox.socket = sandbox.state / "nightshift.sock"
        yield sandbox


@contextmanager
def in_a_terminal(home: Sandbox, command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command that stays in its terminal until it answers, and end it afterwards."""
    install(home)
    path = f"{home.root / 'bin'}:{home.environ['PATH']}"
    service = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command}"],
        cwd=home.root,
        env={**home.environ, "PATH": path},
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: raw_client.is_healthy(home), within_s=LIMIT_S)
        yield service
    finally:
        service.terminate()
        service.wait(LIMIT_S)


def test_each_chapter_takes_three_commands_at_most() -> None:
    assert [len(way) for way in (OWN_JOB, BACKUP, ALERT)] == [3, 3, 3]


@pytest.mark.parametrize("init", [OWN_JOB[0], "nightshift init"])
def test_a_job_runs_in_the_minute_after_the_start(home: Sandbox, init: str) -> None:
    clock = Clock(home, "2026-02-09 01:59:00")
    said = typed(home, [init])

    with in_a_terminal(home, OWN_JOB[1]) as service:
        clock.set("2026-02-09 01:59:59")
        service.send_signal(signal.SIGHUP)  # makes it read the clock
        until(lambda: home.json("history", "--state", "success")["runs"], within_s=LIMIT_S)
        (run, *_) = home.json("history")["runs"]
        shown = typed(home, [OWN_JOB[2]])

    assert [line.split()[1] for line in said.splitlines()[1:]] == ["start", "status", "web"]
    assert (run["trigger"], run["slot"]) == ("schedule", "2026-02-09T02:00:00Z")
    assert "success" in shown
    if init == OWN_JOB[0]:
        assert len((home.root / "dates.txt").read_text().splitlines()) >= 1


def test_the_job_of_the_page_is_the_one_that_is_written(home: Sandbox) -> None:
    (shown,) = blocks(PAGE, "yaml")

    typed(home, [OWN_JOB[0]])

    assert home.config.read_text().endswith(shown)


def test_a_database_has_a_verified_copy_after_three_commands(home: Sandbox) -> None:
    with closing(sqlite3.connect(home.root / "shop.sqlite3")) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        shop.execute("INSERT INTO orders VALUES (1)")
        shop.commit()

    listed = typed(home, BACKUP)

    (copy,) = (home.root / "backups").glob("shop-*.gz")
    assert copy.name in listed
    assert "verified" in listed.splitlines()[-1]


def test_a_test_alert_arrives_in_a_channel_of_ones_own(home: Sandbox) -> None:
    with Webhook() as hook:
        home.environ["URL"] = hook.url
        typed(home, [ALERT[0]])
        with in_a_terminal(home, ALERT[1]):
            said = typed(home, [ALERT[2]])

    assert "the test alert has arrived" in said
    assert len(hook.bodies()) == 1
    assert home.config.stat().st_mode & 0o777 == 0o600
