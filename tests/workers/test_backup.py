"""Backups of a real database: files, messages, removed leftovers, files left alone."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tests.workers.backup_folder import (
    a_database,
    failure,
    ours,
    rows,
    run,
    the_copy,
    unpacked,
)
from tests.workers.catalogue_folder import a_report, logged
from workers import backup, params
from workers.backup import filenames, gzip_codec, listing, repository, verify
from workers.backup.places.place import Place
from workers.protocol import Progress
from workers.report import WorkerError
from workers.units import format_size

CALLED = "cards-2026-02-09T00-00-00Z.sqlite3.db.gz"
MEMORY = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from workers import backup
from workers.report import Report
backup.run(backup.Params(Path(sys.argv[1]), Path(sys.argv[2])), Report(lambda _: None,
    datetime.now(UTC)))
# Not ru_maxrss: it remembers the process that forked.
print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])
"""


@pytest.fixture
def source(tmp_path):
    return a_database(tmp_path / "cards.sqlite3.db")


@pytest.fixture
def copies(tmp_path):
    return tmp_path / "copies"


def test_a_copy_holds_the_database_byte_for_byte(source, copies, tmp_path):
    result = run(source, copies)

    copy = copies / str(result["file"])
    back = unpacked(copy, tmp_path / "back.db")
    assert back.read_bytes() == source.read_bytes()
    assert rows(back, "PRAGMA integrity_check") == [("ok",)]
    assert (result["state"], result["rows"], result["tables"]) == ("verified", 207, 2)
    assert result["size_bytes"] == copy.stat().st_size
    assert result["database_bytes"] == source.stat().st_size
    assert result["method"] == "frozen"


def test_its_three_files_are_called_after_the_database_and_the_instant(source, copies):
    before = datetime.now(UTC).replace(microsecond=0)

    name = str(run(source, copies)["file"])

    named = filenames.parse(name)
    assert named is not None
    assert named.stem == "cards"
    assert before <= named.taken_at <= datetime.now(UTC)
    assert ours(copies) == [name, f"{name}.json", f"{name}.sha256"]


def test_sha256sum_and_gunzip_accept_what_is_written(source, copies):
    name = run(source, copies)["file"]

    summed = subprocess.run(["sha256sum", "-c", f"{name}.sha256"], cwd=copies, capture_output=True)
    tested = subprocess.run(["gunzip", "-t", name], cwd=copies, capture_output=True)

    assert (summed.returncode, summed.stdout) == (0, f"{name}: OK\n".encode())
    assert (tested.returncode, tested.stderr) == (0, b"")


def test_the_manifest_says_what_is_in_the_copy(source, copies):
    name = run(source, copies)["file"]

    said = json.loads((copies / f"{name}.json").read_text())

    assert said["source"] == str(source)
    assert said["rows"] == {"moves": 200, "totals": 7}
    assert said["page_count"] * said["page_size"] == said["database_size_bytes"]
    assert said["database_size_bytes"] == source.stat().st_size
    assert {"sha256", "database_sha256", "user_version", "application_id"} <= said.keys()
    assert {"sqlite", "python", "codec", "nightshift"} <= said["versions"].keys()


@pytest.mark.parametrize("wal", [True, False])
def test_what_a_database_says_of_itself_survives(tmp_path, copies, wal):
    settings = "PRAGMA page_size = 8192; PRAGMA encoding = 'UTF-16le'; PRAGMA auto_vacuum = 2;"
    source = a_database(tmp_path / "odd.db", wal=wal, before=settings)
    with closing(sqlite3.connect(source)) as database:
        database.execute("PRAGMA user_version = 41")
        database.execute("PRAGMA application_id = 1196444487")

    run(source, copies)

    back = unpacked(the_copy(copies), tmp_path / "back.db")
    asked = ["page_size", "encoding", "auto_vacuum", "user_version", "application_id"]
    said = [rows(back, f"PRAGMA {name}")[0][0] for name in asked]
    assert said == [8192, "UTF-16le", 2, 41, 1196444487]
    assert rows(back, "PRAGMA journal_mode") == [("wal" if wal else "delete",)]


