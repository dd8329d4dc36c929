"""Copies packed and unpacked in blocks on several cores, with the result of one inflater."""

import gzip
import os
import tempfile
import zlib
from dataclasses import dataclass, field

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workers.backup import gzip_codec, stream
from workers.backup.stream import BLOCK_BYTES, Sums, Unpacked

# Blocks that compress well, slightly, and not at all; the last one is short.
CONTENT = (
    b"card " * 100_000
    + bytes(range(256)) * 4000
    + bytes((n * n * n) >> 7 & 255 for n in range(700_000))
)


@dataclass(frozen=True)
class Packed:
    """The bytes of a copy and its sums."""

    whole: bytes = field(repr=False)
    sums: Sums


def packed(content: bytes, level: int) -> Packed:
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(content)
        source.flush()
        sums = stream.pack(
            source.fileno(), len(content), target.fileno(), level, 0, lambda _: None
        )
        target.seek(0)
        return Packed(target.read(), sums)


def unpacked(whole: bytes, sizes: tuple[int, ...], most_bytes: int) -> tuple[Unpacked, bytes]:
    with tempfile.TemporaryFile() as copy, tempfile.TemporaryFile() as target:
        copy.write(whole)
        copy.flush()
        found = stream.unpack_blocks(
            sizes, copy.fileno(), target.fileno(), most_bytes, lambda _: None
        )
        target.seek(0)
        return found, target.read()


@pytest.fixture(scope="module", params=[1, 6], ids=["isal", "zlib"])
def copy(request):
    return packed(CONTENT, request.param)


def test_blocks_are_one_gzip_file_and_come_back(copy):
    found, content = unpacked(copy.whole, copy.sums.block_sizes, len(CONTENT))

    assert gzip.decompress(copy.whole) == content == CONTENT
    assert found == Unpacked(copy.sums.sha256, copy.sums.size_bytes, len(CONTENT))
    assert len(copy.sums.block_sizes) == -(-len(CONTENT) // BLOCK_BYTES) > 3


def test_on_one_core_the_result_is_the_same(copy, monkeypatch):
    on_all = packed(CONTENT, 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})

    assert packed(CONTENT, 1) == on_all
    assert unpacked(copy.whole, copy.sums.block_sizes, len(CONTENT))[1] == CONTENT


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_changed_bit_is_refused_or_gives_another_hash(copy, place, bit):
    place %= len(copy.whole)
    # gunzip ignores the time in the header, and so does the trailer's checksum.
    assume(place > 3)
    damaged = bytearray(copy.whole)
    damaged[place] ^= 1 << bit

    try:
        found, _ = unpacked(bytes(damaged), copy.sums.block_sizes, len(CONTENT))
    except stream.BadCopyError:
        return
    assert found.sha256 != copy.sums.sha256


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_head_of_another_format_is_refused(copy, place):
    damaged = bytearray(copy.whole)
    damaged[place] ^= 255

    with pytest.raises(stream.BadCopyError, match="is no gzip file"):
        unpacked(bytes(damaged), copy.sums.block_sizes, len(CONTENT))


@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, 2), shift=st.integers(-300, 300).filter(bool))
def test_blocks_that_end_elsewhere_are_refused_or_change_nothing(copy, number, shift):
    sizes = list(copy.sums.block_sizes)
    sizes[number] += shift
    sizes[number + 1] -= shift
    assume(min(sizes) > 0)

    try:
        _, content = unpacked(copy.whole, tuple(sizes), len(CONTENT))
    except stream.BadCopyError:
        return
    # The empty block at the end of each is 5 bytes, and may also begin the next one.
    assert (shift, content) == (-5, CONTENT)


def test_a_block_that_refers_to_an_earlier_one_is_refused():
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    text = os.urandom(5000)
    blocks = [compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH) for _ in range(2)]
    end = gzip_codec.trailer(zlib.crc32(text * 2), 10_000)
    whole = gzip_codec.header(0) + b"".join(blocks) + end
    assert gzip.decompress(whole) == text * 2

    with pytest.raises(stream.BadCopyError, match="is no whole gzip file"):
        unpacked(whole, tuple(len(block) for block in blocks), 10_000)


def test_a_last_block_before_the_end_is_refused():
    blocks = [gzip_codec.deflate(b"a" * 1000, 1) + gzip_codec.LAST_BLOCK] * 2
    end = gzip_codec.trailer(zlib.crc32(b"a" * 2000), 2000)

    with pytest.raises(stream.BadCopyError, match="does not end where it was written to"):
        unpacked(gzip_codec.header(0) + b"".join(blocks) + end, tuple(map(len, blocks)), 2000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda whole: whole[:-1], "is no whole gzip file: ended at byte"),
        (lambda whole: whole[:-20], "is no whole gzip file: ended at byte"),
        (lambda whole: whole + b"\0", "goes on after its gzip trailer"),
        (lambda whole: whole[:-8] + bytes(8), "its trailer does not match its content"),
        (lambda whole: b"", "is no whole gzip file: ended at byte 0"),
    ],
)
def test_another_end_is_refused(copy, change, words):
    with pytest.raises(stream.BadCopyError, match=words):
        unpacked(change(copy.whole), copy.sums.block_sizes, len(CONTENT))


def test_a_block_that_inflates_much_further_is_ended_early():
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bomb.compress(bytes(50_000_000)) + bomb.flush(zlib.Z_FULL_FLUSH)

    with pytest.raises(stream.BadCopyError, match="does not end where it was written to"):
        unpacked(gzip_codec.header(0) + block, (len(block),), 100_000_000)


def test_more_content_than_expected_is_refused(copy):
    with pytest.raises(stream.BadCopyError, match="holds more than the 1000 bytes"):
        unpacked(copy.whole, copy.sums.block_sizes, 1000)


def test_the_standard_library_unpacks_the_same(copy, monkeypatch):
    monkeypatch.setattr(gzip_codec, "_isal", None)

    assert unpacked(copy.whole, copy.sums.block_sizes, len(CONTENT))[1] == CONTENT
