"""Alerts of the real service, sent to a real server that stands in for Slack."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.ledger_reader import rows
from tests.waiting import until
from tests.webhook import Webhook, nobody

JOBS = """
timezone: UTC
shutdown_grace: 10s
notify: {slack: "${HOOK}"}
jobs:
  flaky: {command: 'echo reading $MAILBOX_PASSWORD; test -e healthy'}
  talker: {worker: "talker:work"}
  steady: {command: ["true"], heartbeat: "${HOOK}/steady"}
  shaky: {command: "exit 3", heartbeat: "${HOOK}/shaky"}
"""
TALKER = """
import os
def work(params, report):
    report.log("my password is " + os.environ["MAILBOX_PASSWORD"])
    report.fail("login with " + os.environ["MAILBOX_PASSWORD"] + " failed")
"""
PASSWORD = "hunter22"
# The first retry of a delivery comes after five seconds.
RETRIED_WITHIN_S = 15.0


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture
def sandbox(hook: Webhook) -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        sandbox.environ |= {"HOOK": hook.url, "MAILBOX_PASSWORD": PASSWORD}
        Path(sandbox.root, "talker.py").write_text(TALKER)
        yield sandbox


def reported(hook: Webhook) -> list[str]:
    """Return the single line of each alert that was posted."""
    return [call.json()["text"] for call in hook.calls if call.path.endswith("sesame")]


def waits(sandbox: Sandbox) -> int:
    """Return how many alerts wait to be delivered."""
    return int(raw_client.status(sandbox)["alerts"]["waiting"])


def run(sandbox: Sandbox, job: str) -> None:
    """Run a job and wait until it has ended, with any result."""
    sandbox.ask("run", job, "--wait")


def test_one_alert_and_one_recovery_however_often_it_failed(
    sandbox: Sandbox, hook: Webhook
) -> None:
    with supervised(sandbox):
        for _ in range(3):
            run(sandbox, "flaky")
        until(lambda: len(reported(hook)) == 1)
        Path(sandbox.root, "healthy").touch()
        for _ in range(2):
            run(sandbox, "flaky")
        until(lambda: len(reported(hook)) == 2 and waits(sandbox) == 0)

    opened, recovered = reported(hook)
    assert opened == "🔴 flaky failed: exit status 1"
    assert recovered.startswith("🟢 over after ")
    assert recovered.endswith("flaky failed, 3 times")
    delivered = "SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL"
    assert rows(sandbox, delivered) == [(2,)]


def test_a_job_that_fails_by_turns_is_one_incident_with_one_alert(
    sandbox: Sandbox, hook: Webhook
) -> None:
    healthy = Path(sandbox.root, "healthy")
    with supervised(sandbox) as first:
        for _ in range(3):
            run(sandbox, "flaky")
            healthy.touch()
            run(sandbox, "flaky")
            healthy.unlink()
        until(lambda: len(reported(hook)) == 1 and waits(sandbox) == 0)
        listed = sandbox.says("incidents")
        first.kill()
    with supervised(sandbox):
        run(sandbox, "flaky")
        sandbox.says("incidents", "ack", "1", "--for", "3d")
        healthy.touch()
        for _ in range(2):
            run(sandbox, "flaky")
        healthy.unlink()
        run(sandbox, "flaky")
        sandbox.says("notify", "--test")

    assert "recovers" in listed
    assert rows(sandbox, "SELECT id, count FROM incidents") == [(1, 4), (2, 1)]
    alerts = [text for text in reported(hook) if "flaky" in text]
    assert [text.split()[0] for text in alerts] == ["🔴", "🟢"]


def test_a_channel_that_is_down_delays_an_alert_and_loses_none(
    sandbox: Sandbox, hook: Webhook
) -> None:
    hook.answers(500).always(500)
    with supervised(sandbox):
        run(sandbox, "flaky")
        until(lambda: "answered 500" in raw_client.status(sandbox)["alerts"]["error"])
        shown, listed = sandbox.says("status"), sandbox.says("incidents")
        hook.always(200)
        posted = len(hook.calls)
        until(lambda: waits(sandbox) == 0, within_s=RETRIED_WITHIN_S)

    assert "1 alert not delivered: 127.0.0.1 answered 500" in shown
    assert "1 wait" in listed
    assert len(hook.calls) == posted + 1


def test_what_was_delivered_is_not_sent_again_after_a_kill(
    sandbox: Sandbox, hook: Webhook
) -> None:
    with supervised(sandbox) as first:
        run(sandbox, "flaky")
        until(lambda: reported(hook) and waits(sandbox) == 0)
        first.kill()
    with supervised(sandbox):
        run(sandbox, "flaky")
        sandbox.says("notify", "--test")

    assert [text for text in reported(hook) if "flaky" in text] == [
        "🔴 flaky failed: exit status 1"
    ]


def test_what_was_not_answered_before_a_kill_is_sent_by_the_next(
    sandbox: Sandbox, hook: Webhook
) -> None:
    hook.reacts(swallows=True)
    with supervised(sandbox) as first:
        run(sandbox, "flaky")
        until(lambda: hook.calls)
        first.kill()
    with supervised(sandbox):
        until(lambda: len(reported(hook)) == 2 and waits(sandbox) == 0)

    assert set(reported(hook)) == {"🔴 flaky failed: exit status 1"}


def test_many_kills_while_the_channel_is_down_lose_and_double_nothing(
    sandbox: Sandbox, hook: Webhook
) -> None:
    hook.always(503)
    for job in ("flaky", "talker", "shaky"):
        with supervised(sandbox) as supervisor:
            run(sandbox, job)
            supervisor.kill()
    posted = len(reported(hook))
    hook.always(200)
    with supervised(sandbox):
        until(lambda: waits(sandbox) == 0, within_s=60)

    arrived = reported(hook)[posted:]
    assert [text.split()[1] for text in arrived] == ["flaky", "talker", "shaky"]


def test_a_stop_lets_the_last_alert_arrive(sandbox: Sandbox, hook: Webhook) -> None:
    with supervised(sandbox) as supervisor:
        number = sandbox.json("run", "flaky")["run"]["id"]
        until(lambda: raw_client.run(sandbox, number)["state"] == "failed")
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(12) == 0

    assert reported(hook) == ["🔴 flaky failed: exit status 1"]


def test_a_stop_is_not_kept_by_a_server_that_swallows(sandbox: Sandbox, hook: Webhook) -> None:
    sandbox.config.write_text(JOBS.replace("shutdown_grace: 10s", "shutdown_grace: 500ms"))
    hook.reacts(swallows=True)
    with supervised(sandbox) as supervisor:
        run(sandbox, "flaky")
        until(lambda: hook.calls)
        supervisor.send_signal(signal.SIGTERM)

        # One delivery may take twenty seconds.
        assert supervisor.wait(10) == 0

    assert rows(sandbox, "SELECT count(*) FROM outbox WHERE delivered_at IS NULL") == [(1,)]


def test_a_local_run_ends_after_its_alert(sandbox: Sandbox, hook: Webhook) -> None:
    done = sandbox.ask("run", "flaky", "--local")

    assert done.returncode == 1
    assert reported(hook) == ["🔴 flaky failed: exit status 1"]


def test_a_local_run_is_not_kept_by_a_channel_that_is_down(sandbox: Sandbox) -> None:
    sandbox.environ["HOOK"] = nobody()

    done = sandbox.ask("run", "flaky", "--local")

    assert done.returncode == 1
    assert rows(sandbox, "SELECT attempts FROM outbox WHERE delivered_at IS NULL") == [(1,)]


def test_secrets_leave_by_no_way(sandbox: Sandbox, hook: Webhook) -> None:
    with supervised(sandbox):
        for job in ("flaky", "talker"):
            run(sandbox, job)
        until(lambda: len(reported(hook)) == 2)
        answers = [
            sandbox.says(*words, "--json") for words in (("status",), ("incidents",), ("history",))
        ]
        logs = sandbox.says("logs", "flaky") + sandbox.says("logs", "talker")
    with sqlite3.connect(sandbox.state / "ledger.sqlite3") as ledger:
        rows_of_all = "\n".join(ledger.iterdump())
    log = (sandbox.root / "log").read_text()

    posted = "\n".join(call.body for call in hook.calls)
    for text in (posted, *answers, logs, rows_of_all, log):
        assert PASSWORD not in text
        assert "sesame" not in text
    assert "login with *** failed" in posted
    assert "reading ***" in posted


# --- the test alert -----------------------------------------------------------------


def test_a_test_alert_arrives(sandbox: Sandbox, hook: Webhook) -> None:
    with supervised(sandbox):
        assert sandbox.says("notify", "--test") == "the test alert has arrived\n"
        assert sandbox.json("notify", "--test") == {"delivered": "slack"}

    assert ["test alert" in text for text in reported(hook)] == [True, True]


def test_a_test_alert_that_fails_says_why_and_exits_1(sandbox: Sandbox, hook: Webhook) -> None:
    hook.answers(404, body=b"no_service")
    with supervised(sandbox):
        status, said = sandbox.refuses("notify", "--test")

    assert status == 1
    assert "the test alert did not arrive: 127.0.0.1 answered 404: no_service" in said
    assert "sesame" not in said


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [(("notify", "--test"), 1, "no channel is configured"), (("notify",), 2, "--test")],
    ids=["no channel", "no word"],
)
def test_what_cannot_be_tested_says_so(words, status, complaint) -> None:
    with Sandbox("jobs: {a: {command: 'true'}}") as sandbox, supervised(sandbox):
        found = sandbox.refuses(*words)

    assert found[0] == status
    assert complaint in found[1]


def test_a_test_alert_that_arrives_brings_what_waits(sandbox: Sandbox, hook: Webhook) -> None:
    hook.answers(410, body=b"channel_is_archived")
    with supervised(sandbox):
        run(sandbox, "flaky")
        until(lambda: raw_client.status(sandbox)["alerts"]["error"])
        before = waits(sandbox)
        sandbox.says("notify", "--test")
        until(lambda: waits(sandbox) == 0)

    assert before == 1
    assert len(reported(hook)) == 3


# --- heartbeats ---------------------------------------------------------------------


def beats(hook: Webhook) -> list[str]:
    return [path.removeprefix("sesame/") for path in hook.paths() if path != "sesame"]


def test_runs_beat_at_their_start_and_at_their_end(sandbox: Sandbox, hook: Webhook) -> None:
    with supervised(sandbox):
        for job in ("steady", "shaky"):
            run(sandbox, job)
            until(lambda job=job: [beat.startswith(job) for beat in beats(hook)].count(True) == 2)

    assert beats(hook) == ["steady/start", "steady", "shaky/start", "shaky/fail"]
    [failure] = [call for call in hook.calls if call.path.endswith("shaky/fail")]
    assert (failure.method, failure.body) == ("POST", "exit status 3")


def test_a_local_run_beats_too(sandbox: Sandbox, hook: Webhook) -> None:
    sandbox.says("run", "steady", "--local")

    assert beats(hook)[-1:] == ["steady"]


def test_the_service_beats_when_it_ticks(hook: Webhook) -> None:
    with Sandbox("heartbeat: ${HOOK}/self\njobs: {a: {command: 'true'}}") as sandbox:
        sandbox.environ["HOOK"] = hook.url
        clock = Clock(sandbox, "2026-02-09 01:59:01")
        with supervised(sandbox) as supervisor:
            for minute in ("02:00", "02:01"):
                clock.set(f"2026-02-09 {minute}:00")
                supervisor.send_signal(signal.SIGCHLD)
                until(
                    lambda minute=minute: (
                        minute in str(raw_client.status(sandbox)["tick"]["last_at"])
                    )
                )
            until(lambda: len(beats(hook)) == 2)

    assert beats(hook) == ["self", "self"]


def test_a_dead_endpoint_is_counted_and_costs_no_start(sandbox: Sandbox, hook: Webhook) -> None:
    # A 4xx reply is not retried, so it is counted at once.
    hook.always(410)
    with supervised(sandbox):
        for _ in range(3):
            sandbox.says("run", "steady", "--wait")
        until(lambda: raw_client.status(sandbox)["heartbeat_failures"] >= 1)

        assert "failed since the start" in sandbox.says("status")


# --- a full disk --------------------------------------------------------------------


@pytest.mark.root
def test_the_alert_about_a_full_disk_is_not_kept_back_by_it(
    sandbox: Sandbox, hook: Webhook, small_disk: Path
) -> None:
    sandbox.environ["NIGHTSHIFT_STATE_DIR"] = str(small_disk)
    sandbox.state = small_disk
    sandbox.socket = small_disk / "nightshift.sock"
    with supervised(sandbox):
        subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/filler"], capture_output=True)
        (small_disk / "ballast").unlink(missing_ok=True)
        subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/more"], capture_output=True)
        for _ in range(40):
            sandbox.ask("run", "flaky")
            if reported(hook):
                break
        until(lambda: any("ledger" in text for text in reported(hook)), within_s=20)


@pytest.fixture
def small_disk(sandbox: Sandbox) -> Iterator[Path]:
    if os.getuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = sandbox.root / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this kernel or container does not allow mounting a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
