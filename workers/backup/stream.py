"""Pack a database into a copy and unpack it, in one pass each, with bounded memory.

Hashes are computed in the same pass. Invariant: about AHEAD blocks, or pieces of
_MOST_INFLATED_BYTES, are in memory regardless of the size. `step(done_bytes)` is called
after each; an exception from it ends the pass. Threads help because isal, zlib and hashlib
release the GIL.
"""

import contextlib
import ctypes
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from workers.backup import gzip_codec

BLOCK_BYTES = gzip_codec.BLOCK_BYTES
# What one piece of this size inflates to nearly always fits. The rest of a larger
# piece is copied repeatedly, and smaller ones cost more hand-overs.
_READ_BYTES, _MOST_INFLATED_BYTES = 1 << 17, 1 << 20
# Threads that work on blocks beside the one that reads, hashes and writes. More use more
# cores than a service should.
_MOST_BESIDE = 2
AHEAD = 6
# malloc.h: size from which memory is returned at once, and how much may stay unused.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 4 * 1024 * 1024
_SAMPLES, _SAMPLE_BYTES = 16, 1 << 18

Step = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sums:
    """SHA-256 (hex) and size of both forms; `database_*` is the uncompressed one.

    block_sizes: compressed sizes of the blocks, in order; empty if not known.
    """

    sha256: str
    size_bytes: int
    database_sha256: str
    database_size_bytes: int
    block_sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpacked:
    """SHA-256 (hex) and size of a copy, and the size of its content in bytes."""

    sha256: str
    size_bytes: int
    database_size_bytes: int


class BadCopyError(Exception):
    """Bytes that are not one complete gzip member, or that hold more than expected."""


def pack(
    source: int, size_bytes: int, target: int, level: int, made_at: float, step: Step
) -> Sums:
    """Compress the first `size_bytes` of descriptor `source` into `target`; return the sums.

    Raises:
        EOFError: the source is shorter.
        OSError: reading or writing failed.
    """
    _keep_memory()
    sink, database, crc, sizes = _Sink(target), hashlib.sha256(), 0, list[int]()

    def blocks() -> Iterator[bytes]:
        nonlocal crc
        for place in range(0, size_bytes, BLOCK_BYTES):
            block = _exactly(source, place, min(BLOCK_BYTES, size_bytes - place))
            database.update(block)
            crc = gzip_codec.crc32(block, crc)
            step(place + len(block))
            yield block

    sink.put(gzip_codec.header(made_at))
    for packed in _in_order(blocks(), lambda block: gzip_codec.deflate(block, level)):
        sink.put(packed)
        sizes.append(len(packed))
    sink.put(gzip_codec.trailer(crc, size_bytes))
    whole, content = sink.hash.hexdigest(), database.hexdigest()
    return Sums(whole, sink.size_bytes, content, size_bytes, tuple(sizes))


def unpack_blocks(
    block_sizes: Sequence[int], source: int, target: int, most_bytes: int, step: Step
) -> Unpacked:
    """Decompress a copy of `pack` with these block sizes, several blocks at once.

    The result is that of `unpack`, because each block must end where a deflate block ends,
    and refer to no earlier one.

    Raises:
        BadCopyError: not one complete gzip member of such blocks, or more than `most_bytes`.
        OSError: reading or writing failed.
    """
    _keep_memory()
    whole, size_bytes, crc, handed = hashlib.sha256(), 0, 0, 0

    def taken(count: int) -> bytes:
        nonlocal size_bytes
        block = _exactly(source, size_bytes, count)
        whole.update(block)
        size_bytes += count
        return block

    head = gzip_codec.header(0)
    try:
        if taken(len(head))[:4] != head[:4]:
            raise BadCopyError("is no gzip file")
        for block in _in_order(map(taken, block_sizes), gzip_codec.inflate):
            handed += len(block)
            if handed > most_bytes:
                raise BadCopyError(f"holds more than the {most_bytes} bytes that are expected")
            crc = gzip_codec.crc32(block, crc)
            write_all(target, block)
            step(handed)
        end = gzip_codec.trailer(crc, handed)
        if taken(len(end)) != end:
            raise BadCopyError("is no whole gzip file: its trailer does not match its content")
    except gzip_codec.BadStream as error:
        raise BadCopyError(f"is no whole gzip file: {error}") from error
    if os.pread(source, 1, size_bytes):
        raise BadCopyError("goes on after its gzip trailer: something was appended")
    return Unpacked(whole.hexdigest(), size_bytes, handed)


