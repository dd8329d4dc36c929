"""Object stores by obstore: S3 and what speaks it, Google Cloud Storage, Azure.

A small object is created by one conditional request. A large one is sent in parts, which no
store makes conditional through this library (docs/design/create-only.md); its name is
reserved by its manifest, a small object that is created before it (see `send.py`), and
looked up once more before it is sent. Memory: a few parts.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Literal

from workers.backup.places.place import Kind, Place
from workers.backup.places.protection import of_headers
from workers.backup.places.store import (
    MOST_SMALL_BYTES,
    NO_PROTECTION,
    Entry,
    LockedError,
    PlaceError,
    Protection,
    Step,
    TakenError,
)
from workers.http_session import Session
from workers.units import format_duration

# S3 takes 5 MiB to 5 GiB a part and 10,000 parts.
_PART_BYTES, _MOST_PARTS, _AT_ONCE = 8 << 20, 9000, 2
_CONNECT_S, _RETRIES = 5, 2
_SIGNED_FOR = timedelta(minutes=1)
_LONGEST = 300
_CODE = re.compile(r"<Code>([^<]+)</Code>(?:\s*<Message>([^<]*)</Message>)?")
# S3, and its words in other stores; Azure's.
_SKEWED = re.compile(r"RequestTimeTooSkewed|Request date header too old", re.IGNORECASE)
_SERVER_TIME = re.compile(r"<ServerTime>([^<]{1,40})</ServerTime>")
_REMEDY = "set it (timedatectl)"
# What fails last hides what failed first: the library ends an upload that failed.
_ABORTED = re.compile(r"Error performing DELETE \S+[?&]uploadId=")
_LEFT = "an upload in parts failed, and its parts could not be removed there"
_KEPT = re.compile(r"object.?lock|retention|immutab|\bWORM\b|legal.?hold", re.IGNORECASE)


class ObjectStore:
    """A bucket or container, below a path."""

    proves_first = False

    def __init__(self, place: Place) -> None:
        self.label, self._answer_s = place.to, place.answer
        # Azure's signature names rights, of which the library gives none to HEAD.
        self._signed_method: Literal["GET", "HEAD"] = "GET" if place.kind is Kind.AZURE else "HEAD"
        try:
            import obstore
            from obstore import exceptions, store
        except ImportError as error:
            raise PlaceError(
                self.label,
                f"obstore is missing ({error}): pip install 'nightshift-cron[offsite]'",
                permanent=True,
            ) from error
        self._obstore, self._exceptions = obstore, exceptions
        with self._in_words("open"):
            self._store: Any = _opened(store, place)

    def entries(self) -> list[Entry]:
        """Return the objects directly below the path."""
        with self._in_words("list"):
            found = self._obstore.list_with_delimiter(self._store)["objects"]
        # Without a name: the empty object that stands for the folder itself, as consoles and
        # some servers make it.
        return [Entry(str(one["path"]), int(one["size"])) for one in found if one["path"]]

    def create(self, name: str, file: Path, sha256: str, step: Step) -> None:
        """See `Store.create`."""
        size_bytes = file.stat().st_size
        if size_bytes <= _PART_BYTES:
            self._create_whole(name, file.read_bytes(), {"sha256": sha256})
            step(size_bytes)
            return
        with self._in_words(f"look for {name}"):
            try:
                self._obstore.head(self._store, name)
            except FileNotFoundError:
                pass
            else:
                raise TakenError(self.label, f"has a {name} already; it is left")
        part_bytes = max(_PART_BYTES, -(-size_bytes // _MOST_PARTS))
        with self._in_words(f"write {name}"), open(file, "rb", buffering=0) as source:
            counted: Any = _Counted(source, step)
            self._obstore.put(
                self._store,
                name,
                counted,
                attributes={"sha256": sha256},
                use_multipart=True,
                chunk_size=part_bytes,
                max_concurrency=_AT_ONCE,
            )

    def create_small(self, name: str, content: bytes) -> None:
        """See `Store.create_small`."""
        self._create_whole(name, content, {})

    def read(self, name: str, size_bytes: int) -> Iterator[bytes]:
        """See `Store.read`; each block is a request of its own, with the limit of one."""
        for start in range(0, size_bytes, _PART_BYTES):
            length = min(_PART_BYTES, size_bytes - start)
            with self._in_words(f"read {name}"):
                found = self._obstore.get_range(self._store, name, start=start, length=length)
            yield bytes(found)

    def read_small(self, names: Sequence[str]) -> dict[str, bytes]:
        """See `Store.read_small`."""
        found = {}
        for name in names:
            with self._in_words(f"read {name}"):
                try:
                    answer = self._obstore.get(self._store, name)
                    if answer.meta["size"] > MOST_SMALL_BYTES:
                        raise PlaceError(self.label, f"{name} is larger than any of ours")
                    found[name] = bytes(answer.bytes())
                except FileNotFoundError:
                    continue
        return found

    def protection(self, name: str) -> Protection:
        """See `Store.protection`; a signed HEAD, since the library drops these headers."""
        try:
            url = self._obstore.sign(self._store, self._signed_method, name, _SIGNED_FOR)
            limits_s = (min(_CONNECT_S, self._answer_s), self._answer_s)
            with Session() as session:
                answer = session.head(url, timeout=limits_s, allow_redirects=False)
        except (self._exceptions.BaseError, OSError, ValueError):
            return NO_PROTECTION  # the URL, which is as good as a key, is in its text
        return of_headers(answer.headers) if answer.status_code == 200 else NO_PROTECTION

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        with self._in_words(f"delete {name}"):
            try:
                self._obstore.delete(self._store, name)
            except FileNotFoundError:
                return

    def _create_whole(self, name: str, content: bytes, attributes: Mapping[str, str]) -> None:
        with self._in_words(f"write {name}"):
            self._obstore.put(
                self._store, name, content, attributes=dict(attributes), mode="create"
            )

    @contextmanager
    def _in_words(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self._exceptions.AlreadyExistsError as error:
            raise TakenError(self.label, f"{doing}: the name is taken; it is left") from error
        except FileNotFoundError as error:
            if doing.startswith("read") and "NoSuchBucket" not in str(error):
                raise
            raise PlaceError(self.label, f"{doing}: {words(error)}") from error
        except TypeError as error:
            # The library's word for a name that it cannot encode.
            what = "the name of an object has only UTF-8 and no control characters"
            raise PlaceError(self.label, f"{doing}: {what}", permanent=True) from error
        except (self._exceptions.BaseError, OSError, ValueError) as error:
            locked = doing.startswith("delete") and is_kept(str(error))
            kind = LockedError if locked else PlaceError
            raise kind(self.label, f"{doing}: {words(error)}") from error


class _Counted:
    """A file that reports how much of it was read."""

    def __init__(self, file: IO[bytes], step: Step) -> None:
        self._file, self._step, self._done = file, step, 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        piece = self._file.read(size)
        self._done += len(piece)
        self._step(self._done)
        return piece

    def seek(self, place: int, whence: int = 0) -> int:
        """Move to a byte, as the library does to learn the size."""
        self._done = self._file.seek(place, whence)
        return self._done

    def tell(self) -> int:
        """Return the current byte."""
        return self._file.tell()


def words(error: Exception) -> str:
    """Return the cause in an error of the library: the store's own code, or its first line."""
    text = str(error)
    if _SKEWED.search(text):
        return _clock(text)
    if found := _CODE.search(text):
        return ": ".join(filter(None, found.groups()))[:_LONGEST]
    line = text.partition("\n")[0].partition(" - Server returned")
    status = line[2].strip(" :") or text.partition("HTTP error: ")[2].partition("\n")[0]
    if _ABORTED.search(line[0]):
        return ": ".join(filter(None, (_LEFT, status)))[:_LONGEST]
    said = f"{line[0]} - {status}" if status and status not in line[0] else line[0]
    return said.strip()[:_LONGEST] or type(error).__name__