def test_what_lies_in_the_log_only_is_in_the_copy(source, copies):
    with closing(sqlite3.connect(source, isolation_level=None)) as database:
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("INSERT INTO moves (account, amount) VALUES (0, 0)")

        script = (
            "import sys; from tests.workers.backup_folder import run; from pathlib import Path;"
        )
        script += "print(run(Path(sys.argv[1]), Path(sys.argv[2]))['rows'])"
        # In its own process, as a worker is, because POSIX locks belong to a process.
        command = [sys.executable, "-c", script, source, copies]
        counted = subprocess.run(command, capture_output=True, text=True, check=True)

    assert counted.stdout == "208\n"


@pytest.mark.parametrize("level", [1, 3, 6])
def test_each_level_gives_a_copy_that_verifies(source, copies, level):
    run(source, copies, level=level)

    assert verify.verify(the_copy(copies)).manifest.versions["codec"] == gzip_codec.name(level)


def test_awkward_tables_are_counted(tmp_path, copies):
    source = tmp_path / "awkward.db"
    with closing(sqlite3.connect(source)) as database:
        database.execute('CREATE TABLE "a ""quoted"" name" (x)')
        database.execute("CREATE TABLE keyed (x PRIMARY KEY) WITHOUT ROWID")
        database.execute("CREATE VIRTUAL TABLE words USING fts5(body)")
        database.execute("INSERT INTO words VALUES ('one')")
        database.commit()

    run(source, copies)

    counted = verify.verify(the_copy(copies)).manifest.rows
    assert counted['a "quoted" name'] == 0
    assert counted["keyed"] == 0
    assert counted["words_content"] == 1


def test_orphans_of_the_source_are_a_warning_and_stand_in_the_manifest(source, copies):
    with closing(sqlite3.connect(source)) as database:
        database.execute("INSERT INTO moves (account, amount) VALUES (99, 0)")
        database.commit()
    received = []

    result = backup.run(backup.Params(source, copies), a_report(received))

    assert result["foreign_key_violations"] == 1
    assert "1 foreign key violation" in logged(received)
    assert verify.verify(the_copy(copies)).manifest.foreign_key_violations == 1


def test_two_copies_in_one_second_have_two_names(source, copies):
    made = {run(source, copies)["file"] for _ in range(3)}

    assert len(made) == 3
    assert [one.state for one in listing.list_backups(copies)] == ["verified"] * 3


def test_copies_are_as_readable_as_their_database(source, copies):
    source.chmod(0o640)

    run(source, copies)

    assert {(copies / name).stat().st_mode & 0o777 for name in ours(copies)} == {0o640}


def test_the_last_component_of_the_folder_is_made_and_no_more(source, tmp_path):
    run(source, tmp_path / "new")
    failed = failure(source, tmp_path / "missing" / "new")

    assert (tmp_path / "new").is_dir()
    assert f"folder {tmp_path / 'missing'} does not exist" in failed.error
    assert not (tmp_path / "missing").exists()


def test_leftovers_are_swept_by_name_and_foreign_files_are_not(source, copies):
    copies.mkdir()
    unfinished = [f"{CALLED}.part", f"{CALLED}.sha256", f"{CALLED}.json.part"]
    unfinished += [f"{CALLED}.scratch-abcdefgh", f"{CALLED}.scratch-abcdefgh-journal"]
    foreign = ["notes.part", "cards-2026-02-31T00-00-00Z.sqlite3.db.gz.part", f"{CALLED}.bak"]
    foreign += ["other-2026-02-09T00-00-00Z.sqlite3.db.gz.sha256"]
    for name in unfinished + foreign:
        (copies / name).write_text("x")

    result = run(source, copies)

    assert result["swept"] == 4
    assert set(ours(copies)) - set(foreign) == {
        f"{result['file']}{ending}" for ending in ("", ".sha256", ".json")
    }
    assert set(foreign) <= set(ours(copies))


