"""jobs.yaml is edited under load, in the ways that people and editors do it."""

import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import A_MOMENT, NOTE, Clock, Clocked
from tests.acceptance.daemon import LIMIT_S, Sandbox, living, supervised
from tests.acceptance.ledger_reader import MINUTE, missing, outcomes, rows
from tests.waiting import until

STEADY = f'  steady: {{{NOTE}, cron: "* * * * *"}}\n'
LOAD = "".join(f'  load-{n}: {{{NOTE}, cron: "* * * * *"}}\n' for n in range(10))
JOBS = f"""max_concurrent: 4
jobs:
{STEADY}{LOAD}  moved: {{{NOTE}, cron: "1 2 * * *"}}
  old-name: {{{NOTE}, cron: "1 2 * * *"}}
"""
BAD = JOBS.replace("cron", "corn")
TWO = datetime(2026, 2, 9, 2, tzinfo=UTC)


class ServiceUnderLoad(Clocked):
    """A service under load at 01:59:59, and a user with an editor."""

    def write(self, text: str) -> None:
        """Write a new file and rename it into place, as editors do."""
        fresh = self.sandbox.config.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.sandbox.config)

    def set(self, instant: datetime) -> None:
        """Set the clock; a request makes the service read it, since SIGHUP would reload."""
        self.clock.set(f"{instant:%Y-%m-%d %H:%M:%S.%f}")
        self.sandbox.says("resume", "steady")

    def until_on_time(self, job: str, slot: datetime) -> None:
        """Wait until the schedule has run the job for this slot."""
        until(lambda: outcomes(self.sandbox, job).get(slot) == "success schedule")

    def open_runs(self, job: str) -> list[int]:
        return [run["id"] for run in raw_client.status(self.sandbox)["runs"] if run["job"] == job]

    def successes(self, job: str) -> int:
        return list(outcomes(self.sandbox, job).values()).count("success schedule")

    @property
    def error(self) -> str:
        """Return what `status` reports about the file."""
        return str(raw_client.status(self.sandbox)["config"]["error"])


@pytest.fixture
def service() -> Iterator[ServiceUnderLoad]:
    with Sandbox(JOBS) as sandbox:
        clock = Clock(sandbox, "2026-02-09 01:59:01")
        with supervised(sandbox) as supervisor:
            service = ServiceUnderLoad(sandbox, clock, supervisor)
            service.set(TWO - A_MOMENT)
            service.until_on_time("steady", TWO)
            yield service


# --- effects of an edit -----------------------------------------------------------------


def test_a_rescheduled_job_runs_at_its_new_time_and_not_at_the_old_one(
    service: ServiceUnderLoad,
) -> None:
    service.write(JOBS.replace(f'moved: {{{NOTE}, cron: "1 2', f'moved: {{{NOTE}, cron: "2 2'))
    said = service.sandbox.json("reload")
    service.set(TWO + MINUTE - A_MOMENT)
    service.until_on_time("steady", TWO + MINUTE)
    service.set(TWO + 2 * MINUTE - A_MOMENT)
    service.until_on_time("moved", TWO + 2 * MINUTE)

    (change,) = said["rescheduled"]
    assert change["job"] == "moved"
    assert (change["before"][11:16], change["after"][11:16]) == ("02:01", "02:02")
    assert list(outcomes(service.sandbox, "moved")) == [TWO + 2 * MINUTE]


def test_a_rename_is_remove_and_add_and_names_the_slot_that_will_not_come(
    service: ServiceUnderLoad,
) -> None:
    service.write(JOBS.replace("old-name", "new-name"))
    said = service.sandbox.json("reload")
    service.set(TWO + MINUTE - A_MOMENT)
    service.until_on_time("new-name", TWO + MINUTE)

    assert (said["added"], said["removed"]) == (["new-name"], ["old-name"])
    assert [each["job"] for each in said["dropped_slots"]] == ["old-name"]
    assert outcomes(service.sandbox, "old-name") == {}


def test_a_bad_text_changes_nothing_until_it_is_fixed(service: ServiceUnderLoad) -> None:
    service.write(BAD)
    refused = service.sandbox.ask("reload")
    service.set(TWO + MINUTE - A_MOMENT)
    service.until_on_time("moved", TWO + MINUTE)

    assert refused.returncode == 2
    assert 'did you mean "cron"?' in refused.stderr
    assert service.error
    assert [each["kind"] for each in raw_client.status(service.sandbox)["incidents"]] == ["reload"]

    service.write(JOBS)
    service.sandbox.says("reload")

    assert (service.error, raw_client.status(service.sandbox)["incidents"]) == ("", [])


def test_the_file_is_looked_at_at_second_50_without_being_asked() -> None:
    with Sandbox(JOBS) as sandbox:
        Clock(sandbox, "2026-02-09 01:59:43")
        with supervised(sandbox):
            sandbox.config.write_text(JOBS + f"  added: {{{NOTE}}}\n")

            until(lambda: raw_client.code(sandbox, "/v1/jobs/added") == 200, within_s=15)


