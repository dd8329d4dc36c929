"""start, stop, reload, healthcheck, and everything that can prevent a start."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox, living, supervised
from tests.waiting import until

JOBS = """
jobs:
  hello: {command: [/bin/echo, hi], cron: "0 4 29 2 *"}
  sleeper: {command: [/bin/sleep, "60"]}
"""
SHORT = 'jobs: {a: {command: ["true"]}}\n'
NOBODY_UID = 65534

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as another user")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        yield sandbox


# --- a running supervisor ------------------------------------------------------------


def test_a_second_supervisor_exits_1_and_names_the_first(sandbox: Sandbox) -> None:
    with supervised(sandbox) as first:
        status, said = sandbox.refuses("start")

        assert status == 1
        assert f"pid {first.pid}" in said
        assert "another --state" in said
        assert sandbox.refuses("run", "hello", "--local")[0] == 1


def test_stop_waits_until_the_supervisor_is_gone(sandbox: Sandbox) -> None:
    with supervised(sandbox) as process:
        sandbox.says("run", "sleeper")

        assert sandbox.says("stop") == "stopped\n"

        assert process.wait(2) == 0
        assert not sandbox.socket.exists()
        assert sandbox.refuses("stop")[0] == 3


def test_stop_with_drain_says_what_the_api_says(sandbox: Sandbox) -> None:
    with supervised(sandbox) as process:
        assert sandbox.json("stop", "--drain", "10s") == {"stopping": True}
        assert process.wait(2) == 0


def test_sigterm_ends_it_with_0(sandbox: Sandbox) -> None:
    with supervised(sandbox, "--log-format", "text", "--log-level", "debug") as process:
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0
        assert "Traceback" not in Path(sandbox.root, "log").read_text()


def test_a_stale_socket_is_replaced(sandbox: Sandbox) -> None:
    sandbox.state.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(sandbox.socket))
    assert sandbox.refuses("status")[0] == 3

    with supervised(sandbox):
        assert sandbox.ask("status").returncode == 0


def test_reload_previous_needs_a_second_text() -> None:
    with living(JOBS) as sandbox:
        status, complaint = sandbox.refuses("reload", "--previous")

        assert (status, sandbox.json("incidents")["incidents"]) == (1, [])
        assert "no earlier text of jobs.yaml is kept" in complaint


def test_reload_says_what_changed_and_what_is_wrong() -> None:
    with living(JOBS) as sandbox:
        sandbox.config.write_text(JOBS.replace("0 4", "0 5") + "  new: {command: ['true']}\n")
        said = sandbox.says("reload")
        sandbox.config.write_text(JOBS.replace("hello", "Hello").replace("cron", "corn"))
        bad = sandbox.ask("reload")
        back = sandbox.json("reload", "--previous")

        assert "added        new" in said
        assert "rescheduled  hello: next slot Tue 2028-02-29 04:00 UTC" in said
        assert bad.returncode == 2
        assert f"{sandbox.config}:3:3: jobs.Hello:" in bad.stderr
        assert 'did you mean "cron"?' in bad.stderr
        assert back["removed"] == ["new"]
        assert "REFUSED" not in sandbox.says("status")


def test_healthcheck_is_0_or_1_only(sandbox: Sandbox) -> None:
    with supervised(sandbox):
        assert sandbox.says("healthcheck").startswith("healthy")
        assert sandbox.json("healthcheck")["healthy"] is True
    assert sandbox.refuses("healthcheck")[0] == 1
    assert sandbox.refuses("healthcheck", "--nonsense")[0] == 1
    assert sandbox.refuses("healthcheck", "--socket", "/tmp/" + "x" * 200)[0] == 1


def test_a_bad_file_at_start_runs_the_last_good_text_but_not_with_strict(sandbox: Sandbox) -> None:
    with supervised(sandbox):
        pass
    sandbox.config.write_text("jobs: {}\n")

    assert sandbox.refuses("start", "--strict")[0] == 2
    with supervised(sandbox):
        said = sandbox.says("status")

    assert "REFUSED" in said
    assert "hello" in said


# --- a supervisor that cannot start --------------------------------------------------


def test_start_with_a_job_asks_whether_run_was_meant(sandbox: Sandbox) -> None:
    status, said = sandbox.refuses("start", "hello")

    assert (status, 'did you mean "nightshift run hello"?' in said) == (2, True)


def test_without_jobs_yaml_it_says_where_it_looked() -> None:
    with Sandbox() as sandbox:
        status, said = sandbox.refuses("start")

    assert status == 2
    assert "neither ./jobs.yaml nor /etc/nightshift/jobs.yaml" in said
    assert "nightshift init" in said


def _empty(sandbox: Sandbox) -> list[str]:
    sandbox.config.write_text("")
    return ["jobs.yaml:1:1:"]


def _folder(sandbox: Sandbox) -> list[str]:
    sandbox.config.unlink()
    sandbox.config.mkdir()
    return ["jobs.yaml:1:1:", "folder"]


def _hundreds(sandbox: Sandbox) -> list[str]:
    jobs = "".join(f"  a{n}: {{command: ['true'], corn: x}}\n" for n in range(250))
    sandbox.config.write_text(f"jobs:\n{jobs}")
    return ["jobs.yaml:2:27: jobs.a0.corn:", "150 more mistakes"]


def _state_is_a_file(sandbox: Sandbox) -> list[str]:
    sandbox.state.write_text("")
    return ["state folder", "--state"]


def _socket_is_a_file(sandbox: Sandbox) -> list[str]:
    sandbox.state.mkdir()
    sandbox.socket.write_text("mine")
    return ["no socket is in its place", "--socket"]


def _socket_too_long(sandbox: Sandbox) -> list[str]:
    sandbox.environ["NIGHTSHIFT_SOCKET"] = "/tmp/" + "x" * 120
    return ["too long", "--socket"]


def _bad_grace(sandbox: Sandbox) -> list[str]:
    sandbox.environ["NIGHTSHIFT_SHUTDOWN_GRACE"] = "soon"
    return ["$NIGHTSHIFT_SHUTDOWN_GRACE", "soon"]


def _bad_level(sandbox: Sandbox) -> list[str]:
    sandbox.environ["CRON_LOG_LEVEL"] = "loud"
    return ["$CRON_LOG_LEVEL", "loud"]


@pytest.mark.parametrize(
    "spoil",
    [
        _empty,
        _folder,
        _hundreds,
        _state_is_a_file,
        _socket_is_a_file,
        _socket_too_long,
        _bad_grace,
        _bad_level,
    ],
)
def test_what_forbids_a_start_exits_2_and_is_named(sandbox: Sandbox, spoil) -> None:  # type: ignore[no-untyped-def]
    words = spoil(sandbox)

    status, said = sandbox.refuses("start")

    assert status == 2
    for word in words:
        assert word in said


def test_a_file_in_place_of_the_socket_is_never_deleted(sandbox: Sandbox) -> None:
    _socket_is_a_file(sandbox)

    sandbox.refuses("start")
    status, said = sandbox.refuses("status")

    assert sandbox.socket.read_text() == "mine"
    assert (status, "which is no socket" in said) == (3, True)


@only_root
def test_a_state_folder_that_may_not_be_written_exits_2(sandbox: Sandbox) -> None:
    sandbox.root.chmod(0o755)

    done = sandbox.ask("start", uid=NOBODY_UID)

    assert done.returncode == 2
    assert f"uid {NOBODY_UID} may write" in done.stderr
    assert "Traceback" not in done.stderr


@only_root
def test_a_socket_of_another_user_is_refused_with_1() -> None:
    with living(JOBS) as sandbox:
        for folder in (sandbox.root, sandbox.state):
            folder.chmod(0o755)

        done = sandbox.ask("status", uid=NOBODY_UID)

    assert done.returncode == 1
    assert f"uid {NOBODY_UID} may not open the socket" in done.stderr


def test_run_wait_reports_that_the_supervisor_has_died() -> None:
    with Sandbox(JOBS) as sandbox, supervised(sandbox) as process:
        waiting = sandbox.begin("run", "sleeper", "--wait")
        assert waiting.stdout is not None
        waiting.stdout.readline()

        process.kill()
        _, complaint = waiting.communicate(timeout=10)

        assert waiting.returncode in (1, 3)
        assert "Traceback" not in complaint
        until(lambda: sandbox.ask("status").returncode == 3)
