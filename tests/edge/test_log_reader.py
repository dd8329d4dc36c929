"""Reading a log in pieces: nothing lost, no character split, bounded memory."""

import asyncio
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.api.log_reader import LONGEST_LINE_BYTES, PIECE_BYTES, LogReader
from supervisor.containment.run_log import HEAD_BYTES, SEGMENT_BYTES, RunLog, join
from supervisor.redaction.mask import make_mask

SECRET = "t0ken-123456789"


def write(runs_dir: Path, text: bytes) -> None:
    log = RunLog(runs_dir, 7, 1)
    log.write(text)
    log.close()


def read(runs_dir: Path, secrets: tuple[str, ...] = ()) -> list[bytes]:
    async def all_pieces() -> list[bytes]:
        return [piece async for piece in LogReader(runs_dir, 7, make_mask(secrets)).kept()]

    return asyncio.run(all_pieces())


def test_a_log_is_read_whole_in_small_pieces(tmp_path):
    text = b"".join(b"%015d\n" % number for number in range(100_000))
    write(tmp_path, text)

    pieces = read(tmp_path)

    assert b"".join(pieces) == text
    assert max(map(len, pieces)) <= PIECE_BYTES + 16


def test_what_was_dropped_is_counted_at_its_place(tmp_path):
    text = b"".join(b"%015d\n" % number for number in range(400_000))
    log = RunLog(tmp_path, 7, 1)
    for at in range(0, len(text), 10_000):
        log.write(text[at : at + 10_000])
    log.close()

    assert b"".join(read(tmp_path)) == join(tmp_path, 7)


def test_no_secret_is_cut_in_two(tmp_path):
    line = f"password {SECRET} of user\n".encode()
    write(tmp_path, line * 20_000)

    found = b"".join(read(tmp_path, (SECRET,)))

    assert found == b"password *** of user\n" * 20_000


def test_a_line_without_end_is_not_waited_for(tmp_path):
    write(tmp_path, b"x" * (HEAD_BYTES + SEGMENT_BYTES))

    pieces = read(tmp_path)

    assert sum(map(len, pieces)) == HEAD_BYTES + SEGMENT_BYTES
    assert max(map(len, pieces)) <= LONGEST_LINE_BYTES + PIECE_BYTES


def test_no_log_is_no_text(tmp_path):
    assert read(tmp_path) == [b""]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=200), max_size=30))
def test_any_bytes_come_as_text(tmp_path_factory, lines):
    runs_dir = tmp_path_factory.mktemp("runs")
    text = b"\n".join(lines)
    write(runs_dir, text)

    assert b"".join(read(runs_dir)).decode() == text.decode(errors="replace")