def test_a_file_written_in_two_halves_is_taken_whole(service: ServiceUnderLoad) -> None:
    half = len(JOBS) // 2
    text = JOBS + f"  added: {{{NOTE}}}\n"
    with open(service.sandbox.config, "w") as file:
        file.write(text[:half])
        file.flush()
        service.supervisor.send_signal(signal.SIGHUP)
        until(lambda: "steady" in service.sandbox.says("jobs"))
        file.write(text[half:])

    until(lambda: raw_client.code(service.sandbox, "/v1/jobs/added") == 200)

    assert rows(service.sandbox, "SELECT kind FROM incidents") == []


def test_a_deleted_file_changes_nothing_and_may_come_back(service: ServiceUnderLoad) -> None:
    service.sandbox.config.unlink()
    refused = service.sandbox.ask("reload")
    service.set(TWO + MINUTE - A_MOMENT)
    service.until_on_time("steady", TWO + MINUTE)

    assert refused.returncode == 2
    assert service.error

    service.write(JOBS)
    service.supervisor.send_signal(signal.SIGHUP)

    until(lambda: service.error == "")


@pytest.mark.parametrize(
    "edits",
    [150, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
)
def test_many_edits_lose_and_double_no_slot(service: ServiceUnderLoad, edits: int) -> None:
    texts = [
        JOBS,
        JOBS.replace("1 2 * * *", "2 2 * * *"),
        BAD,
        JOBS + f'  added: {{{NOTE}, cron: "* * * * *"}}\n',
        JOBS.replace("old-name", "new-name"),
        "jobs: [",
        "",
    ]
    last = TWO
    for number in range(edits):
        service.write(texts[number % len(texts)])
        service.supervisor.send_signal(signal.SIGHUP)
        if number % 30 == 0:
            last += MINUTE
            service.set(last - A_MOMENT)
            service.until_on_time("steady", last)
    service.write(JOBS)
    service.sandbox.says("reload")

    for job in ("steady", "load-0", "load-9"):
        until(lambda job=job: missing(service.sandbox, job, TWO, last, MINUTE) == [])
        until(lambda job=job: not service.open_runs(job))
        assert len(service.ran(job)) == len(set(service.ran(job)))
        assert len(service.ran(job)) == service.successes(job)
    assert service.error == ""


# --- the last good text -----------------------------------------------------------------


def test_a_restart_uses_the_last_good_text_unless_it_is_strict() -> None:
    with Sandbox(f"jobs:\n{STEADY}") as sandbox:
        with supervised(sandbox):
            sandbox.config.write_text(BAD)
            assert sandbox.ask("reload").returncode == 2
        with supervised(sandbox):
            said = raw_client.status(sandbox)

        assert [job["name"] for job in said["jobs"]] == ["steady"]
        assert [each["kind"] for each in said["incidents"]] == ["reload"]
        assert "refused" in Path(sandbox.root, "log").read_text()
        assert sandbox.refuses("start", "--strict")[0] == 2


def test_a_request_to_reload_that_comes_during_the_start_does_no_harm() -> None:
    with Sandbox(f"jobs:\n{STEADY}") as sandbox, open(sandbox.root / "log", "w") as log:
        supervisor = sandbox.begin("start", stdout=log, stderr=log)
        until((sandbox.state / "lock").exists)

        supervisor.send_signal(signal.SIGHUP)

        until(lambda: raw_client.is_healthy(sandbox))
        sandbox.says("stop")
        assert supervisor.wait(LIMIT_S) == 0


def test_an_open_run_of_a_job_that_is_removed_finishes_and_its_waiting_one_is_cancelled() -> None:
    text = "jobs:\n  long: {command: 'read line < fifo', overlap: queue}\n"
    with living(text + "  other: {command: ['true']}\n") as sandbox:
        subprocess.run(["mkfifo", sandbox.root / "fifo"], check=True)
        first, second = (sandbox.json("run", "long")["runs"][0] for _ in range(2))
        sandbox.config.write_text("jobs:\n  other: {command: ['true']}\n")
        sandbox.says("reload")
        Path(sandbox.root, "fifo").write_text("go on\n")

        until(lambda: raw_client.run(sandbox, first)["state"] == "success")
        assert raw_client.run(sandbox, second)["state"] == "cancelled"
        assert "removed from jobs.yaml" in sandbox.says("history", "-n", "5")


def test_what_waits_for_the_next_start_is_said_before_and_after_a_reload(
    service: ServiceUnderLoad,
) -> None:
    service.write(f"metrics: 127.0.0.1:9\napi: {{socket_mode: 0660}}\n{JOBS}")
    foretold = service.sandbox.says("check")
    said = service.sandbox.says("reload")
    answer = service.sandbox.json("reload")
    service.write(JOBS)
    back = service.sandbox.json("reload")

    assert "later        metrics: takes effect at the next start" in foretold
    assert "later        api: takes effect at the next start" in said
    assert "later        metrics: takes effect at the next start" in said
    assert answer["at_next_start"] == ["api", "metrics"]
    assert back["at_next_start"] == []
    log, line = service.sandbox.root / "log", "metrics of jobs.yaml takes effect at the next start"
    until(lambda: log.read_text().count(line) == 2)
