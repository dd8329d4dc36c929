"""A run's log: what is kept, counters, and reading order."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.containment import run_log
from supervisor.containment.run_log import HEAD_BYTES, SEGMENT_BYTES, RunLog


def write(runs_dir: Path, *pieces: bytes, attempt: int = 1, run: int = 7) -> RunLog:
    log = RunLog(runs_dir, run, attempt)
    for piece in pieces:
        log.write(piece)
    log.close()
    return log


def numbered(lines: int) -> bytes:
    return b"".join(b"%015d\n" % number for number in range(lines))


def test_nothing_written_makes_no_file(tmp_path: Path):
    log = write(tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert log.kept_bytes == 0
    assert run_log.join(tmp_path, 7) == b""


@pytest.mark.parametrize(
    "lines",
    [1, 16_384, 16_385, 65_536, 65_537, 100_000],
    ids=["a line", "the head", "one more", "one segment", "two", "most of both"],
)
def test_what_fits_is_kept_whole(tmp_path: Path, lines: int):
    write(tmp_path, numbered(lines))

    assert run_log.join(tmp_path, 7) == numbered(lines)


def test_of_more_the_head_and_the_newest_are_kept_and_the_rest_is_counted(tmp_path: Path):
    text = numbered(1_000_000)

    log = write(tmp_path, *(text[at : at + 10_000] for at in range(0, len(text), 10_000)))

    kept = run_log.join(tmp_path, 7)
    head, _, rest = kept[HEAD_BYTES:].partition(b" bytes dropped ---\n")
    dropped = int(head.removeprefix(b"\n--- "))
    assert kept[:HEAD_BYTES] == text[:HEAD_BYTES]
    assert text.endswith(rest)
    assert HEAD_BYTES + dropped + len(rest) == len(text)
    assert SEGMENT_BYTES <= len(rest) <= 2 * SEGMENT_BYTES
    assert log.kept_bytes == run_log.size(tmp_path, 7) <= HEAD_BYTES + 2 * SEGMENT_BYTES + 42


def test_attempts_follow_each_other(tmp_path: Path):
    write(tmp_path, b"one\n")
    write(tmp_path, b"two\n", attempt=2)
    write(tmp_path, attempt=3)
    write(tmp_path, b"four\n", attempt=4)

    assert run_log.join(tmp_path, 7) == (b"one\n--- attempt 2 ---\ntwo\n--- attempt 4 ---\nfour\n")


@pytest.mark.parametrize("first", [10_000, 20_000, 70_000, 200_000])
def test_an_attempt_goes_on_in_the_file_where_the_last_one_ended(tmp_path: Path, first: int):
    text = numbered(first)
    write(tmp_path, text)
    before = run_log.join(tmp_path, 7)

    write(tmp_path, b"again\n", attempt=2)

    assert run_log.join(tmp_path, 7) == before + b"--- attempt 2 ---\nagain\n"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 700_000), max_size=8), st.data())
def test_head_dropped_and_rest_always_add_up(tmp_path_factory, sizes, data):
    folder = tmp_path_factory.mktemp("runs")
    log = RunLog(folder, 7, 1)
    for size in sizes:
        log.write(b"x" * size)
    log.close()

    kept = run_log.join(folder, 7)
    dropped = 0
    if b" bytes dropped" in kept:
        line = kept[kept.index(b"\n--- ") : kept.index(b" ---\n") + 5]
        dropped = int(line.split()[1]) - len(line)
    assert len(kept) + dropped == sum(sizes)


def test_logs_are_private(tmp_path: Path):
    before = os.umask(0)
    write(tmp_path, numbered(100_000))
    os.umask(before)

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_link_laid_in_the_way_is_not_followed(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "7.log").symlink_to(victim)

    write(tmp_path, b"output")

    assert victim.read_text() == "precious"


def test_the_newest_output_begins_with_a_whole_line(tmp_path: Path):
    write(tmp_path, b"secret-one\nb\n\xff\nd")

    assert run_log.newest(tmp_path, 7, 100) == (b"secret-one\nb\n\xff\nd", False)
    assert run_log.newest(tmp_path, 7, 8) == (b"b\n\xff\nd", False)
    assert run_log.newest(tmp_path, 8, 100) == (b"", False)


def test_what_is_written_over_a_line_begins_it_anew(tmp_path: Path):
    write(tmp_path, b"".join(b"\rsecret-%d %%" % n for n in range(50)) + b"\n")

    found, is_cut = run_log.newest(tmp_path, 7, 30)

    assert (found, is_cut) == (b"secret-48 %\rsecret-49 %\n", False)


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_line_without_a_beginning_is_asked_to_be_cut(tmp_path: Path, ending: bytes):
    write(tmp_path, b"x" * 1000 + ending)

    found, is_cut = run_log.newest(tmp_path, 7, 100)

    assert (len(found), is_cut) == (101, True)


def size(lines: list[str]) -> int:
    return sum(len(line) + 1 for line in lines)


@pytest.mark.parametrize("count", [100, 40_000, 100_000, 250_000])
def test_the_newest_output_goes_back_over_the_segments(tmp_path: Path, count: int):
    write(tmp_path, numbered(count))
    whole = run_log.join(tmp_path, 7).decode().splitlines()

    newest, is_cut = run_log.newest(tmp_path, 7, 16 * 1024)
    found = newest.decode().splitlines()

    assert not is_cut
    assert found == whole[-len(found) :]
    assert size(found) >= min(size(whole), 15 * 1024)


def test_remove_takes_all_of_one_run_and_nothing_else(tmp_path: Path):
    write(tmp_path, numbered(100_000))
    write(tmp_path, b"another", run=8)

    run_log.remove(tmp_path, 7)
    run_log.remove(tmp_path, 7)

    assert [path.name for path in tmp_path.iterdir()] == ["8.log"]


def test_a_full_disk_costs_lines_and_says_how_many(tmp_path: Path, monkeypatch):
    log = RunLog(tmp_path, 7, 1)
    log.write(b"before\n")
    really = os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    log.write(b"x" * 100)
    monkeypatch.setattr(os, "write", really)
    log.write(b"y" * 20)
    log.close()

    kept = run_log.join(tmp_path, 7).decode()
    assert kept.startswith("before\n\n--- 120 bytes lost: ")
    assert "No space left" in kept


def test_a_segment_just_begun_by_the_writer_is_no_problem_for_a_reader(tmp_path: Path):
    write(tmp_path, numbered(70_000))
    (tmp_path / "7.log.2").write_bytes(b"0000")

    assert run_log.join(tmp_path, 7).startswith(numbered(65_536))


def test_a_folder_that_is_not_there_costs_only_the_log(tmp_path: Path):
    log = write(tmp_path / "nowhere", b"lost")

    assert log.kept_bytes == 0
