"""Compress and decompress gzip in independent blocks, so that cores can share the work.

A gzip member consists of a header, raw deflate blocks that each end with a full flush, an
empty last block, and the trailer; gunzip reads it like any other. isal compresses levels 1
to 3; zlib compresses levels 4 to 9, and all levels if isal is missing.
"""

import contextlib
import struct
import zlib
from typing import Any

_isal: Any = None
# Without isal the standard library does the same, at a third of the speed.
with contextlib.suppress(ImportError):
    from isal import isal_zlib as _isal

LEVELS = range(1, 10)
# Most bytes of content in one block.
BLOCK_BYTES = 1 << 19
_ISAL_LEVELS = range(1, 4)
# An empty block of fixed codes with the "last" bit: RFC 1951, section 3.2.3.
LAST_BLOCK = b"\x03\x00"
_RAW, _GZIP = -15, 31
crc32 = zlib.crc32 if _isal is None else _isal.crc32
# Exceptions of `decompress` for bytes that are not gzip.
BadStream: tuple[type[Exception], ...] = (zlib.error, EOFError)
if _isal is not None:
    BadStream = (*BadStream, _isal.error)


def is_fast(level: int) -> bool:
    """Return whether isal compresses at this level, ten times as fast as zlib."""
    return _isal is not None and level in _ISAL_LEVELS


def name(level: int) -> str:
    """Return the library that compresses at this level, with its version."""
    if is_fast(level):
        import isal

        return f"isal {isal.__version__}"
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"


def header(made_at: float) -> bytes:
    """Return a gzip header; `made_at` is seconds since the epoch."""
    # Magic, deflate, no flags; XFL 0: no particular effort; OS 3: Unix.
    return b"\x1f\x8b\x08\x00" + struct.pack("<L", int(made_at) & 0xFFFFFFFF) + b"\x00\x03"


def trailer(crc: int, size_bytes: int) -> bytes:
    """Return the last block and a gzip trailer; crc and size are of the uncompressed data."""
    return LAST_BLOCK + struct.pack("<LL", crc & 0xFFFFFFFF, size_bytes & 0xFFFFFFFF)


def deflate(block: bytes, level: int) -> bytes:
    """Return `block` as deflate blocks that do not refer to earlier data."""
    codec: Any = _isal if is_fast(level) else zlib
    compressor = codec.compressobj(level, codec.DEFLATED, _RAW)
    return bytes(compressor.compress(block)) + bytes(compressor.flush(codec.Z_FULL_FLUSH))


def inflate(block: bytes) -> bytes:
    """Return the content of a result of `deflate`, which is at most BLOCK_BYTES.

    Raises:
        BadStream: it is damaged, or does not end where a deflate block ends.
    """
    codec: Any = zlib if _isal is None else _isal
    decompressor = codec.decompressobj(_RAW)
    # A last block is read as such only where the one before has ended.
    content = bytes(decompressor.decompress(block + LAST_BLOCK, BLOCK_BYTES + 1))
    if not decompressor.eof or decompressor.unused_data:
        raise EOFError("a block does not end where it was written to")
    return content


def inflater() -> Any:
    """Return a decompression object that reads one gzip member and checks its trailer."""
    codec: Any = zlib if _isal is None else _isal
    return codec.decompressobj(_GZIP)
