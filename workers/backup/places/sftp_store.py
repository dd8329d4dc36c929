"""SFTP by OpenSSH's own program, with the user's configuration, agent and jump hosts.

Each method is one `sftp -b` batch. A file is sent under a name of its own, and gets its
final name by `rename -l`, which fails if that is in use. Nothing is asked: a password or an
unknown host is an error.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from time import monotonic

from workers.backup.places.place import Place
from workers.backup.places.store import (
    MOST_SMALL_BYTES,
    NO_PROTECTION,
    Entry,
    PlaceError,
    Protection,
    Step,
    TakenError,
)
from workers.backup.stream import BLOCK_BYTES

# `ls -ln`, as OpenSSH's program writes it; only plain files.
_LINE = re.compile(r"-\S{9,10}\s+\S+\s+\S+\s+\S+\s+([0-9]+)\s+\S+\s+\S+\s+\S+ (.+)")
# Its form of a byte that the locale cannot show: in C, each that is not ASCII.
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_SAFE = re.compile(r"[A-Za-z0-9._/@+,:=-]")
_LONGEST = 300
_LOOK_EVERY_S = 0.1
# The slowest line on which a transfer may go on, and the slowest disk at its other end.
_SLOWEST_BYTES_A_SECOND, _SLOWEST_DISK_BYTES_A_SECOND = 16 * 1024, 10 << 20


class SftpStore:
    """A folder of another machine."""

    proves_first = False

    def __init__(self, place: Place, environ: Mapping[str, str]) -> None:
        self.label, self._answer_s, self._path = place.to, float(place.answer), place.path
        program = shutil.which("sftp", path=environ.get("PATH"))
        if program is None:
            raise PlaceError(
                self.label, "the program sftp is missing: install openssh-client", permanent=True
            )
        alive_s = max(1, int(self._answer_s / 3))
        options = {
            "BatchMode": "yes",
            "LogLevel": "ERROR",
            "ConnectTimeout": str(max(1, int(self._answer_s))),
            "ServerAliveInterval": str(alive_s),
            "ServerAliveCountMax": "3",
        }
        self._command = [program, "-b", "-"]
        for name, value in options.items():
            self._command += ["-o", f"{name}={value}"]
        if place.ssh_config is not None:
            self._command += ["-F", str(place.ssh_config)]
        if place.port is not None:
            self._command += ["-P", str(place.port)]
        self._command += ["--", f"{place.user}@{place.host}" if place.user else place.host]
        # Dates and messages in English, whatever the user's language.
        self._environ = {**environ, "LC_ALL": "C"}

    def entries(self) -> list[Entry]:
        """Return the plain files of the folder."""
        said = self._batch("list", ["@ls -lna"])
        found = (_LINE.fullmatch(line) for line in said.split("\n"))
        return [Entry(_name(one[2]), int(one[1])) for one in found if one]

    def create(self, name: str, file: Path, sha256: str, step: Step) -> None:
        """See `Store.create`."""
        part, size_bytes = f"{name}.part-{token_hex(4)}", file.stat().st_size
        put = f"@put -f {quoted(str(file.absolute()))} {quoted(part)}"
        move = f"@rename -l {quoted(part)} {quoted(name)}"
        try:
            self._batch(f"write {name}", [put, move], size_bytes, lambda: step(0))
        except PlaceError as problem:
            with suppress(PlaceError):
                self._batch(f"remove {part}", [f"@-rm {quoted(part)}"])
            if "rename" in str(problem) and name in {one.name for one in self.entries()}:
                raise TakenError(self.label, f"has a {name} already; it is left") from problem
            raise
        step(size_bytes)

    def create_small(self, name: str, content: bytes) -> None:
        """See `Store.create_small`."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self.create(name, Path(file.name), "", lambda _: None)

    def read(self, name: str, size_bytes: int) -> Iterator[bytes]:
        """See `Store.read`; the file is fetched into the folder for temporary files first."""
        with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
            there = Path(folder, "copy")
            get = f"@get {quoted(name)} {quoted(str(there))}"
            self._batch(f"read {name}", [get], size_bytes)
            with open(there, "rb", buffering=0) as file:
                while block := file.read(BLOCK_BYTES):
                    yield block

    def read_small(self, names: Sequence[str]) -> dict[str, bytes]:
        """See `Store.read_small`."""
        if not names:
            return {}
        sizes = {one.name: one.size_bytes for one in self.entries()}
        wanted = [name for name in names if sizes.get(name, MOST_SMALL_BYTES) < MOST_SMALL_BYTES]
        with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
            there = {name: Path(folder, str(number)) for number, name in enumerate(wanted)}
            gets = [f"@-get {quoted(name)} {quoted(str(path))}" for name, path in there.items()]
            self._batch("read", gets, sum(sizes[name] for name in wanted))
            return {name: path.read_bytes() for name, path in there.items() if path.exists()}

    def protection(self, name: str) -> Protection:
        """See `Store.protection`; a folder has none that could be asked."""
        return NO_PROTECTION

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        try:
            self._batch(f"delete {name}", [f"@rm {quoted(name)}"])
        except PlaceError:
            if name in {one.name for one in self.entries()}:
                raise

    def _batch(
        self,
        doing: str,
        lines: Sequence[str],
        size_bytes: int = 0,
        check: Callable[[], None] = lambda: None,
    ) -> str:
        """Run a batch in the folder and return what it printed; check: may raise to cancel."""
        enter = [f"@cd {quoted(self._path)}"] if self._path else []
        if any(end in line for line in (*enter, *lines) for end in "\n\r\0"):
            raise PlaceError(self.label, f"{doing}: a path has a line end, which sftp cannot take")
        with tempfile.TemporaryFile() as batch, tempfile.TemporaryFile() as said:
            batch.write("\n".join([*enter, *lines, ""]).encode(errors="surrogateescape"))
            batch.seek(0)
            with tempfile.TemporaryFile() as errors:
                # A group of its own: its ssh would wait for the other end for good.
                process = subprocess.Popen(
                    self._command,
                    stdin=batch,
                    stdout=said,
                    stderr=errors,
                    env=self._environ,
                    start_new_session=True,
                )
                try:
                    status = self._ended(process, doing, size_bytes, len(lines), check)
                finally:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                if status:
                    errors.seek(0)
                    raise PlaceError(self.label, f"{doing}: {_words(errors.read(4096), status)}")
            said.seek(0)
            return os.fsdecode(said.read())

    def _ended(
        self,
        process: subprocess.Popen[bytes],
        doing: str,
        size_bytes: int,
        steps: int,
        check: Callable[[], None],
    ) -> int:
        """Wait for the end; of what the other end does, only the moved bytes can be seen."""
        silence_s = 4 * self._answer_s
        limit_s = silence_s + steps * self._answer_s + size_bytes / _SLOWEST_BYTES_A_SECOND
        began = moved_at = monotonic()
        moved = 0
        while True:
            try:
                return process.wait(_LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                check()
            now, before, moved = monotonic(), moved, _moved_bytes(process.pid)
            moved_at = now if moved != before else moved_at
            # When all has been sent, the other end writes it to its disk.
            is_sent = moved >= 2 * size_bytes
            longest_s = silence_s + (size_bytes / _SLOWEST_DISK_BYTES_A_SECOND if is_sent else 0)
            if now - moved_at >= longest_s:
                raise PlaceError(self.label, f"{doing}: no byte was moved for {longest_s:.0f} s")
            if now - began >= limit_s:
                raise PlaceError(self.label, f"{doing}: no end after {limit_s:.0f} s")


def _name(shown: str) -> str:
    """Return the name that `ls` shows; a backslash is in no name of ours."""
    plain = _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), os.fsencode(shown))
    return os.fsdecode(plain)


def quoted(name: str) -> str:
    """Return a name for sftp's batch language, in which ? * [ would be patterns."""
    # A leading dash would be an option.
    plain = f"./{name}" if name.startswith("-") else name
    return "".join(
        letter if _SAFE.match(letter) or ord(letter) > 127 else f"\\{letter}" for letter in plain
    )


def _moved_bytes(pid: int) -> int:
    """Return what a process has read and written, each byte of a transfer twice."""
    try:
        said = Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in said.splitlines()[:2])


def _words(said: bytes, status: int) -> str:
    text = said.decode(errors="replace")
    every = (line.strip() for line in text.splitlines())
    lines = [line for line in every if line and not line.startswith("Connected to ")]
    return "; ".join(lines[-3:])[-_LONGEST:] or f"sftp ended with exit status {status}"
