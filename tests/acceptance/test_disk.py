"""A state folder that fails: full, read-only, locked, damaged, of a newer version.

Without a record nothing is launched: due runs wait with that cause. Runs that end meanwhile
are written first when the ledger is writable again.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.ledger_reader import outcomes, rows
from tests.waiting import until

JOBS = """
defaults: {kill_grace: 300ms}
shutdown_grace: 300ms
jobs:
  minutely: {command: ["true"], cron: "* * * * *"}
  reader: {command: 'read line < fifo'}
  speaker: {command: 'echo hello'}
"""
TWO = datetime(2026, 2, 9, 2, tzinfo=UTC)
# The ledger is tried again every five seconds.
RECOVERED_WITHIN_S = 12.0


class ServiceOnDisk:
    """A supervisor at 01:59 with a running job, over a state folder that tests may break."""

    def __init__(
        self, sandbox: Sandbox, clock: Clock, supervisor: "subprocess.Popen[str]"
    ) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.supervisor = supervisor
        (self.reader,) = sandbox.json("run", "reader")["runs"]
        until(lambda: self.status()["runs"])

    def go_to_two(self) -> None:
        """Set the clock; SIGCHLD makes the service read it and does nothing else."""
        self.clock.set("2026-02-09 01:59:59.8")
        self.supervisor.send_signal(signal.SIGCHLD)

    def end_reader(self) -> None:
        Path(self.sandbox.root, "fifo").write_text("go on\n")

    def status(self) -> dict[str, Any]:
        return raw_client.status(self.sandbox)

    def waiting_run(self) -> dict[str, Any]:
        """Return the open run of the slot; {} before it is due."""
        return next((run for run in self.status()["runs"] if run["job"] == "minutely"), {})


@contextlib.contextmanager
def service(sandbox: Sandbox) -> Iterator[ServiceOnDisk]:
    os.mkfifo(sandbox.root / "fifo")
    clock = Clock(sandbox, "2026-02-09 01:59:01")
    with supervised(sandbox) as supervisor:
        yield ServiceOnDisk(sandbox, clock, supervisor)


def check_no_launch_without_ledger(
    service: ServiceOnDisk, words: str, fix: Callable[[], None]
) -> None:
    """Check that no run starts while the ledger fails, and that `fix` brings recovery."""
    service.go_to_two()
    waiting_for_the_ledger(service, words)
    service.end_reader()
    until(lambda: all(run["id"] != service.reader for run in service.status()["runs"]))
    assert outcomes(service.sandbox, "minutely") == {}

    fix()

    until(lambda: raw_client.code(service.sandbox, "/readyz") == 200, within_s=RECOVERED_WITHIN_S)
    until(lambda: outcomes(service.sandbox, "minutely") == {TWO: "success schedule"})
    query = "SELECT state, exit_status FROM runs WHERE id = ?"
    assert rows(service.sandbox, query, service.reader) == [("success", 0)]
    assert rows(service.sandbox, "SELECT count(*) FROM attempts WHERE ended_at IS NULL") == [(0,)]
    assert service.status()["incidents"] == []


def waiting_for_the_ledger(service: ServiceOnDisk, words: str) -> None:
    """Check that the due run waits, and that the service is alive but not ready."""
    until(lambda: service.waiting_run().get("cause", "").startswith("waits for the ledger"))

    waiting = service.waiting_run()
    assert (waiting["state"], waiting["pid"]) == ("pending", None)
    assert words in waiting["cause"]
    assert words in service.status()["ledger_error"]
    assert raw_client.code(service.sandbox, "/readyz") == 503
    assert raw_client.code(service.sandbox, "/healthz") == 200


def log_of(sandbox: Sandbox) -> str:
    return Path(sandbox.root, "log").read_text()


# --- the disk ---------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[Sandbox]:
    """Start a service whose state folder is a disk of 8 MiB."""
    with Sandbox(JOBS) as sandbox:
        sandbox.state.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(sandbox.state)]
        if os.geteuid() != 0:
            pytest.skip("mounting a small tmpfs needs root")
        if subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("this kernel or container does not allow mounting a tmpfs")
        try:
            yield sandbox
        finally:
            subprocess.run(["umount", "-l", str(sandbox.state)], check=True)


def fill(disk: Path) -> None:
    """Fill the disk to the last byte."""
    with open(disk / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(1 << 16))
    with open(disk / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x")


@pytest.mark.root
def test_on_a_full_disk_due_runs_wait_and_ends_are_not_forgotten(small_disk: Sandbox) -> None:
    with service(small_disk) as found:
        ballast = small_disk.state / "ballast"
        fill(small_disk.state)
        found.sandbox.ask("resume", "minutely")  # its record takes the ballast's space
        until(lambda: not ballast.exists())
        fill(small_disk.state)

        check_no_launch_without_ledger(
            found, "full", lambda: (small_disk.state / "filler").unlink()
        )


@pytest.mark.root
def test_on_a_full_disk_the_first_start_names_the_disk_and_the_next_one_begins(
    small_disk: Sandbox,
) -> None:
    fill(small_disk.state)

    status, said = small_disk.refuses("start")

    assert status == 1
    assert (
        f"open ledger {small_disk.state}/ledger.sqlite3: the file system at {small_disk.state}"
        " is full (0 bytes free): free 1.0 MB there"
    ) in " ".join(said.split())
    (small_disk.state / "filler").unlink()
    with supervised(small_disk):
        assert small_disk.json("status")["runs"] == []


@pytest.mark.root
def test_on_a_read_only_disk_it_does_not_start_and_says_why(small_disk: Sandbox) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk.state)], check=True)

    status, said = small_disk.refuses("start")

    assert status == 2
    assert f"state folder {small_disk.state}: Read-only file system" in said


@pytest.fixture
def failing_disk() -> Iterator[tuple[Sandbox, Path]]:
    """Start a service on a disk that turns read-only at its first error, and its error switch."""
    with Sandbox(JOBS) as sandbox:
        sandbox.state.mkdir()
        image = sandbox.root / "image"
        image.write_bytes(b"")
        os.truncate(image, 32 << 20)
        if os.geteuid() != 0:
            pytest.skip("mounting an image needs root")
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("mkfs.ext4 is not installed")
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
        if not mounted(image, sandbox.state):
            pytest.skip("this kernel or container does not allow mounting an image")
        try:
            device = subprocess.check_output(["findmnt", "-nro", "SOURCE", str(sandbox.state)])
            fault = Path("/sys/fs/ext4", Path(device.decode().strip()).name, "trigger_fs_error")
            if not fault.exists():
                pytest.skip("this kernel has no switch for ext4 errors")
            yield sandbox, fault
        finally:
            subprocess.run(["umount", "-l", str(sandbox.state)], check=True)


def mounted(image: Path, folder: Path) -> bool:
    """Return whether an ext4 image is mounted at a folder."""
    mount = ["mount", "-t", "ext4", "-o", "loop,errors=remount-ro", str(image), str(folder)]
    return subprocess.run(mount, capture_output=True).returncode == 0


@pytest.mark.root
def test_a_disk_that_turns_read_only_forbids_launches_until_a_start_on_a_sound_one(
    failing_disk: tuple[Sandbox, Path],
) -> None:
    sandbox, fault = failing_disk
    with service(sandbox) as found:
        fault.write_text("1")

        found.go_to_two()
        waiting_for_the_ledger(found, "")
        found.end_reader()
        until(lambda: all(run["id"] != found.reader for run in found.status()["runs"]))
        assert found.supervisor.poll() is None
    assert found.supervisor.returncode == 0
    subprocess.run(["umount", str(sandbox.state)], check=True)
    assert mounted(sandbox.root / "image", sandbox.state)

    with supervised(sandbox):
        until(lambda: outcomes(sandbox, "minutely") == {TWO: "success schedule"})

    assert rows(sandbox, "SELECT state FROM runs WHERE id = ?", found.reader) == [("interrupted",)]


@pytest.mark.root
def test_output_that_a_read_only_folder_cannot_keep_costs_lines_and_never_the_job(
    sandbox: Sandbox,
) -> None:
    runs = sandbox.state / "runs"
    with supervised(sandbox):
        bind = [["--bind", str(runs), str(runs)], ["-o", "remount,ro,bind", str(runs)]]
        if os.geteuid() != 0:
            pytest.skip("a read-only mount needs root")
        if any(subprocess.run(["mount", *each], capture_output=True).returncode for each in bind):
            pytest.skip("this kernel or container does not allow mounting a folder")
        try:
            sandbox.says("run", "speaker", "--wait")
        finally:
            subprocess.run(["umount", "-l", str(runs)], check=True)

    line = "its output was not kept: 6 bytes lost: [Errno 30] Read-only"
    until(lambda: line in log_of(sandbox))


@pytest.mark.root
def test_on_a_read_only_state_folder_a_reload_does_not_call_the_file_refused(
    sandbox: Sandbox,
) -> None:
    with supervised(sandbox):
        bind = [["--bind", str(sandbox.state), str(sandbox.state)]]
        bind += [["-o", "remount,ro,bind", str(sandbox.state)]]
        if os.geteuid() != 0:
            pytest.skip("a read-only mount needs root")
        if any(subprocess.run(["mount", *each], capture_output=True).returncode for each in bind):
            pytest.skip("this kernel or container does not allow mounting a folder")
        try:
            _, said = sandbox.refuses("reload")
        finally:
            subprocess.run(["umount", "-l", str(sandbox.state)], check=True)

    assert (
        f"jobs.yaml could not be read again: the state folder {sandbox.state} is read-only" in said
    )
    assert "refused" not in said


@pytest.mark.root
def test_on_a_full_disk_it_starts_by_giving_up_its_ballast(small_disk: Sandbox) -> None:
    with supervised(small_disk):
        pass
    fill(small_disk.state)

    with supervised(small_disk):
        small_disk.says("run", "minutely", "--wait")

    assert not (small_disk.state / "ballast").exists()


# --- other programs, other versions -----------------------------------------------------


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        yield sandbox


def test_while_another_program_locks_the_ledger_due_runs_wait(sandbox: Sandbox) -> None:
    with service(sandbox) as found:
        path = sandbox.state / "ledger.sqlite3"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")

            check_no_launch_without_ledger(
                found, "locked", lambda: other.execute("ROLLBACK") and None
            )


def test_a_ledger_that_another_program_locks_forbids_a_start_in_words(sandbox: Sandbox) -> None:
    with supervised(sandbox):
        pass
    path = sandbox.state / "ledger.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        status, said = sandbox.refuses("start")

    assert (status, f"ledger {path}: database is locked" in said) == (1, True)


def test_a_damaged_ledger_is_set_aside_with_an_alert_and_a_new_one_begun(sandbox: Sandbox) -> None:
    with supervised(sandbox):
        sandbox.says("run", "minutely", "--wait")
    (sandbox.state / "ledger.sqlite3-wal").unlink(missing_ok=True)
    with open(sandbox.state / "ledger.sqlite3", "r+b") as ledger:
        ledger.seek(100)
        ledger.write(os.urandom(20_000))

    with supervised(sandbox, "--log-format", "text"):
        sandbox.says("run", "minutely", "--wait")
        said = sandbox.json("history")["runs"]
        (found,) = raw_client.status(sandbox)["incidents"]
        sandbox.says("incidents", "ack", str(found["id"]), "--for", "1h")
        seen = raw_client.status(sandbox)["incidents"]

    assert [run["id"] for run in said] == [1]
    (aside,) = sandbox.state.glob("ledger-damaged-*.sqlite3")
    assert (found["kind"], found["severity"], seen) == ("damage", "critical", [])
    assert str(aside) in found["cause"]
    assert f"it is kept as {aside}, a new one begins" in log_of(sandbox)


def test_a_ledger_damaged_while_in_use_is_set_aside_and_nothing_that_lives_is_forgotten(
    sandbox: Sandbox,
) -> None:
    with service(sandbox) as found:
        path = sandbox.state / "ledger.sqlite3"
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            other.execute("INSERT INTO meta VALUES ('x', 'y')")
            other.commit()
            with open(path, "r+b") as ledger:
                ledger.seek(4096)
                ledger.write(os.urandom(path.stat().st_size - 4096))

        found.go_to_two()

        until(lambda: outcomes_if_any(sandbox) == {TWO: "success schedule"}, RECOVERED_WITHIN_S)
        (incident,) = found.status()["incidents"]
        assert (incident["kind"], incident["severity"]) == ("damage", "critical")
        assert raw_client.run(sandbox, found.reader)["state"] == "running"
        found.end_reader()
        until(lambda: raw_client.run(sandbox, found.reader)["state"] == "success")

    assert rows(sandbox, "SELECT state FROM runs WHERE id = ?", found.reader) == [("success",)]


def test_a_ledger_deleted_while_in_use_is_written_anew_and_nothing_is_lost(
    sandbox: Sandbox,
) -> None:
    sandbox.config.write_text(JOBS)
    with service(sandbox) as found:
        sandbox.says("run", "speaker", "--wait")
        for path in sandbox.state.glob("ledger.sqlite3*"):
            path.unlink()

        check_no_launch_without_ledger(found, "was deleted while it was in use", lambda: None)
        assert [run["job"] for run in sandbox.json("history", "speaker")["runs"]] == ["speaker"]


def outcomes_if_any(sandbox: Sandbox) -> dict[datetime, str]:
    """Return the outcomes of the minutely job; {} while there is no ledger."""
    with contextlib.suppress(sqlite3.Error):
        return outcomes(sandbox, "minutely")
    return {}


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(sandbox: Sandbox) -> None:
    with supervised(sandbox):
        pass
    path = sandbox.state / "ledger.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as ledger:
        ledger.execute("PRAGMA user_version = 99")
    before = path.read_bytes()

    status, said = sandbox.refuses("start")

    assert (status, "is of a newer version (99" in said) == (2, True)
    assert path.read_bytes() == before
