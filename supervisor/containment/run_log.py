"""A run's log on disk: the first 256 KiB, and the newest 768 KiB to 1.5 MiB.

Keepers write with `RunLog`; readers use `join`, `after`, `newest`, `size` and `remove`.
Knows nothing of processes or the ledger.

`<run>.log` is the head. `<run>.log.1` and `.2` alternate for the newest output. Each
begins with a line that holds its start position in the whole output, so a reader
can tell how much was dropped. Attempts of one run are appended to the same files. A
full disk costs log lines, never the job.
"""

import contextlib
import os
import re
from typing import TypeAlias

from workers.units import format_count

HEAD_BYTES = 256 * 1024
SEGMENT_BYTES = 768 * 1024
MOST_KEPT_BYTES = HEAD_BYTES + 2 * SEGMENT_BYTES
_START_DIGITS = 20
_START_BYTES = _START_DIGITS + 1  # and a newline
_LINE_END = re.compile(rb"[\r\n]")

# No pathlib here: keepers import this module, and open a file only for output.
Folder: TypeAlias = "str | os.PathLike[str]"


class RunLog:
    """The log of one attempt; no file is created before the first byte."""

    def __init__(self, runs_dir: Folder, run: int, attempt: int) -> None:
        self._runs_dir, self._run = runs_dir, run
        self._path = runs_path(runs_dir, run)
        self._attempt = attempt
        self._file = -1
        self._room = 0
        self._next = 1  # number of the segment after the open file
        self._written = 0  # position in the whole output
        self._error: OSError | None = None
        self._dropped = 0
        self._overwritten = 0

    def write(self, piece: bytes) -> None:
        """Write `piece`; after the first failure only count it."""
        if self._error is not None:
            self._dropped += len(piece)
            return
        try:
            self._append(piece)
        except OSError as error:
            self._error = error
            self._dropped += len(piece)

    @property
    def kept_bytes(self) -> int:
        """Return the bytes of the whole run's log on disk."""
        if self._attempt == 1 and not self._written:
            return 0
        return size(self._runs_dir, self._run)

    @property
    def dropped_bytes(self) -> int:
        """Return the bytes lost or overwritten during this attempt, of it or of earlier ones."""
        return self._dropped + self._overwritten

    @property
    def lost(self) -> str:
        """Return how much was lost and why; "" if nothing was."""
        return (
            ""
            if self._error is None
            else f"{format_count(self._dropped, 'byte')} lost: {self._error}"
        )

    def close(self) -> None:
        """Append a line about lost bytes, if there is room, and close."""
        if self._error is not None:
            with contextlib.suppress(OSError):
                self._append(f"\n--- {self.lost} ---\n".encode())
        if self._file >= 0:
            with contextlib.suppress(OSError):  # some file systems report a full disk only now
                os.close(self._file)
            self._file = -1

    def account(self) -> dict[str, object]:
        """Return the packet fields about the output; {} if the run has written nothing."""
        if self._attempt == 1 and not self._written and not self._dropped:
            return {}
        return {
            "log_bytes": self.kept_bytes,
            "log_lost": self.lost,
            "dropped_bytes": self.dropped_bytes,
        }

    def _append(self, piece: bytes) -> None:
        if self._file < 0:
            self._resume()
        rest = memoryview(piece)
        while rest:
            if self._room <= 0:
                self._turn_over()
            count = os.write(self._file, rest[: self._room])
            self._room -= count
            self._written += count
            rest = rest[count:]

    def _resume(self) -> None:
        """Continue where an earlier attempt ended."""
        newest = max(_segments(self._path), default=None)
        if newest is None:
            self._open(self._path, os.O_APPEND)
            self._written = os.fstat(self._file).st_size
            self._room = HEAD_BYTES - self._written
        else:
            start, number, size_bytes = newest
            self._open(f"{self._path}.{number}", os.O_APPEND)
            self._next = 3 - number
            self._written = start + size_bytes
            self._room = SEGMENT_BYTES - size_bytes
        if self._attempt > 1:
            self._append(f"--- attempt {self._attempt} ---\n".encode())

    def _turn_over(self) -> None:
        os.close(self._file)
        self._file = -1
        segment = f"{self._path}.{self._next}"
        with contextlib.suppress(FileNotFoundError):
            self._overwritten += max(0, os.stat(segment).st_size - _START_BYTES)
        self._open(segment, os.O_TRUNC)
        os.write(self._file, b"%0*d\n" % (_START_DIGITS, self._written))
        self._next = 3 - self._next
        self._room = SEGMENT_BYTES

    def _open(self, path: str, how: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | how
        self._file = os.open(path, flags, 0o600)


def runs_path(runs_dir: Folder, run: int) -> str:
    """Return the path of the head of a run's log."""
    return f"{os.fspath(runs_dir)}/{run}.log"


def join(runs_dir: Folder, run: int) -> bytes:
    """Return all that is kept of a run's output, with one line for what was dropped.

    At most HEAD_BYTES + 2 * SEGMENT_BYTES and that line; b"" if there is no output.
    """
    return after(runs_dir, run, 0, MOST_KEPT_BYTES)[0]


def after(runs_dir: Folder, run: int, position: int, most_bytes: int) -> tuple[bytes, int]:
    """Return what is kept of a run's output from a position on, and the position after it.

    Reads at most `most_bytes`. Positions count bytes of the whole output, including
    those that were dropped.
    """
    path = runs_path(runs_dir, run)
    found = [(0, path, 0, HEAD_BYTES)]
    for start, number, _ in sorted(_segments(path)):
        found.append((start, f"{path}.{number}", _START_BYTES, SEGMENT_BYTES))
    pieces = []
    end = position + most_bytes
    for start, name, header_bytes, most in found:
        if position >= end:
            break
        if start > position:
            end += start - position
            pieces.append(f"\n--- {format_count(start - position, 'byte')} dropped ---\n".encode())
            position = start
        # Clients that follow a log ask five times a second: read only what is new.
        if start + most > position:
            piece = _read(name, header_bytes + position - start, min(start + most, end) - position)
            pieces.append(piece)
            position += len(piece)
    return b"".join(pieces), position


def newest(runs_dir: Folder, run: int, most_bytes: int) -> tuple[bytes, bool]:
    """Return the newest of a run's output, and whether it begins in the middle of a line.

    Reads at most `most_bytes`. A line whose beginning is not included is left out if
    another line begins later (also one that overwrites it after a CR): half a line
    could begin with half a secret, which no mask would recognise.
    """
    path = runs_path(runs_dir, run)
    pieces, room = [], most_bytes + 1
    newest_first = sorted(_segments(path), reverse=True)
    names = [(f"{path}.{number}", _START_BYTES) for _, number, _ in newest_first]
    for name, begin in [*names, (path, 0)]:
        piece = _end(name, begin, room)
        pieces.append(piece)
        room -= len(piece)
        if room <= 0:
            break
    found = b"".join(reversed(pieces))
    if room > 0:
        return found, False
    begun = _LINE_END.search(found)
    if begun is None or not found[begun.end() :].strip():
        return found, True
    return found[begun.end() :], False


def size(runs_dir: Folder, run: int) -> int:
    """Return the bytes of a run's log on disk."""
    path = runs_path(runs_dir, run)
    total = 0
    for name in (path, f"{path}.1", f"{path}.2"):
        with contextlib.suppress(OSError):
            total += os.stat(name).st_size
    return total


def remove(runs_dir: Folder, run: int) -> None:
    """Delete a run's log; a missing one is no error."""
    path = runs_path(runs_dir, run)
    for name in (path, f"{path}.1", f"{path}.2"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _segments(path: str) -> list[tuple[int, int, int]]:
    """Return (start in the whole output, number, bytes of output) of each segment."""
    found = []
    for number in (1, 2):
        with contextlib.suppress(FileNotFoundError), open(f"{path}.{number}", "rb") as file:
            start = file.read(_START_BYTES)
            if len(start) == _START_BYTES and start[:_START_DIGITS].isdigit():
                size_bytes = os.fstat(file.fileno()).st_size - _START_BYTES
                found.append((int(start), number, size_bytes))
    return found


def _read(path: str, offset: int, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(most)
    except FileNotFoundError:
        return b""


def _end(path: str, begin: int, room: int) -> bytes:
    """Return at most `room` of the newest bytes of a file, none from before `begin`."""
    try:
        with open(path, "rb") as file:
            file.seek(max(begin, os.fstat(file.fileno()).st_size - room))
            return file.read(room)
    except FileNotFoundError:
        return b""
