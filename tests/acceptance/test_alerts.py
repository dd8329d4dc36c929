"""The real service and a real server in Slack's place: one alert, one recovery, none lost."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import line
from tests.acceptance.account import rows
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import House, supervised
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
def house(hook: Webhook) -> Iterator[House]:
    with House(JOBS) as house:
        house.environ |= {"HOOK": hook.url, "MAILBOX_PASSWORD": PASSWORD}
        Path(house.root, "talker.py").write_text(TALKER)
        yield house


def told(hook: Webhook) -> list[str]:
    """The one line of each alert that was posted."""
    return [call.json()["text"] for call in hook.calls if call.path.endswith("sesame")]


def waits(house: House) -> int:
    """How many alerts wait to be delivered."""
    return int(line.status(house)["alerts"]["waiting"])


def run(house: House, job: str) -> None:
    """Run a job to its end, whatever that is."""
    house.ask("run", job, "--wait")


def test_one_alert_and_one_recovery_however_often_it_failed(house: House, hook: Webhook) -> None:
    with supervised(house):
        for _ in range(3):
            run(house, "flaky")
        until(lambda: len(told(hook)) == 1)
        Path(house.root, "healthy").touch()
        for _ in range(2):
            run(house, "flaky")
        until(lambda: len(told(hook)) == 2 and waits(house) == 0)

    opened, recovered = told(hook)
    assert opened == "🔴 flaky failed: exit status 1"
    assert recovered.startswith("🟢 over after ")
    assert recovered.endswith("flaky failed, 3 times")
    delivered = "SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL"
    assert rows(house, delivered) == [(2,)]


def test_a_job_that_fails_by_turns_is_one_incident_with_one_alert(
    house: House, hook: Webhook
) -> None:
    healthy = Path(house.root, "healthy")
    with supervised(house) as first:
        for _ in range(3):
            run(house, "flaky")
            healthy.touch()
            run(house, "flaky")
            healthy.unlink()
        until(lambda: len(told(hook)) == 1 and waits(house) == 0)
        listed = house.says("incidents")
        first.kill()
    with supervised(house):
        run(house, "flaky")
        house.says("incidents", "ack", "1", "--for", "3d")
        healthy.touch()
        for _ in range(2):
            run(house, "flaky")
        healthy.unlink()
        run(house, "flaky")
        house.says("notify", "--test")

    assert "recovers" in listed
    assert rows(house, "SELECT id, count FROM incidents") == [(1, 4), (2, 1)]
    alerts = [text for text in told(hook) if "flaky" in text]
    assert [text.split()[0] for text in alerts] == ["🔴", "🟢"]


def test_a_channel_that_is_down_delays_an_alert_and_loses_none(
    house: House, hook: Webhook
) -> None:
    hook.answers(500).always(500)
    with supervised(house):
        run(house, "flaky")
        until(lambda: "answered 500" in line.status(house)["alerts"]["error"])
        shown, listed = house.says("status"), house.says("incidents")
        hook.always(200)
        posted = len(hook.calls)
        until(lambda: waits(house) == 0, within_s=RETRIED_WITHIN_S)

    assert "1 alert not delivered: 127.0.0.1 answered 500" in shown
    assert "1 wait" in listed
    assert len(hook.calls) == posted + 1


def test_what_was_delivered_is_not_sent_again_after_a_kill(house: House, hook: Webhook) -> None:
    with supervised(house) as first:
        run(house, "flaky")
        until(lambda: told(hook) and waits(house) == 0)
        first.kill()
    with supervised(house):
        run(house, "flaky")
        house.says("notify", "--test")

    assert [text for text in told(hook) if "flaky" in text] == ["🔴 flaky failed: exit status 1"]


def test_what_was_not_answered_before_a_kill_is_sent_by_the_next(
    house: House, hook: Webhook
) -> None:
    hook.reacts(swallows=True)
    with supervised(house) as first:
        run(house, "flaky")
        until(lambda: hook.calls)
        first.kill()
    with supervised(house):
        until(lambda: len(told(hook)) == 2 and waits(house) == 0)

    assert set(told(hook)) == {"🔴 flaky failed: exit status 1"}


def test_many_kills_while_the_channel_is_down_lose_and_double_nothing(
    house: House, hook: Webhook
) -> None:
    hook.always(503)
    for job in ("flaky", "talker", "shaky"):
        with supervised(house) as supervisor:
            run(house, job)
            supervisor.kill()
    posted = len(told(hook))
    hook.always(200)
    with supervised(house):
        until(lambda: waits(house) == 0, within_s=60)

    arrived = told(hook)[posted:]
    assert [text.split()[1] for text in arrived] == ["flaky", "talker", "shaky"]


def test_a_stop_lets_the_last_alert_arrive(house: House, hook: Webhook) -> None:
    with supervised(house) as supervisor:
        number = house.json("run", "flaky")["run"]["id"]
        until(lambda: line.run(house, number)["state"] == "failed")
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(12) == 0

    assert told(hook) == ["🔴 flaky failed: exit status 1"]


def test_a_stop_is_not_kept_by_a_server_that_swallows(house: House, hook: Webhook) -> None:
    house.config.write_text(JOBS.replace("shutdown_grace: 10s", "shutdown_grace: 500ms"))
    hook.reacts(swallows=True)
    with supervised(house) as supervisor:
        run(house, "flaky")
        until(lambda: hook.calls)
        supervisor.send_signal(signal.SIGTERM)

        # The call itself may take twenty seconds.
        assert supervisor.wait(10) == 0

    assert rows(house, "SELECT count(*) FROM outbox WHERE delivered_at IS NULL") == [(1,)]


def test_a_local_run_ends_after_its_alert(house: House, hook: Webhook) -> None:
    done = house.ask("run", "flaky", "--local")

    assert done.returncode == 1
    assert told(hook) == ["🔴 flaky failed: exit status 1"]


def test_a_local_run_is_not_kept_by_a_channel_that_is_down(house: House) -> None:
    house.environ["HOOK"] = nobody()

    done = house.ask("run", "flaky", "--local")

    assert done.returncode == 1
    assert rows(house, "SELECT attempts FROM outbox WHERE delivered_at IS NULL") == [(1,)]


def test_secrets_leave_by_no_way(house: House, hook: Webhook) -> None:
    with supervised(house):
        for job in ("flaky", "talker"):
            run(house, job)
        until(lambda: len(told(hook)) == 2)
        answers = [
            house.says(*words, "--json") for words in (("status",), ("incidents",), ("history",))
        ]
        logs = house.says("logs", "flaky") + house.says("logs", "talker")
    with sqlite3.connect(house.state / "ledger.sqlite3") as ledger:
        rows_of_all = "\n".join(ledger.iterdump())
    log = (house.root / "log").read_text()

    posted = "\n".join(call.body for call in hook.calls)
    for text in (posted, *answers, logs, rows_of_all, log):
        assert PASSWORD not in text
        assert "sesame" not in text
    assert "login with *** failed" in posted
    assert "reading ***" in posted


# --- the test alert -----------------------------------------------------------------


def test_a_test_alert_arrives(house: House, hook: Webhook) -> None:
    with supervised(house):
        assert house.says("notify", "--test") == "the test alert has arrived\n"
        assert house.json("notify", "--test") == {"delivered": "slack"}

    assert all("test alert" in text for text in told(hook))


def test_a_test_alert_that_fails_says_why_and_exits_1(house: House, hook: Webhook) -> None:
    hook.answers(404, body=b"no_service")
    with supervised(house):
        status, said = house.refuses("notify", "--test")

    assert status == 1
    assert "the test alert did not arrive: 127.0.0.1 answered 404: no_service" in said
    assert "sesame" not in said


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [(("notify", "--test"), 1, "no channel is configured"), (("notify",), 2, "--test")],
    ids=["no channel", "no word"],
)
def test_what_cannot_be_tested_says_so(words, status, complaint) -> None:
    with House("jobs: {a: {command: 'true'}}") as house, supervised(house):
        found = house.refuses(*words)

    assert found[0] == status
    assert complaint in found[1]


def test_a_test_alert_that_arrives_brings_what_waits(house: House, hook: Webhook) -> None:
    hook.answers(410, body=b"channel_is_archived")
    with supervised(house):
        run(house, "flaky")
        until(lambda: line.status(house)["alerts"]["error"])
        before = waits(house)
        house.says("notify", "--test")
        until(lambda: waits(house) == 0)

    assert before == 1
    assert len(told(hook)) == 3


# --- heartbeats ---------------------------------------------------------------------


def beats(hook: Webhook) -> list[str]:
    return [path.removeprefix("sesame/") for path in hook.paths() if path != "sesame"]


def test_runs_beat_at_their_start_and_at_their_end(house: House, hook: Webhook) -> None:
    with supervised(house):
        for job in ("steady", "shaky"):
            run(house, job)
            until(lambda job=job: [beat.startswith(job) for beat in beats(hook)].count(True) == 2)

    assert beats(hook) == ["steady/start", "steady", "shaky/start", "shaky/fail"]
    [failure] = [call for call in hook.calls if call.path.endswith("shaky/fail")]
    assert (failure.method, failure.body) == ("POST", "exit status 3")


def test_a_local_run_beats_too(house: House, hook: Webhook) -> None:
    house.says("run", "steady", "--local")

    assert beats(hook)[-1:] == ["steady"]


def test_the_service_beats_when_it_ticks(hook: Webhook) -> None:
    with House("heartbeat: ${HOOK}/self\njobs: {a: {command: 'true'}}") as house:
        house.environ["HOOK"] = hook.url
        clock = Clock(house, "2026-02-09 01:59:01")
        with supervised(house) as supervisor:
            for minute in ("02:00", "02:01"):
                clock.set(f"2026-02-09 {minute}:00")
                supervisor.send_signal(signal.SIGCHLD)
                until(lambda minute=minute: minute in str(line.status(house)["tick"]["last_at"]))
            until(lambda: len(beats(hook)) == 2)

    assert beats(hook) == ["self", "self"]


def test_a_dead_endpoint_is_counted_and_costs_no_start(house: House, hook: Webhook) -> None:
    # One that says no is not asked again, and so is counted at once.
    hook.always(410)
    with supervised(house):
        for _ in range(3):
            house.says("run", "steady", "--wait")
        until(lambda: line.status(house)["heartbeat_failures"] >= 1)

        assert "failed since the start" in house.says("status")


# --- a full disk --------------------------------------------------------------------


@pytest.mark.root
def test_the_alert_about_a_full_disk_is_not_kept_back_by_it(
    house: House, hook: Webhook, small_disk: Path
) -> None:
    house.environ["NIGHTSHIFT_STATE_DIR"] = str(small_disk)
    house.state = small_disk
    house.socket = small_disk / "nightshift.sock"
    with supervised(house):
        subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/filler"], capture_output=True)
        (small_disk / "ballast").unlink(missing_ok=True)
        subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/more"], capture_output=True)
        for _ in range(40):
            house.ask("run", "flaky")
            if told(hook):
                break
        until(lambda: any("ledger" in text for text in told(hook)), within_s=20)


@pytest.fixture
def small_disk(house: House) -> Iterator[Path]:
    if os.getuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = house.root / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this kernel or container lets nobody mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
