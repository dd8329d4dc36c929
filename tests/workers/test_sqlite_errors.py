"""Error messages for each way in which SQLite refuses."""

import sqlite3
import subprocess
import sys
from contextlib import closing, suppress

import pytest

from tests.other_user import let_others_enter
from tests.workers.backup_folder import a_small_disk, root_only
from tests.workers.catalogue_folder import execute
from workers import sqlite
from workers.backup import lock_wait
from workers.sqlite import DatabaseError, DatabaseLockedError

# Would be interpreted by a template, a format or markup.
ADVERSARIAL = (
    "}",
    "{0}",
    "{folder.exists.__globals__[os].environ[HOME]}",
    "%s %n %(x)s",
    "[red]x[/red]",
    "<!channel>",
)


def an_error_of_the_index() -> sqlite3.Error:
    """Return SQLite's error, after ten seconds, when it cannot extend the index of a WAL."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    return error


@root_only
def test_an_index_that_cannot_grow_on_a_full_disk_is_a_full_disk(tmp_path):
    with a_small_disk(tmp_path / "disk", "1m") as disk:
        with open(disk / "filler", "wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))

        reported = sqlite.error_of(disk / "cards.db", an_error_of_the_index())

    assert str(reported).endswith(f"the disk is full; make room on the volume of {disk}")
    assert not reported.permanent


def test_any_other_error_of_a_disk_with_room_is_reported_as_it_is(tmp_path):
    reported = sqlite.error_of(tmp_path / "cards.db", an_error_of_the_index())

    assert str(reported) == f"database {tmp_path / 'cards.db'} fails: disk I/O error"


def test_a_folder_that_is_gone_has_no_bytes_to_count(tmp_path):
    reported = sqlite.error_of(tmp_path / "gone" / "cards.db", an_error_of_the_index())

    assert reported.reason == "fails: disk I/O error"


@pytest.mark.parametrize("text", ADVERSARIAL)
def test_what_sqlite_says_is_reported_as_it_is(tmp_path, text):
    reported = sqlite.error_of(tmp_path / "cards.db", sqlite3.OperationalError(text))

    assert reported.reason == f"fails: {text}"


@pytest.mark.parametrize("text", ADVERSARIAL)
def test_a_path_is_reported_as_it_is(tmp_path, text):
    path = tmp_path / text.replace("/", "") / "cards.db"
    path.parent.mkdir()
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorname = "SQLITE_CANTOPEN"

    reported = sqlite.error_of(path, error)

    assert (
        reported.reason == f"cannot be opened; check the owner and mode of it and of {path.parent}"
    )


@pytest.fixture
def locked(tmp_path):
    """Yield a database with a rollback journal that another connection keeps locked."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE a (b)")
        writer.execute("BEGIN EXCLUSIVE")
        yield path


def test_a_lock_is_reported_with_the_time_that_was_waited(locked):
    with pytest.raises(DatabaseLockedError) as refused:
        sqlite.open_existing(locked, busy_timeout_s=1.1)

    assert refused.value.reason == "is locked by another program for more than 1 s"
    assert not refused.value.permanent


def test_a_lock_that_was_not_waited_for_is_reported_without_a_time(locked):
    with pytest.raises(DatabaseLockedError) as refused:
        sqlite.open_existing(locked, busy_timeout_s=0)

    assert refused.value.reason == "is locked by another program"


def test_all_tries_for_a_lock_are_reported_together(locked, monkeypatch):
    monkeypatch.setattr(lock_wait, "_TRYING_S", 1.0)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.1)

    with pytest.raises(DatabaseLockedError) as refused:
        lock_wait.open_when_free(locked, lambda: None)

    assert refused.value.waited_s >= 1


def test_all_tries_to_read_are_reported_together(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_wait, "_TRYING_S", 1.0)
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE a (b)")
    with (
        closing(sqlite.open_existing(path)) as reader,
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
    ):
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as refused:
            lock_wait.begin_reading(reader, lambda: None)

    reported = sqlite.error_of(path, refused.value)

    assert reported.reason == "is locked by another program for more than 1 s"


