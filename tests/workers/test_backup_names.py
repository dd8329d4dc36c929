"""Names, manifests, gzip blocks and times of day, without a disk."""

import dataclasses
import gzip
import hashlib
import os
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.backup import filenames, gzip_codec, listing, selection, stream
from workers.backup.errors import BackupError
from workers.backup.listing import Backup, State
from workers.backup.manifest import Manifest, ManifestError, decode, encode
from workers.backup.stream import Unpacked

NOW = datetime(2026, 2, 11, 12, 0, tzinfo=UTC)  # a Wednesday, 13:00 in Berlin
BERLIN = "Europe/Berlin"
MANIFEST = Manifest(
    name="a-2026-02-09T00-00-00Z.sqlite3.db.gz",
    source="/a.db",
    host="h",
    taken_at="2026-02-09T00:00:00+00:00",
    verified_at="2026-02-09T00:00:01+00:00",
    sha256="0" * 64,
    size_bytes=1,
    database_sha256="1" * 64,
    database_size_bytes=2,
    page_size=4096,
    page_count=1,
    encoding="UTF-8",
    auto_vacuum=0,
    user_version=0,
    application_id=0,
    rows={"a": 1},
    foreign_key_violations=0,
    wal=True,
    mode=0o644,
    uid=0,
    gid=0,
    method="frozen",
    writers_held_seconds=0.001,
    duration_seconds=1.5,
    versions={"sqlite": "3"},
)


def a_backup(moment, state=State.VERIFIED, source="/data/a.db"):
    path = Path("/copies") / filenames.copy_name("a", moment)
    return Backup(path, "a", source, moment, 10, 40, state, "", False)


@pytest.mark.parametrize(
    ("database", "stem"),
    [
        ("/var/pokemon-data.sqlite3.db", "pokemon-data"),
        ("cards", "cards"),
        (".hidden.db", "hidden"),
        ("Übersicht 1.db", "Übersicht 1"),
    ],
)
def test_a_copy_is_called_after_its_database_up_to_the_first_dot(database, stem):
    assert filenames.stem(Path(database)) == stem
    assert filenames.copy_name(stem, NOW) == f"{stem}-2026-02-11T12-00-00Z.sqlite3.db.gz"


@pytest.mark.parametrize("name", ["a\\b.db", "a\nb.db", "...", "x" * 250])
def test_a_name_that_its_sidecar_could_not_hold_is_refused(name):
    with pytest.raises(ValueError):
        filenames.stem(Path(name))


@given(
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=40),
    st.integers(0, 10**10),
)
def test_a_name_is_read_as_it_was_written(stem, seconds):
    moment = datetime.fromtimestamp(seconds, UTC)

    read = filenames.parse(filenames.copy_name(stem, moment))

    assert read is not None
    assert (read.stem, read.taken_at) == (stem, moment)


@pytest.mark.parametrize(
    "name",
    [
        "a-2026-02-31T00-00-00Z.sqlite3.db.gz",
        "a-2026-02-09T00-00-00Z.sqlite3.db.gz.bak",
        "a-2026-02-09T00-00-00.sqlite3.db.gz",
        "a-2026-02-09T00-00-00Z.db.gz",
        "-2026-02-09T00-00-00Z.sqlite3.db.gz",
        "a-٢٠٢٦-02-09T00-00-00Z.sqlite3.db.gz",
        "backup-1700000000.gz",
    ],
)
def test_other_names_are_foreign(name):
    assert filenames.parse(name) is None
    assert filenames.leftover_of(f"{name}.part") is None