def test_a_leftover_is_swept_though_the_clock_was_put_back_since(source, copies):
    copies.mkdir()
    part = copies / f"{CALLED}.part"
    part.write_text("half")
    tomorrow = time.time() + 86400
    os.utime(part, (tomorrow, tomorrow))

    assert run(source, copies)["swept"] == 1
    assert not part.exists()


def test_a_scratch_file_of_a_living_proof_is_left_alone(source, copies):
    copies.mkdir()
    with repository.scratch(copies, f"{CALLED}.scratch-") as scratch:
        assert run(source, copies)["swept"] == 0

        assert scratch.path.exists()
    assert not scratch.path.exists()


def test_a_second_service_on_the_folder_is_kept_out_by_name(source, copies):
    copies.mkdir()
    with repository.locked(copies):
        failed = failure(source, copies)

    assert f"folder {copies} is in use by pid {os.getpid()} on" in failed.error
    assert not failed.permanent
    assert run(source, copies)["state"] == "verified"


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(source, tmp_path):
    received, copies = [], tmp_path / "new"
    wanted = backup.Params(source, copies, copies=(Place(str(tmp_path / "second")),))

    result = backup.run(wanted, a_report(received, dry_run=True))

    text = logged(received)
    size = format_size(source.stat().st_size)
    assert f"copy {source} ({size}, in WAL mode) to {copies} (to be made)" in text
    assert "for the scratch file that proves it" in text
    assert f"second copy in {tmp_path / 'second'}" in text
    assert result["fits"] is True
    assert sorted(os.listdir(tmp_path)) == ["cards.sqlite3.db"]


def test_progress_is_bytes_and_ends_at_all_of_them(source, copies):
    received = []
    backup.run(backup.Params(source, copies), a_report(received))

    said = [one for one in received if isinstance(one, Progress)]

    assert {one.unit for one in said} == {"bytes"}
    assert said[-1] == Progress(2 * source.stat().st_size, 2 * source.stat().st_size, "bytes")
    assert [one.done for one in said] == sorted(one.done for one in said)


@pytest.mark.parametrize("after", [1, 2, 3, 4, 5, 6])
def test_a_cancelled_run_leaves_nothing(tmp_path, copies, after):
    source = a_database(tmp_path / "cards.db", rows=6000)
    report, received = a_report(), []

    def cancel_then(message):
        received.append(message)
        report.cancelled = len(received) >= after

    report.send = cancel_then
    with pytest.raises(WorkerError, match="cancelled"):
        backup.run(backup.Params(source, copies), report)

    assert ours(copies) == []


@pytest.mark.long
@pytest.mark.parametrize("value", ["zeroblob(1000000)", "NULL", "randomblob(1000000)"])
def test_memory_stays_below_64_mb(value, tmp_path, copies):
    source = a_database(tmp_path / "large.db", 160_000 if value == "NULL" else 200, before=f"""
        CREATE TABLE large (value);
        WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 200)
        INSERT INTO large SELECT {value} FROM c""")  # fmt: skip
    assert source.stat().st_size > 80e6

    measured = subprocess.run(
        [sys.executable, "-c", MEMORY, source, copies], capture_output=True, text=True, check=True
    )

    assert int(measured.stdout) * 1024 <= 64e6


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"level": 0}, "level: expected 1 to 9, got 0"),
        ({"copies": ["/b", "/b"]}, "copies: expected places that differ, got /b twice"),
        ({"copies": "/a"}, "copies: expected places that differ, got /a twice"),
        ({"database": "/x/.."}, "database: expected a name without"),
        ({"databse": "/x"}, "databse: unknown parameter"),
    ],
)
def test_mistakes_in_the_with_block_name_their_key(given, words):
    with pytest.raises(params.ParamsError) as bad:
        params.parse(backup.Params, {"database": "/x/y.db", "directory": "/a"} | given)

    assert words in str(bad.value)
