"""The ledger on a real disk: writes are atomic, read back, and bounded."""

import os
import re
import shutil
import sqlite3
import subprocess
from datetime import timedelta
from typing import get_type_hints

import pytest

from supervisor.core import effects
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.config_model import Severity
from supervisor.core.model import (
    Attempt,
    AuditEntry,
    JobChange,
    JobRecord,
    MissedRange,
    Pause,
    Peer,
    Reason,
    ReloadEntry,
    State,
    replace,
)
from supervisor.ledger import full_disk
from supervisor.ledger.errors import LedgerUnavailableError
from supervisor.ledger.queries import History as Reader
from supervisor.ledger.queries import RunFilter
from supervisor.ledger.rows import TABLES
from supervisor.ledger.store import Store
from tests.edge.fixtures_ledger import AT, alert, run

EXAMPLES = [
    run(1, after=("a", "b"), strays=("7 sleep 600",), reason=Reason.OVERLAP, dry_run=True),
    Attempt(1, 2, AT, 77, AT, Reason.TIMEOUT, "timeout after 5m", 15, 0.5, 10**9, ("x",)),
    MissedRange("sync", AT, AT + timedelta(days=1), 1440, "no supervisor ran"),
    JobRecord("sync", AT, Pause(None, "uid 1000", "a réason")),
    Incident(1, "sync", "exit", Severity.ERROR, AT, AT, "exit status 3", acked_until=AT),
    Alert(
        *(1, 1, "opened", Severity.CRITICAL, "", "clock", "back", 3, None, AT, 1.5),
        attempts=3,
        next_at=AT,
        error="no answer",
        folded=2,
        withheld="",
    ),
    AuditEntry(AT, Peer(1000, 4711), "run", "sync", "run 1"),
    ReloadEntry(AT, "5e" * 32, False, 'jobs.yaml:3:5: expected a duration, got "ü"'),
    ReloadEntry(AT, "5e" * 32, True, "1 job", (JobChange("ü", "changed", ("with", "env")),), 3),
]


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_every_value_comes_back_as_it_was_written(store, tmp_path, value):
    table = TABLES[type(value)]

    store.write([effects.Record(value)])

    with sqlite3.connect(tmp_path / "ledger.sqlite3") as db:
        assert [table.decode(row) for row in db.execute(table.select())] == [value]


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_the_schema_has_a_column_for_every_field(store, tmp_path, table):
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as db:
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table.name})")]

    assert columns == list(get_type_hints(table.kind))


def test_a_later_record_replaces_an_earlier_one_of_its_key(store):
    store.write([effects.Record(run(1, state=State.RUNNING))])

    store.write([effects.Record(run(1, state=State.FAILED))])

    assert [each.state for each in store.memory().runs] == [State.FAILED]


def test_a_turn_is_written_whole_or_not_at_all(store):
    one_slot = run(1)

    with pytest.raises(LedgerUnavailableError):
        store.write(
            [
                effects.Record(run(2)),
                effects.Record(one_slot),
                effects.Record(replace(one_slot, id=3)),
            ]
        )

    assert store.memory().runs == ()


def test_released_slots_leave_their_rows_and_may_come_again(store):
    store.write([effects.Record(run(5))])

    store.write([effects.ReleaseSlots("sync", AT), effects.Record(replace(run(5), id=6))])

    has_slot = [(each.id, each.slot is not None) for each in store.memory().runs]
    assert has_slot == [(5, False), (6, True)]


def test_a_service_pause_survives(store):
    pause = Pause(AT, "uid 0", "moving house")

    store.write([effects.RecordPause(pause)])

    assert store.memory().paused == pause


def test_memory_holds_open_runs_the_newest_few_and_the_newest_success(store):
    failed = [run(number, state=State.FAILED) for number in range(3, 40)]
    rows = [run(1), run(2, state=State.RETRYING), *failed]
    store.write([effects.Record(each) for each in rows])

    remembered = [each.id for each in store.memory().runs]

    assert remembered == [1, 2, *range(32, 40)]


def test_numbers_go_on_where_they_stopped(store):
    store.write([effects.Record(run(41))])

    assert store.memory().next_run == 42


def test_a_clean_stop_is_no_crash(tmp_path):
    first = Store(tmp_path)
    assert first.begin_life() is False
    first.close()

    second = Store(tmp_path)
    assert second.begin_life() is False
    del second

    third = Store(tmp_path)
    assert third.begin_life() is True
    third.close()


def test_the_instance_of_a_folder_stays(tmp_path):
    first = Store(tmp_path)
    first.close()

    second = Store(tmp_path)
    second.close()

    assert first.instance == second.instance != ""


def test_a_copied_folder_is_another_instance_and_a_renamed_one_the_same(tmp_path):
    """Otherwise a service in the copy would kill the runs of the original."""
    (tmp_path / "first").mkdir()
    first = Store(tmp_path / "first")
    first.close()
    shutil.copytree(tmp_path / "first", tmp_path / "copy")

    copied = Store(tmp_path / "copy")
    copied.close()
    again = Store(tmp_path / "copy")
    again.close()
    renamed = Store((tmp_path / "first").rename(tmp_path / "renamed"))
    renamed.close()

    assert copied.instance == again.instance != first.instance
    assert renamed.instance == first.instance