def test_a_manifest_is_read_as_it_was_written():
    assert decode(encode(MANIFEST)) == MANIFEST


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no JSON"),
        (b"[" * 10_000, "is no JSON"),
        (b"[]", "is no JSON object"),
        (b"{}", "missing required field"),
        (encode(MANIFEST).replace(b'"format": 1', b'"format": 2'), "has format 2, expected 1"),
        (encode(MANIFEST).replace(b'"a": 1', b'"a": 2'), "was changed after it was written"),
        (encode(MANIFEST).replace(b'"a": 1', b'"a":  1'), "was changed after it was written"),
        (encode(MANIFEST) + b" ", "was changed after it was written"),
    ],
)
def test_a_manifest_that_was_changed_is_named_so(content, words):
    with pytest.raises(ManifestError, match=words):
        decode(content)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=5000), st.sampled_from([1, 3, 6]), st.integers(1, 400))
def test_any_bytes_come_back_and_both_sums_are_those_of_the_tools(content, level, repeat):
    whole = content * repeat
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as packed:
        source.write(whole)
        source.flush()
        sums = stream.pack(source.fileno(), len(whole), packed.fileno(), level, 0, lambda _: None)
        packed.seek(0)
        assert gzip.decompress(packed.read()) == whole

        packed.seek(0)
        with tempfile.TemporaryFile() as back:
            os.lseek(packed.fileno(), 0, os.SEEK_SET)
            again = stream.unpack(packed.fileno(), back.fileno(), len(whole), lambda _: None)
            back.seek(0)
            assert back.read() == whole
    assert again == Unpacked(sums.sha256, sums.size_bytes, len(whole))
    assert sums.database_sha256 == hashlib.sha256(whole).hexdigest()


def test_a_copy_that_holds_more_than_it_should_is_ended_early():
    bomb = gzip.compress(bytes(5_000_000))
    with tempfile.TemporaryFile() as packed, tempfile.TemporaryFile() as target:
        packed.write(bomb)
        packed.seek(0)

        with pytest.raises(stream.BadCopyError, match="holds more than the 1000 bytes"):
            stream.unpack(packed.fileno(), target.fileno(), 1000, lambda _: None)
        assert os.fstat(target.fileno()).st_size <= 1000


@pytest.mark.long
def test_what_inflates_much_further_than_others_waits_for_anyone_who_writes():
    packed_whole = gzip.compress(bytes(64_000_000))
    mine, theirs = os.pipe()
    with (
        tempfile.TemporaryFile() as packed,
        open(mine, "rb", buffering=0) as slow,
        ThreadPoolExecutor(1) as lane,
    ):
        packed.write(packed_whole)
        packed.seek(0)
        read = lane.submit(lambda: sum(len(piece) for piece in iter(lambda: slow.read(4096), b"")))
        tracemalloc.start()
        try:
            stream.unpack(packed.fileno(), theirs, 64_000_000, lambda _: None)
            _, most_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            os.close(theirs)

    assert read.result() == 64_000_000
    assert most_bytes < 2 * (stream.AHEAD + 2) * stream.BLOCK_BYTES


def test_without_isal_the_standard_library_writes_and_reads_the_same(monkeypatch):
    fast = gzip_codec.deflate(b"abc" * 1000, 1)
    monkeypatch.setattr(gzip_codec, "_isal", None)
    slow = gzip_codec.deflate(b"abc" * 1000, 1)

    for block in (fast, slow):
        member = (
            gzip_codec.header(0)
            + block
            + gzip_codec.trailer(gzip_codec.crc32(b"abc" * 1000), 3000)
        )
        assert gzip_codec.inflater().decompress(member) == b"abc" * 1000
    assert gzip_codec.name(1).startswith("zlib")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Tue 08:00", "2026-02-10T07:00"),
        ("tuesday 8:00", "2026-02-10T07:00"),
        ("Wed 08:00", "2026-02-11T07:00"),
        ("Wed 14:00", "2026-02-04T13:00"),
        ("08:00", "2026-02-11T07:00"),
        ("23:30", "2026-02-10T22:30"),
        ("yesterday 08:00", "2026-02-10T07:00"),
        ("yesterday", "2026-02-10T22:59:59.999999"),
        ("today", "2026-02-11T22:59:59.999999"),
        ("2026-02-09 08:00", "2026-02-09T07:00"),
        ("2026-02-09", "2026-02-09T22:59:59.999999"),
        ("2026-02-09T08:00:00Z", "2026-02-09T08:00"),
        ("2026-07-01 08:00", "2026-07-01T06:00"),
    ],
)
def test_a_time_is_understood_as_people_say_it(said, meant):
    assert selection.instant(said, NOW, BERLIN) == datetime.fromisoformat(meant).replace(
        tzinfo=UTC
    )


