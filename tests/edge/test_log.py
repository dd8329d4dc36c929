"""The service's own log: readable, masked, bounded."""

import json
import os
from datetime import UTC, datetime

import pytest

from supervisor.core.effects import Note
from supervisor.log import MOST_WAITING, MOST_WAITING_BYTES, ServiceLog
from supervisor.redaction.mask import make_mask

AT = datetime(2026, 2, 9, 2, 0, tzinfo=UTC)


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def test_a_line_of_json_carries_job_run_and_attempt(pipe):
    log = ServiceLog("info", as_json=True, fd=pipe[1])

    log.note(AT, Note("warning", "it is late", "sync", 7, 2))
    log.close()

    assert json.loads(os.read(pipe[0], 4096)) == {
        "at": "2026-02-09T02:00:00Z",
        "level": "warning",
        "text": "it is late",
        "job": "sync",
        "run": 7,
        "attempt": 2,
    }


def test_a_line_of_text_is_one_line(pipe):
    log = ServiceLog("info", as_json=False, fd=pipe[1])

    log.note(AT, Note("info", "one\ntwo", "sync", 7, 2))
    log.close()

    line = os.read(pipe[0], 4096).decode()
    assert line.endswith("info    job=sync run=7 attempt=2 one | two\n")


def test_a_line_of_text_holds_nothing_that_a_terminal_obeys(pipe):
    log = ServiceLog("info", as_json=False, fd=pipe[1])

    log.note(AT, Note("info", "a\x1b[31m\x07b\rc\x9bd\u2028e"))
    log.close()

    line = os.read(pipe[0], 4096).decode()
    assert line.endswith("info    a\\x1b[31m\\x07b\\rc\\x9bd\\u2028e\n")


def test_what_is_below_the_level_is_left_out(pipe):
    log = ServiceLog("warning", as_json=False, fd=pipe[1])

    log.note(AT, Note("info", "quiet"))
    log.note(AT, Note("error", "loud"))
    log.close()

    assert b"quiet" not in os.read(pipe[0], 4096)


def test_secrets_are_masked(pipe):
    log = ServiceLog("info", as_json=True, fd=pipe[1])
    log.mask = make_mask(["hunter2"])

    log.note(AT, Note("info", "the password is hunter2, at postgres://u:pw@host/db"))
    log.close()

    line = os.read(pipe[0], 4096)
    assert b"hunter2" not in line
    assert b"u:***@host" in line


def test_a_reader_that_does_not_read_costs_lines_and_never_the_writer():
    read, write = os.pipe()
    log = ServiceLog("info", as_json=False, fd=write)

    for number in range(3 * MOST_WAITING):
        log.note(AT, Note("info", f"line {number}"))

    assert log.dropped > 0
    os.close(read)  # the writer thread, blocked in its write, now fails line by line and ends
    log.close()
    os.close(write)


def test_long_lines_that_nobody_reads_are_bounded_by_their_bytes():
    read, write = os.pipe()
    log = ServiceLog("info", as_json=False, fd=write)
    text = "x" * 60_000

    for _ in range(1000):
        log.note(AT, Note("info", text))

    assert 1000 - log.dropped <= MOST_WAITING_BYTES / len(text) + 5
    os.close(read)
    log.close()
    os.close(write)


def test_lines_of_one_turn_count_one_by_one():
    read, write = os.pipe()
    log = ServiceLog("info", as_json=False, fd=write)

    for _ in range(3 * MOST_WAITING // 8):
        log.note(AT, *[Note("info", "line")] * 8)

    assert log.dropped > MOST_WAITING
    os.close(read)
    log.close()
    os.close(write)
