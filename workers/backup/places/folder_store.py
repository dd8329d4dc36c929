"""A mounted folder as a place, for encrypted copies; plain ones go by `secondary_copy`."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from workers.backup import repository
from workers.backup.errors import from_os_error
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
from workers.backup.stream import BLOCK_BYTES, write_all
from workers.regular_file import MissingFileError, UnreadableFileError, read_regular


class FolderStore:
    """A folder; a link to a finished file is what creates a name."""

    proves_first = True

    def __init__(self, place: Place) -> None:
        self.label = place.to
        self._folder = place.folder

    def entries(self) -> list[Entry]:
        """Return the plain files of the folder."""
        repository.existing(self._folder)
        found = []
        with self._in_words("list"), os.scandir(self._folder) as entries:
            for entry in entries:
                about = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(about.st_mode):
                    found.append(Entry(entry.name, about.st_size))
        return found

    def create(self, name: str, file: Path, sha256: str, step: Step) -> None:
        """See `Store.create`."""
        with open(file, "rb", buffering=0) as source:
            self._create(name, iter(lambda: source.read(BLOCK_BYTES), b""), step)

    def create_small(self, name: str, content: bytes) -> None:
        """See `Store.create_small`."""
        self._create(name, iter([content]), lambda _: None)

    def read(self, name: str, size_bytes: int) -> Iterator[bytes]:
        """See `Store.read`."""
        with self._in_words(f"read {name}"):
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb", buffering=0) as file:
                # Drop the page cache of a file just written, so that the disk is read.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                while block := file.read(BLOCK_BYTES):
                    yield block

    def read_small(self, names: Sequence[str]) -> dict[str, bytes]:
        """See `Store.read_small`."""
        found = {}
        for name in names:
            try:
                found[name] = read_regular(self._folder / name, MOST_SMALL_BYTES)
            except MissingFileError:
                continue
            except UnreadableFileError as error:
                raise PlaceError(self.label, f"{name} {error}") from error
        return found

    def protection(self, name: str) -> Protection:
        """See `Store.protection`; a folder has none that could be asked."""
        return NO_PROTECTION

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        with self._in_words(f"delete {name}"):
            (self._folder / name).unlink(missing_ok=True)
            repository.synced(self._folder)

    def _create(self, name: str, blocks: Iterator[bytes], step: Step) -> None:
        repository.existing(self._folder)
        part = self._folder / f"{name}.part-{token_hex(4)}"
        with self._in_words(f"write {name}"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor, done = os.open(part, flags, 0o640), 0
            try:
                for block in blocks:
                    write_all(descriptor, block)
                    done += len(block)
                    step(done)
                os.fsync(descriptor)
                os.link(part, self._folder / name)
            except FileExistsError as error:
                raise TakenError(self.label, f"has a {name} already; it is left") from error
            finally:
                os.close(descriptor)
                with suppress(OSError):
                    part.unlink()
            repository.synced(self._folder)

    @contextmanager
    def _in_words(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = from_os_error(doing, self._folder, error)
            raise PlaceError(self.label, str(said), said.permanent) from error