@pytest.mark.parametrize(
    "said",
    [
        *("", "soon", "T 08:00", "s", "25:00", "Tue 08:61", "31.12.2025", "1" * 5000),
        *("0001-01-01", "1969-12-31", "9999-12-31", "0001-01-01T00:00+14:00"),
    ],
    ids=lambda said: said[:30],
)
def test_what_is_no_time_is_refused_with_what_is_expected(said):
    with pytest.raises(BackupError, match='expected "latest", "Tue 08:00"'):
        selection.instant(said, NOW, BERLIN)


def test_the_newest_verified_copy_of_the_time_is_chosen():
    days = [NOW - timedelta(days=number, hours=12) for number in range(4)]
    known = [a_backup(day) for day in days]
    known[0] = dataclasses.replace(known[0], state=State.DAMAGED)

    assert selection.choose(known, "latest", NOW, BERLIN) is known[1]
    assert selection.choose(known, "Tue 08:00", NOW, BERLIN) is known[1]
    assert selection.choose(known, "Tue 00:59", NOW, BERLIN) is known[2]
    with pytest.raises(
        BackupError, match=r"at or before Sun 2026-02-01 .* the oldest is of Sun 2026"
    ):
        selection.choose(known, "2026-02-01", NOW, BERLIN)
    with pytest.raises(BackupError, match="no verified copy among 1"):
        selection.choose(known[:1], "latest", NOW, BERLIN)


def test_a_copy_from_the_future_is_not_the_latest_while_there_is_another():
    known = [a_backup(NOW + timedelta(days=9)), a_backup(NOW - timedelta(days=1))]

    assert selection.choose(known, "latest", NOW, BERLIN) is known[1]
    assert selection.choose(known[:1], "latest", NOW, BERLIN) is known[0]
    assert selection.choose(known, "2026-02-28", NOW, BERLIN) is known[0]
    soon = [a_backup(NOW + timedelta(minutes=9)), *known]
    assert selection.choose(soon, "today", NOW, BERLIN) is known[1]
    assert selection.choose(soon, "2026-02-11 23:00", NOW, BERLIN) is known[1]
    assert selection.choose(soon[:1], "today", NOW, BERLIN) is soon[0]


def test_copies_of_several_databases_are_not_guessed_among():
    known = [a_backup(NOW), a_backup(NOW - timedelta(days=1), source="/data/b.db")]

    assert selection.of_database(known, Path("/data/b.db")) == known[1:]
    with pytest.raises(BackupError, match=r"copies of /data/a\.db, /data/b\.db"):
        selection.of_database(known, None)
    with pytest.raises(BackupError, match=r"no copy of /data/c\.db; there are copies of /data/a"):
        selection.of_database(known, Path("/data/c.db"))


def test_what_is_safe_to_remove_is_reported_for_each_database_apart():
    days = [NOW - timedelta(days=number) for number in range(4)]
    one, other = (
        [a_backup(day) for day in days],
        [a_backup(day, source="/data/b.db") for day in days[:3]],
    )

    reported = listing.removable([*one, *other], Path("/copies"))

    assert reported.startswith(
        "safe to remove in /copies: 1 older than the newest 3 of each (10 bytes)"
    )
    assert listing.removable(other, Path("/copies")) == "safe to remove in /copies: nothing"
