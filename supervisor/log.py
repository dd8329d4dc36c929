"""The service's own log: one line per transition, to stderr, without blocking the loop.

Lines pass through a bounded queue to a writer thread. If the reader of stderr is
slow, lines are dropped and counted; the loop never waits. The format is text on a
terminal and JSON on a pipe, unless `--log-format` selects one.
"""

import os
import queue
import sys
import threading
from collections.abc import Callable
from datetime import datetime

import msgspec

from supervisor.core.effects import Note
from supervisor.core.escape import escape_control
from workers.text import readable

LEVELS = ("debug", "info", "warning", "error")
MOST_WAITING = 10_000
# A worker's line may be 64 KiB long, so a limit on the number of lines is not enough.
MOST_WAITING_BYTES = 4 * 1024**2
LAST_LINES_S = 1.0
# How long the writer lets lines gather: waking it for each turn costs more than writing them.
GATHER_S = 0.02


class ServiceLog:
    """Log that writes notes as lines; `dropped` counts lines for which there was no room."""

    def __init__(self, level: str, as_json: bool, fd: int = 2) -> None:
        self.dropped = 0
        self.mask: Callable[[str], str] = str
        self._threshold = LEVELS.index(level)
        self._as_json = as_json
        self._fd = fd
        self._pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # Each counter has one writer (the loop or the thread), so none needs a lock.
        self._taken_lines = self._taken_bytes = 0
        self._written_lines = self._written_bytes = 0
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def note(self, at: datetime, *notes: Note) -> None:
        """Queue the lines of one turn, or count them as dropped."""
        loud = [note for note in notes if LEVELS.index(note.level) >= self._threshold]
        if not loud:
            return
        waiting = self._taken_lines - self._written_lines + len(loud)
        waiting_bytes = self._taken_bytes - self._written_bytes
        if waiting > MOST_WAITING or waiting_bytes > MOST_WAITING_BYTES:
            self.dropped += len(loud)
            return
        piece = b"".join(self._line(at, note) for note in loud)
        self._taken_lines += piece.count(b"\n")
        self._taken_bytes += len(piece)
        self._pieces.put(piece)

    def close(self) -> None:
        """Write the queued lines, for at most LAST_LINES_S seconds."""
        self._closing.set()
        self._pieces.put(b"")  # wakes the writer
        self._writer.join(LAST_LINES_S)

    def _line(self, at: datetime, note: Note) -> bytes:
        text = _json(at, note) if self._as_json else _text(at, note)
        return self.mask(text).encode(errors="backslashreplace") + b"\n"

    def _write(self) -> None:
        is_closing = False
        while not is_closing:
            pieces = [self._pieces.get()]
            is_closing = self._closing.wait(GATHER_S)
            while not self._pieces.empty():
                pieces.append(self._pieces.get())
            self._write_lines(b"".join(pieces))

    def _write_lines(self, text: bytes) -> None:
        lines = text.count(b"\n")
        try:
            rest = memoryview(text)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            self.dropped += lines
        self._written_lines += lines
        self._written_bytes += len(text)


def wants_json(choice: str | None) -> bool:
    """Return whether to log JSON: as chosen, or for None, unless stderr is a terminal."""
    return choice == "json" or (choice is None and not sys.stderr.isatty())


def _json(at: datetime, note: Note) -> str:
    fields: dict[str, object] = {"at": at, "level": note.level, "text": readable(note.text)}
    if note.job:
        fields["job"] = note.job
    if note.run:
        fields |= {"run": note.run, "attempt": note.attempt}
    return msgspec.json.encode(fields).decode()


def _text(at: datetime, note: Note) -> str:
    about = f" job={note.job}" if note.job else ""
    about += f" run={note.run} attempt={note.attempt}" if note.run else ""
    said = escape_control(readable(note.text).replace("\n", " | "))
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S} {note.level:<7}{about} {said}"
