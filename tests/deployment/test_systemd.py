"""docs/deployment.md, the section on systemd: its block and its statements.

The block is run once, in its own machine. Each statement then starts with a unit that runs
JOBS and has no drop-in.
"""

import os
import re
from collections.abc import Iterator

import pytest

from tests.acceptance.doc_pages import ROOT, blocks
from tests.deployment.engine import Engine, MissingEngineError, checkout
from tests.deployment.machine import Machine, machine
from tests.waiting import until

PAGE = "docs/deployment.md"
_compose, _folder, _by_hand, _page, INSTALL, *_ = blocks(PAGE, "sh")
UNIT = "nightshift"
ASK = "export NIGHTSHIFT_SOCKET=/run/nightshift/nightshift.sock; nightshift"
CONFIG = "/etc/nightshift/jobs.yaml"
DROP_IN = "/etc/systemd/system/nightshift.service.d/override.conf"
JOBS = """
jobs:
  hourly: {command: ["true"], cron: "17 3 * * *", timezone: UTC}
  sleeper: {command: [sleep, "3600"], timeout: 2h}
  inside: {command: "touch /srv/cards/1 /srv/backups/1"}
  outside: {command: "touch /srv/other/1"}
"""
RESTARTED_SOON = "[Service]\nRestartSec=100ms\n"
WITHIN_S = 20


@pytest.fixture(scope="module")
def installed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Run the block of the page; its output is kept in /root/printed."""
    index = os.environ.get("PIP_INDEX_URL")
    environ = {"PIP_INDEX_URL": index} if index else {}
    try:
        with machine(engine, checkout(tmp_path_factory.mktemp("systemd") / "checkout")) as one:
            one.write("/root/printed", one.types(INSTALL, **environ))
            yield one
    except MissingEngineError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def served(installed: Machine) -> Machine:
    """Return the machine with the unit as installed, running JOBS."""
    installed.types(f"systemctl stop {UNIT}; rm -rf {DROP_IN} /var/lib/nightshift/*")
    installed.write(CONFIG, JOBS)
    started(installed)
    return installed


def started(one: Machine) -> None:
    """Start the unit with the counter of starts reset, as after its ten minutes."""
    one.types(f"systemctl daemon-reload; systemctl reset-failed {UNIT}; systemctl start {UNIT}")


def settle(one: Machine, state: str) -> None:
    until(lambda: one.shows(UNIT, "ActiveState") == state, WITHIN_S)


def starts(one: Machine) -> int:
    """Return how often systemd has started it."""
    return one.types(f"journalctl --unit {UNIT} --output cat").count("Starting nightshift")


def drop_in(one: Machine, text: str) -> None:
    """Write a drop-in and apply it to the running service."""
    one.write(DROP_IN, text)
    one.types(f"systemctl stop {UNIT}")
    started(one)


def test_the_block_installs_a_service_that_answers(installed: Machine) -> None:
    printed = installed.types("cat /root/printed")

    assert "backup-database" in printed.partition("pool ")[2]
    assert installed.types(f"systemctl is-active {UNIT}").strip() == "active"
    assert installed.types(f"systemctl is-enabled {UNIT}").strip() == "enabled"
    assert installed.shows(UNIT, "User") == "cron"
    assert installed.types("stat --format %U /run/nightshift/nightshift.sock").strip() == "cron"
    assert "8 jobs, 0 running" in installed.types(f"systemctl status --no-pager {UNIT}")


def test_a_reload_takes_up_an_edit(served: Machine) -> None:
    served.write(CONFIG, JOBS.replace("17 3", "43 21"))

    served.types(f"systemctl reload {UNIT}")

    assert "21:43" in served.types(f"{ASK} next hourly")


def test_a_reload_of_mistakes_fails_and_the_text_in_force_stays(served: Machine) -> None:
    served.write(CONFIG, JOBS.replace("17 3", "43 21").replace("command: [s", "comand: [s"))

    status, _ = served.tries(f"systemctl reload {UNIT}")

    assert status != 0
    assert "jobs.sleeper.comand" in served.types(f"journalctl --unit {UNIT} --output cat")
    assert "03:17" in served.types(f"{ASK} next hourly")
    assert served.shows(UNIT, "ActiveState") == "active"


def test_a_drop_in_opens_folders_and_no_others(served: Machine) -> None:
    served.types("install -d -o cron /srv/cards /srv/backups /srv/other")
    assert served.tries(f"{ASK} run inside --wait")[0] == 1
    (text,) = re.findall(r"^ *```ini\n(.*?)```", (ROOT / PAGE).read_text(), flags=re.M | re.S)

    drop_in(served, text)

    assert served.tries(f"{ASK} run inside --wait")[0] == 0
    assert served.tries(f"{ASK} run outside --wait")[0] == 1
    assert "Read-only file system" in served.types(f"{ASK} logs outside")


def test_a_stuck_supervisor_is_killed_with_its_jobs_and_a_new_one_settles_them(
    served: Machine,
) -> None:
    drop_in(served, RESTARTED_SOON + "WatchdogSec=2s\n")
    served.types(f"{ASK} run sleeper")
    until(lambda: served.tries("grep -l sleep /proc/[0-9]*/comm")[0] == 0)
    stuck = served.shows(UNIT, "MainPID")

    served.types(f"systemctl kill --kill-whom main --signal STOP {UNIT}")

    until(lambda: served.shows(UNIT, "NRestarts") == "1", WITHIN_S)
    settle(served, "active")
    assert served.shows(UNIT, "MainPID") != stuck
    assert served.tries("grep -lx sleep /proc/[0-9]*/comm")[0] != 0
    assert "Watchdog timeout" in served.types(f"journalctl --unit {UNIT} --output cat")
    assert "interrupted" in served.types(f"{ASK} history sleeper")


def test_a_crash_is_restarted_until_it_was_started_five_times(served: Machine) -> None:
    before = starts(served)
    drop_in(served, RESTARTED_SOON)

    def crash() -> bool:
        served.tries(f"systemctl kill --kill-whom main --signal KILL {UNIT}")
        return served.shows(UNIT, "ActiveState") == "failed"

    until(crash, 2 * WITHIN_S)

    assert starts(served) - before == 5


def test_exit_status_1_is_restarted_until_the_state_folder_is_free(served: Machine) -> None:
    drop_in(served, "[Service]\nRestartSec=3s\n")
    by_hand = "nightshift --state /var/lib/nightshift"
    as_cron = "setpriv --reuid cron --regid cron --clear-groups"
    served.types(f"systemctl stop {UNIT}; {as_cron} setsid {by_hand} start >/dev/null 2>&1 &")
    until(lambda: served.tries(f"{by_hand} healthcheck")[0] == 0, WITHIN_S)

    status, _ = served.tries(f"systemctl start {UNIT}")

    assert status != 0
    assert served.shows(UNIT, "ExecMainStatus") == "1"
    served.types(f"{by_hand} stop")
    settle(served, "active")


def test_a_bad_text_and_no_accepted_one_is_not_restarted(served: Machine) -> None:
    drop_in(served, RESTARTED_SOON)
    served.types(f"systemctl stop {UNIT}; rm -rf /var/lib/nightshift/*")
    served.write(CONFIG, "jobs: {a: {comand: x}}\n")

    status, _ = served.tries(f"systemctl start {UNIT}")

    assert status != 0
    settle(served, "failed")
    assert served.shows(UNIT, "ExecMainStatus") == "2"
    assert served.shows(UNIT, "NRestarts") == "0"