def unpack(source: int, target: int, most_bytes: int, step: Step) -> Unpacked:
    """Decompress the copy in descriptor `source` into `target`; return its hash and sizes.

    Raises:
        BadCopyError: not one complete gzip member, or more than `most_bytes`.
        OSError: reading or writing failed.
    """
    _keep_memory()
    whole, size_bytes, handed = hashlib.sha256(), 0, 0
    inflater = gzip_codec.inflater()
    # Inflating takes about as long as hashing and writing together.
    with ThreadPoolExecutor(1, "write") as lane:
        ahead: deque[Future[None]] = deque()
        while chunk := os.read(source, _READ_BYTES):
            ahead.append(lane.submit(whole.update, chunk))
            size_bytes += len(chunk)
            while piece := _inflated(inflater, chunk):
                handed += len(piece)
                if handed > most_bytes:
                    raise BadCopyError(
                        f"holds more than the {most_bytes} bytes that are expected or free"
                    )
                ahead.append(lane.submit(write_all, target, piece))
                chunk = inflater.unconsumed_tail
                while len(ahead) > AHEAD:
                    ahead.popleft().result()
            step(handed)
        while ahead:
            ahead.popleft().result()
    if not inflater.eof:
        raise BadCopyError("ends before its gzip trailer: it was cut short")
    return Unpacked(whole.hexdigest(), size_bytes, handed)


def digest(source: int, step: Step) -> tuple[str, int]:
    """Return the SHA-256 and size of descriptor `source` from its current position on."""
    whole, size_bytes = hashlib.sha256(), 0
    while chunk := os.read(source, BLOCK_BYTES):
        whole.update(chunk)
        size_bytes += len(chunk)
        step(size_bytes)
    return whole.hexdigest(), size_bytes


def estimate(source: int, size_bytes: int, level: int) -> int:
    """Return the approximate size of the copy in bytes, from samples across the file."""
    if not size_bytes:
        return 0
    stride = max(size_bytes // _SAMPLES, _SAMPLE_BYTES)
    taken = packed = 0
    for place in range(0, size_bytes, stride):
        block = os.pread(source, _SAMPLE_BYTES, place)
        taken += len(block)
        packed += len(gzip_codec.deflate(block, level))
    return min(size_bytes, packed * size_bytes // max(taken, 1)) + BLOCK_BYTES // 64


def write_all(target: int, piece: bytes) -> None:
    """Write all of `piece`, in several writes if needed."""
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(target, rest) :]


def _keep_memory() -> None:
    """Make malloc reuse the memory of earlier blocks.

    glibc would return and fault it in again page by page, which costs a tenth of the time.
    """
    # Other C libraries have no mallopt.
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def release_memory() -> None:
    """Give the memory of earlier blocks back: what follows needs as much of another size."""
    # Other C libraries have no malloc_trim.
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class _Sink:
    """A descriptor wrapper that hashes and counts what is written."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.hash = hashlib.sha256()
        self.size_bytes = 0

    def put(self, piece: bytes) -> None:
        self.hash.update(piece)
        self.size_bytes += len(piece)
        write_all(self._target, piece)


def _in_order(blocks: Iterable[bytes], work: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield `work(block)` for each block; other threads work, and this one if they are behind."""
    beside = min(_MOST_BESIDE, max(1, len(os.sched_getaffinity(0)) - 1))
    with ThreadPoolExecutor(beside, "blocks") as pool:
        ahead: deque[Future[bytes]] = deque()
        for block in blocks:
            if len(ahead) < AHEAD:
                ahead.append(pool.submit(work, block))
            else:
                ahead.append(_done(work(block)))
            while ahead and (len(ahead) > AHEAD or ahead[0].done()):
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _done(block: bytes) -> Future[bytes]:
    done = Future[bytes]()
    done.set_result(block)
    return done


def _exactly(source: int, place: int, count: int) -> bytes:
    block = os.pread(source, count, place)
    while len(block) < count:
        more = os.pread(source, count - len(block), place + len(block))
        if not more:
            raise EOFError(f"ended at byte {place + len(block)}")
        block += more
    return block


def _inflated(inflater: Any, chunk: bytes) -> bytes:
    """Return at most _MOST_INFLATED_BYTES of the content of `chunk`; empty at its end."""
    if not chunk:
        return b""
    if inflater.eof:
        raise BadCopyError("goes on after its gzip trailer: something was appended")
    try:
        piece: bytes = inflater.decompress(chunk, _MOST_INFLATED_BYTES)
    except gzip_codec.BadStream as error:
        raise BadCopyError(f"is no whole gzip file: {error}") from error
    if inflater.unused_data:
        raise BadCopyError("goes on after its gzip trailer: something was appended")
    return piece