def test_a_table_that_is_locked_within_a_process_is_reported_as_that(tmp_path):
    error = sqlite3.OperationalError("database table is locked")
    error.sqlite_errorname = "SQLITE_LOCKED"

    reported = sqlite.error_of(tmp_path / "a.db", error)

    assert reported.reason == "is locked by another connection"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"text" * 100), "is no SQLite database"),
        # A schema format that no SQLite has yet.
        (lambda path: path.write_bytes(of_format(9)), "unsupported file format"),
    ],
    ids=["missing", "text", "unknown format"],
)
def test_what_does_not_pass_is_not_tried_again(tmp_path, make, words):
    path, tries = tmp_path / "a.db", []
    make(path)

    with pytest.raises(DatabaseError, match=words) as refused:
        lock_wait.open_when_free(path, lambda: tries.append(1))

    assert refused.value.permanent
    assert tries == []


def of_format(number: int) -> bytes:
    """Create a database of this schema format."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute("CREATE TABLE a (b)")
        made.commit()
        content = bytearray(made.serialize())
    content[44:48] = number.to_bytes(4)
    return bytes(content)


def read_only(disk):
    """Remount the file system at `disk` read-only."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


@root_only
@pytest.mark.parametrize("opening", [{}, {"read_only": True}])
def test_a_wal_database_on_a_read_only_mount_is_reported_as_that(tmp_path, opening):
    with a_small_disk(tmp_path / "disk", "4m") as disk:
        execute(disk / "a.db", "PRAGMA journal_mode = WAL")
        execute(disk / "a.db", "CREATE TABLE a (b)")
        read_only(disk)

        with pytest.raises(DatabaseError) as refused:
            sqlite.open_existing(disk / "a.db", **opening)

    assert refused.value.permanent
    assert "is in WAL mode, for which SQLite has to write" in refused.value.reason
    assert f"{disk} is on a read-only file system" in refused.value.reason


@root_only
def test_a_wal_database_behind_a_link_is_reported_with_its_own_folder(tmp_path):
    link = tmp_path / "link.db"
    with a_small_disk(tmp_path / "disk", "4m") as disk:
        execute(disk / "a.db", "PRAGMA journal_mode = WAL")
        link.symlink_to(disk / "a.db")
        read_only(disk)

        with pytest.raises(DatabaseError, match=f"{disk} is on a read-only file system"):
            sqlite.open_existing(link)


@root_only
def test_a_half_done_transaction_on_a_read_only_mount_does_not_pass(tmp_path):
    with a_small_disk(tmp_path / "disk", "4m") as disk:
        path = disk / "a.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("CREATE TABLE a (b)")
            writer.execute("PRAGMA cache_size = 1")
            writer.execute("BEGIN")
            writer.execute("INSERT INTO a SELECT zeroblob(100000)")
            writer.execute("UPDATE a SET b = 1")
            left = {end: (disk / f"a.db{end}").read_bytes() for end in ("", "-journal")}
        for end, content in left.items():
            (disk / f"b.db{end}").write_bytes(content)
        read_only(disk)

        with pytest.raises(DatabaseError) as refused:
            sqlite.open_existing(disk / "b.db")

    assert refused.value.permanent
    assert "half done" in refused.value.reason
    assert "is on a read-only file system" in refused.value.reason


@root_only
def test_a_database_that_needs_no_log_is_read_on_a_read_only_mount(tmp_path):
    with a_small_disk(tmp_path / "disk", "4m") as disk:
        execute(disk / "a.db", "CREATE TABLE a (b)")
        read_only(disk)

        with closing(sqlite.open_existing(disk / "a.db")) as opened:
            assert opened.execute("SELECT * FROM a").fetchall() == []
            with pytest.raises(sqlite3.OperationalError) as refused:
                opened.execute("DROP TABLE a")

        reported = sqlite.error_of(disk / "a.db", refused.value)

    assert reported.reason == f"cannot be written; {disk} is on a read-only file system"


def test_a_folder_that_may_not_be_written_is_named_for_a_wal_database(tmp_path):
    path = tmp_path / "a.db"
    execute(path, "PRAGMA journal_mode = WAL")
    code = (
        "import os, sys; from pathlib import Path; from workers import sqlite\n"
        "os.chmod(sys.argv[1], 0o555); os.chmod(sys.argv[2], 0o666)\n"
        "os.geteuid() or os.setuid(65534)\n"
        "try: sqlite.open_existing(Path(sys.argv[2]))\n"
        "except sqlite.DatabaseError as problem: print(problem)"
    )
    let_others_enter(tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(path)], capture_output=True, text=True
    )

    assert "is in WAL mode, for which SQLite has to write" in done.stdout, done.stderr
    assert "cannot be written by" in done.stdout
