"""Damage to a copy or its companion files is found and named."""

import dataclasses
import hashlib
import os
import random
import shutil
import subprocess

import pytest

from tests.workers.backup_folder import a_database, a_small_disk, ours, root_only, run
from tests.workers.catalogue_folder import a_report
from workers.backup import filenames, listing, manifest, marks, verify, verify_run
from workers.backup.errors import (
    BackupCancelledError,
    BackupError,
    DamagedBackupError,
    UnprovenError,
)
from workers.backup.listing import State
from workers.backup.manifest import encode
from workers.report import WorkerError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make two copies of two databases; each test that damages them copies them first."""
    room = tmp_path_factory.mktemp("made")
    for name, rows in (("one", 300), ("two", 40)):
        run(a_database(room / f"{name}.db", rows=rows), room / "copies")
    return room / "copies"


@pytest.fixture
def copies(made, tmp_path):
    return shutil.copytree(made, tmp_path / "copies")


@pytest.fixture
def copy(copies):
    return next(path for path in copies.glob("one-*.gz"))


@pytest.fixture
def other(copies):
    return next(path for path in copies.glob("two-*.gz"))


def beside(copy, ending):
    return copy.with_name(f"{copy.name}{ending}")


def damage(copy):
    """Return the error about the copy."""
    with pytest.raises(DamagedBackupError) as damaged:
        verify.verify(copy)
    return damaged.value.what


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_sound_copy_is_proven_again_and_no_scratch_file_stays(copies, copy):
    before = ours(copies)

    proven = verify.verify(copy)

    assert proven.manifest.rows == {"moves": 300, "totals": 7}
    assert ours(copies) == before


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
def test_any_flipped_bit_of_a_copy_is_found(copy, step):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice, size = random.Random(seed), copy.stat().st_size
    whole = copy.read_bytes()
    # Bits of header and trailer, and some at random.
    places = [*range(0, 80, step), *range(size * 8 - 64, size * 8, step)]
    places += [dice.randrange(size * 8) for _ in range(40 // step)]

    for bit in places:
        flip(copy, bit)
        assert damage(copy), bit
        copy.write_bytes(whole)

    assert verify.verify(copy)


@pytest.mark.parametrize("ending", [filenames.SIDECAR, filenames.MANIFEST])
def test_any_flipped_bit_beside_a_copy_is_found_and_named(copy, ending):
    path = beside(copy, ending)
    whole = path.read_bytes()

    for bit in range(0, len(whole) * 8, 37):
        flip(path, bit)
        said = damage(copy)
        assert "sidecar" in said or "manifest" in said, bit
        path.write_bytes(whole)

    assert verify.verify(copy)


@pytest.mark.parametrize(("cut", "words"), [(1, "is cut short: it has"), (5000, "is cut short")])
def test_a_truncated_copy_is_found(copy, cut, words):
    copy.write_bytes(copy.read_bytes()[:-cut])

    assert words in damage(copy)


def test_an_empty_copy_is_found(copy):
    copy.write_bytes(b"")

    assert "is cut short: it has 0 of" in damage(copy)


def test_what_was_appended_is_found(copy):
    copy.write_bytes(copy.read_bytes() + b"x")

    assert "is too long" in damage(copy)


def test_a_swapped_sidecar_is_named(copy, other):
    shutil.copy(beside(other, filenames.SIDECAR), beside(copy, filenames.SIDECAR))

    assert f"has the sidecar of another file beside it: it names '{other.name}'" in damage(copy)


def test_a_sidecar_with_anothers_hash_is_named(copy):
    beside(copy, filenames.SIDECAR).write_bytes(filenames.sidecar_line(copy.name, "0" * 64))

    assert f"sidecar {copy.name}.sha256 that names another hash" in damage(copy)


def test_the_manifest_of_another_file_is_named(copy, other):
    shutil.copy(beside(other, filenames.MANIFEST), beside(copy, filenames.MANIFEST))

    assert f"has the manifest of another copy beside it: {other.name}" in damage(copy)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("database_sha256", "0" * 64, "it unpacks to SHA-256"),
        ("rows", {"moves": 299, "totals": 7}, "holds other rows than its snapshot: moves 300"),
        ("user_version", 9, "holds a database of another shape"),
        ("foreign_key_violations", 1, "has 0 foreign key violations, expected 1"),
        ("database_size_bytes", 1000, "holds more than the 1000 bytes"),
    ],
)
def test_a_manifest_that_tells_of_another_content_is_found(copy, field, value, words):
    reported = dataclasses.replace(manifest.read(copy), **{field: value})
    beside(copy, filenames.MANIFEST).write_bytes(encode(reported))

    assert words in damage(copy)


def test_a_copy_exchanged_for_another_is_found(copy, other):
    shutil.copy(other, copy)

    assert "is cut short" in damage(copy)


@pytest.mark.parametrize("ending", [filenames.SIDECAR, filenames.MANIFEST])
def test_a_copy_without_its_companion_files_is_unproven_and_they_are_named(copy, ending):
    beside(copy, ending).unlink()

    with pytest.raises(UnprovenError, match=f"has no {copy.name}{ending} beside it"):
        verify.verify(copy)


@pytest.mark.parametrize("ending", [filenames.SIDECAR, filenames.MANIFEST])
def test_companion_files_that_are_a_pipe_are_named_without_waiting(copies, copy, ending):
    beside(copy, ending).unlink()
    os.mkfifo(beside(copy, ending))

    assert f"{copy.name}{ending} beside it that is not a regular file" in damage(copy)
    assert {one.state for one in listing.list_backups(copies) if one.path == copy} == {
        State.DAMAGED
    }


@pytest.mark.parametrize("ending", [filenames.SIDECAR, filenames.MANIFEST])
def test_companion_files_of_a_gigabyte_are_not_taken_into_memory(copy, ending):
    os.truncate(beside(copy, ending), 1 << 30)

    assert f"{copy.name}{ending} beside it that is larger than 16 MiB" in damage(copy)


def test_companion_files_that_could_not_be_read_again_are_not_written(copy):
    vast = dataclasses.replace(manifest.read(copy), rows={"x" * (17 << 20): 1})

    with pytest.raises(BackupError, match=r"for 1 table has 17\.8 MB, expected at most 16\.8 MB"):
        manifest.companions(vast)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_a_finding_that_cannot_be_read_counts_all_the_same(copies, copy, make):
    make(marks.mark_path(copy))

    (listed,) = [one for one in listing.list_backups(copies) if one.path == copy]

    assert listed.state is State.DAMAGED
    assert listed.why.startswith(
        f"has a finding against it, {marks.mark_path(copy).name}, which is"
    )


def test_a_finding_is_remembered_until_the_copy_is_proven_again(copies, copy):
    whole = copy.read_bytes()
    flip(copy, 8 * 4000)
    damage(copy)
    copy.write_bytes(whole)

    found = {one.path: one for one in listing.list_backups(copies)}[copy]
    verify.verify(copy)
    after = {one.path: one for one in listing.list_backups(copies)}[copy]

    assert found.state is State.DAMAGED
    assert found.why
    assert (after.state, after.why) == (State.VERIFIED, "")


@pytest.mark.parametrize("name", ["notes.txt", "one.sqlite3.db.gz"])
def test_a_foreign_file_is_no_copy(copies, name):
    (copies / name).write_text("x")

    with pytest.raises(BackupError, match="is no copy of ours"):
        verify.verify(copies / name)
    assert len(listing.list_backups(copies)) == 2


def test_a_missing_copy_is_no_damage(copies, copy):
    copy.unlink()

    with pytest.raises(BackupError, match="does not exist"):
        verify.verify(copy)


@root_only
def test_a_proof_for_which_there_is_no_room_is_not_begun(copy, tmp_path):
    with a_small_disk(tmp_path / "disk", "144K") as disk:
        for ending in ("", filenames.SIDECAR, filenames.MANIFEST):
            shutil.copy(beside(copy, ending), disk)

        with pytest.raises(
            BackupError, match=r"has .* free, expected .* to prove one-"
        ) as refused:
            verify.verify(disk / copy.name, lambda _done: pytest.fail("was begun"))

        assert not isinstance(refused.value, DamagedBackupError)
        assert marks.read_mark(disk / copy.name) == ""


def test_a_proof_can_be_ended(copies, copy):
    def end(_done):
        raise BackupCancelledError

    with pytest.raises(BackupCancelledError):
        verify.verify(copy, end)

    assert not list(copies.glob("*scratch*"))


def test_the_catalogue_is_newest_first_and_passes_over_links_and_folders(copies, copy):
    (copies / "one-2020-01-01T00-00-00Z.sqlite3.db.gz").symlink_to(copy)
    (copies / "one-2020-01-02T00-00-00Z.sqlite3.db.gz").mkdir()

    listed = listing.list_backups(copies)

    assert len(listed) == 2
    assert [one.taken_at for one in listed] == sorted((o.taken_at for o in listed), reverse=True)
    assert {one.stem for one in listed} == {"one", "two"}


def test_what_is_kept_by_hand_is_marked_until_it_is_released(copies, copy, other):
    marks.keep(copy)
    marks.keep(copy)
    marked = {one.path: one.kept for one in listing.list_backups(copies)}

    assert marked == {copy: True, other: False}
    assert marks.release(copy)
    assert not marks.release(copy)
    assert not any(one.kept for one in listing.list_backups(copies))


def test_only_a_copy_can_be_kept(copies):
    (copies / "notes.txt").write_text("x")

    with pytest.raises(BackupError, match="expected the path of a copy"):
        marks.keep(copies / "notes.txt")


def rewritten(copy, form):
    """Rewrite the sidecar of `copy` as another program writes it."""
    path = beside(copy, filenames.SIDECAR)
    sha256 = path.read_text()[:64]
    path.write_bytes(form.format(hash=sha256, HASH=sha256.upper(), name=copy.name).encode())


@pytest.mark.parametrize(
    "form",
    [
        "{hash} *{name}\n",
        "{hash}  {name}",
        "{hash}  {name}\r\n",
        "{hash} *{name}\r\n",
        "{HASH}  {name}\n",
        "{hash}  ./{name}\n",
        "{hash}  /mnt/nas/{name}\n",
        "SHA256 ({name}) = {hash}\n",
        "{hash}  other.gz\n{hash} *{name}\n",
    ],
)
def test_a_sidecar_as_any_sha256sum_writes_it_is_good(copies, copy, form):
    rewritten(copy, form)

    assert verify.verify(copy)
    assert {one.state for one in listing.list_backups(copies)} == {State.VERIFIED}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("{hash}   {name}\n", "of another file"),
        ("{hash} {name}\n", "no line of sha256sum"),
        ("{hash}\n", "no line of sha256sum"),
        ("{hash} *other.gz\n", "of another file"),
        ("0{hash} *{name}\n", "no line of sha256sum"),
        ("", "no line of sha256sum"),
        ("\n\n", "no line of sha256sum"),
    ],
)
def test_what_only_looks_like_a_line_of_sha256sum_is_not(copy, form, words):
    rewritten(copy, form)

    assert words in damage(copy)


@pytest.mark.parametrize("name", ["a\\b", "a\nb", "a\rb", "\\n", "a*b", " a"])
@pytest.mark.parametrize("options", [["-b"], ["-t"], ["--tag"]], ids=lambda words: words[0])
def test_a_name_that_sha256sum_escapes_is_read_as_it_was(tmp_path, name, options):
    file = tmp_path / f"{name}-2026-02-09T00-00-00Z.sqlite3.db.gz"
    file.write_bytes(b"x")
    done = subprocess.run(["sha256sum", *options, file.name], cwd=tmp_path, capture_output=True)
    beside(file, filenames.SIDECAR).write_bytes(done.stdout)

    assert manifest.sidecar_hash(file) == hashlib.sha256(b"x").hexdigest()


def test_a_run_verifies_one_copy(copy):
    report = a_report()

    done = verify_run.run(verify_run.Params(copy), report)

    assert (done["file"], done["warnings"]) == (str(copy), 0)
    assert done["rows"] == sum(verify.verify(copy).manifest.rows.values())


def test_a_run_fails_for_good_and_marks_a_damaged_copy(copy):
    flip(copy, 900)

    with pytest.raises(WorkerError, match=r"Incorrect checksum|no whole gzip file") as failed:
        verify_run.run(verify_run.Params(copy), a_report())

    assert failed.value.permanent
    assert beside(copy, ".damaged").exists()


def test_a_cancelled_run_leaves_no_scratch_file(copy):
    report = a_report()
    report.cancelled = True
    before = sorted(copy.parent.iterdir())

    with pytest.raises(WorkerError, match="cancelled"):
        verify_run.run(verify_run.Params(copy), report)

    assert sorted(copy.parent.iterdir()) == before


def test_a_dry_run_says_what_would_be_done(copy):
    report = a_report(dry_run=True)

    assert verify_run.run(verify_run.Params(copy), report) == {"file": str(copy)}
