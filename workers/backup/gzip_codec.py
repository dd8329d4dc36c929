"""gzip, block by block: every block stands alone, so that cores can share them.

A member of ours is a header, raw deflate blocks that each end at a full
flush, an empty last block, and the trailer; gunzip reads it like any other.
isal's deflate for levels 1 to 3, zlib's for 4 to 9 and where isal is missing.
"""

import contextlib
import struct
import zlib
from typing import Any

_isal: Any = None
# Without it the standard library does the same, three times as slowly.
with contextlib.suppress(ImportError):
    from isal import isal_zlib as _isal

LEVELS = range(1, 10)
_ISAL_LEVELS = range(1, 4)
# An empty block of fixed codes with the "last" bit: RFC 1951, section 3.2.3.
LAST_BLOCK = b"\x03\x00"
_RAW, _GZIP = -15, 31
crc32 = zlib.crc32 if _isal is None else _isal.crc32
# What `decompress` raises on bytes that are no gzip.
BadStream: tuple[type[Exception], ...] = (zlib.error, EOFError)
if _isal is not None:
    BadStream = (*BadStream, _isal.error)


def is_fast(level: int) -> bool:
    """Whether isal compresses at this level, ten times as fast as zlib."""
    return _isal is not None and level in _ISAL_LEVELS


def name(level: int) -> str:
    """Who compresses at this level, and its version."""
    if is_fast(level):
        import isal

        return f"isal {isal.__version__}"
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"


def header(made_at: float) -> bytes:
    """A gzip header; `made_at` is seconds since the epoch."""
    # magic, deflate, no flags; 0: no particular effort; 3: Unix.
    return b"\x1f\x8b\x08\x00" + struct.pack("<L", int(made_at) & 0xFFFFFFFF) + b"\x00\x03"


def trailer(crc: int, size_bytes: int) -> bytes:
    """The last block and a gzip trailer; both numbers are of the uncompressed form."""
    return LAST_BLOCK + struct.pack("<LL", crc & 0xFFFFFFFF, size_bytes & 0xFFFFFFFF)


def deflate(block: bytes, level: int) -> bytes:
    """`block` as deflate blocks that refer to nothing before them."""
    codec: Any = _isal if is_fast(level) else zlib
    compressor = codec.compressobj(level, codec.DEFLATED, _RAW)
    return bytes(compressor.compress(block)) + bytes(compressor.flush(codec.Z_FULL_FLUSH))


def inflater() -> Any:
    """A zlib decompression object that reads one gzip member and checks its trailer."""
    codec: Any = zlib if _isal is None else _isal
    return codec.decompressobj(_GZIP)