def test_memory_holds_the_alerts_that_wait_in_their_order(store):
    rows = [
        alert(3),
        alert(1),
        alert(2, delivered_at=AT),
        alert(4, withheld="error is below critical"),
    ]

    store.write([effects.Record(each) for each in rows])

    assert store.memory().outbox == (alert(1), alert(3))


def test_the_last_tick_survives(store):
    store.write([effects.RecordTick(AT, None)])
    store.write([effects.RecordTick(AT + timedelta(minutes=1), AT + timedelta(hours=1))])

    memory = store.memory()

    assert memory.last_tick == AT + timedelta(minutes=1)
    assert memory.silent_until == AT + timedelta(hours=1)


def test_memory_holds_the_incidents_that_are_not_over_and_those_with_an_ack(store):
    settling = incident(2, closed_at=AT, recovery_at=AT)
    acked = incident(3, closed_at=AT, acked_until=AT + timedelta(days=3))
    rows = [incident(1), settling, acked, incident(4, closed_at=AT)]
    store.write([effects.Record(row) for row in rows])

    assert store.memory().incidents == (incident(1), settling, acked)


def incident(number, **changes):
    made = Incident(number, f"job-{number}", "exit", Severity.ERROR, AT, AT, "exit status 1")
    return replace(made, **changes)


def test_files_of_the_ledger_are_for_their_owner_only(store, tmp_path):
    store.write([effects.Record(run(1))])

    assert (tmp_path / "ledger.sqlite3").stat().st_mode & 0o077 == 0


def test_a_ledger_locked_by_another_program_is_a_problem_and_not_a_wait(store, tmp_path):
    other = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(LedgerUnavailableError, match="locked"):
        store.write([effects.Record(run(1))])

    other.execute("ROLLBACK")
    store.write([effects.Record(run(1))])
    other.close()


def test_a_reader_finds_runs_by_job_state_and_time(store, tmp_path):
    store.write(
        [
            effects.Record(run(1)),
            effects.Record(run(2, state=State.FAILED)),
            effects.Record(run(3)),
        ]
    )
    reader = Reader(tmp_path)

    newest_first = [each.id for each in reader.runs(RunFilter(job="sync"))]
    failed = [each.id for each in reader.runs(RunFilter(state="failed"))]
    later = [each.id for each in reader.runs(RunFilter(since=AT + timedelta(minutes=3)))]
    older = [each.id for each in reader.runs(RunFilter(before=2))]

    assert (newest_first, failed, later, older) == ([3, 2, 1], [2], [3], [1])
    reader.close()


def test_a_reader_cannot_write(store, tmp_path):
    reader = Reader(tmp_path)

    with pytest.raises(AttributeError):
        reader.write([])
    reader.close()


@pytest.fixture
def small_disk(tmp_path):
    if os.getuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this kernel or container does not allow mounting a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.root
@pytest.mark.parametrize("left_bytes", [0, 20 * 1024], ids=["no byte", "too few to map"])
def test_a_new_ledger_on_a_full_disk_names_the_disk_and_what_to_do(small_disk, left_bytes):
    filler, folder = small_disk / "filler", small_disk / "a state"
    folder.mkdir()
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], capture_output=True)
    os.truncate(filler, filler.stat().st_size - left_bytes)

    with pytest.raises(LedgerUnavailableError) as refused:
        Store(folder)

    said = str(refused.value)
    assert said.startswith(
        f"open ledger {folder}/ledger.sqlite3: the file system at {small_disk} "
    )
    assert re.search(r"is full \([\d.]+ (bytes|kB) free\): free 1\.0 MB there", said)
    assert f"du -xh {small_disk} | sort -h" in said
    assert said.endswith("or start with another --state")
    filler.unlink()
    Store(folder).close()


def test_an_error_that_is_not_of_a_full_disk_stays_as_it_is(tmp_path):
    other = sqlite3.OperationalError("database is locked")

    assert full_disk.in_words(other, tmp_path) == "database is locked"
    assert full_disk.in_words(OSError(5, "I/O error"), tmp_path) == "[Errno 5] I/O error"


@pytest.mark.root
def test_a_full_disk_is_a_problem_until_the_ballast_is_given_up(small_disk):
    store = Store(small_disk)
    subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/filler"], capture_output=True)
    assert (small_disk / "ballast").exists()

    with pytest.raises(LedgerUnavailableError, match="full"):
        store.write([effects.Record(run(number)) for number in range(1, 2000)])

    assert not (small_disk / "ballast").exists()
    store.write([effects.Record(run(number)) for number in range(1, 2000)])
    assert store.memory().next_run == 2000
    store.close()


def test_a_job_is_done_up_to_its_newest_slot_though_its_own_record_is_older(store):
    mark = JobRecord("sync", AT)
    store.write(
        [
            effects.Record(mark),
            effects.Record(run(3)),
            effects.Record(run(2)),
            effects.Record(run(9, job="other")),
        ]
    )
    store.write([effects.Record(replace(mark, job="idle")), effects.Record(run(5, slot=None))])

    found = {each.job: each.seen_until for each in store.memory().marks}

    assert found == {"sync": AT + timedelta(minutes=3), "idle": AT}