def _clock(text: str) -> str:
    """Return what a store says that refuses our time, and by how much ours is off."""
    said = f"the clock of this machine is wrong, so the store refuses its requests: {_REMEDY}"
    found = _SERVER_TIME.search(text)
    try:
        theirs = datetime.fromisoformat(found[1]) if found else None
        if theirs is None or theirs.tzinfo is None:
            return said
        theirs = theirs.astimezone(UTC)
    except (ValueError, OverflowError):
        return said
    off_s = abs((datetime.now(UTC) - theirs).total_seconds())
    here, there = f"{datetime.now(UTC):%Y-%m-%d %H:%M}", f"{theirs:%Y-%m-%d %H:%M}"
    return (
        f"{said} (here {here} UTC, there {there} UTC, {format_duration(off_s // 60 * 60)} apart)"
    )


def is_kept(text: str) -> bool:
    """Return whether a refusal says that the object is locked or retained."""
    return _KEPT.search(text) is not None


def _endpoint(place: Place) -> str:
    """Return the server of an S3 place, which may be named by the environment."""
    named = (os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    return place.endpoint or next(filter(None, named), "")


def _opened(store: Any, place: Place) -> Any:
    limits = {
        "client_options": {
            "timeout": f"{place.answer:g}s",
            "connect_timeout": f"{min(_CONNECT_S, place.answer):g}s",
            "allow_http": _endpoint(place).startswith("http://"),
        },
        "retry_config": {
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=place.answer),
        },
    }
    prefix = place.path or None
    if place.kind is Kind.GCS:
        return store.GCSStore(place.host, prefix=prefix, **limits)
    if place.kind is Kind.AZURE:
        return store.AzureStore(place.host, prefix=prefix, **limits)
    given = {
        "endpoint": place.endpoint,
        "region": place.region,
        "access_key_id": place.access_key_id,
        "secret_access_key": place.secret_access_key,
        "checksum_algorithm": "SHA256" if place.checksum else "",
    }
    given = {name: text for name, text in given.items() if text}
    return store.S3Store(place.host, prefix=prefix, **given, **limits)
