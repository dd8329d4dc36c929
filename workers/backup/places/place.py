"""What jobs.yaml says of a place. Pure.

`/mnt/nas` is a folder; `s3://bucket/path`, `gs://bucket/path` and `az://container/path` are
object stores; `sftp://user@host/path` is a folder of another machine (`/~/path`: below the
user's home).
"""

import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from workers import path_text
from workers.params import Duration
from workers.url_text import is_url, split_url

_ANSWER = Duration(20.0)
_AGE = re.compile(r"age1[02-9ac-hj-np-z]{58}|ssh-(?:ed25519|rsa) \S+.*")


class Kind(StrEnum):
    """How a place is reached."""

    FOLDER = "folder"
    S3 = "s3"
    GCS = "gs"
    AZURE = "az"
    SFTP = "sftp"


class Verify(StrEnum):
    """How a copy is proven after it was sent: read back whole, or by the sums of its parts."""

    ALL = "all"
    PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Place:
    """A place of copies.

    to: a folder or URL. endpoint, region: of an S3 store that is not Amazon's.
    access_key_id, secret_access_key: of S3; otherwise AWS_*, GOOGLE_* and AZURE_* of the
    environment are used. age: recipients, to whom copies are encrypted.
    verify: `all` reads each new copy back; `parts` trusts the SHA-256 that S3 checks of
    each part. checksum: whether the store knows such sums.
    locked: for how long the bucket keeps every object, whatever is deleted.
    delete: false if the place removes old copies by rules of its own.
    answer: how long it may be silent. ssh_config: instead of the user's own.
    """

    to: str
    endpoint: str = ""
    region: str = ""
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    age: tuple[str, ...] = ()
    verify: str = Verify.ALL
    checksum: bool = True
    locked: Duration | None = None
    delete: bool = True
    answer: Duration = _ANSWER
    ssh_config: Path | None = None

    def __post_init__(self) -> None:
        kind = self.kind
        if self.verify not in tuple(Verify):
            raise ValueError(f'verify: expected all or parts, got "{self.verify[:40]}"')
        if self.verify == Verify.PARTS and not (kind is Kind.S3 and self.checksum):
            raise ValueError("verify: parts needs an s3:// place that knows SHA-256 sums")
        wrong = next((one for one in self.age if not _AGE.fullmatch(one)), None)
        if wrong is not None:
            # Not shown whole: it may be a private key.
            raise ValueError(
                "age: expected public keys such as age1... or ssh-ed25519 ...,"
                f' got "{wrong[:8]}..."'
            )
        if not 0 < self.answer <= 600:
            raise ValueError("answer: expected up to 10m")
        if kind is not Kind.S3 and (self.endpoint or self.access_key_id):
            raise ValueError("endpoint: expected only for an s3:// place")
        if self.endpoint and not _is_endpoint(self.endpoint):
            # Not shown, because it may hold a password.
            raise ValueError("endpoint: expected a URL such as https://host:9000, without user")

    @classmethod
    def from_text(cls, text: str) -> "Place":
        """Return the place that a plain text in jobs.yaml means."""
        return cls(text)

    @property
    def kind(self) -> Kind:
        """Return how the place is reached.

        Raises:
            ValueError: `to` is neither a path nor a URL of a known kind.
        """
        scheme, colon, _ = self.to.partition("://")
        if not colon:
            if wrong := path_text.mistake(self.to) or ("" if self.to else "is empty"):
                raise ValueError(f"to: {wrong}")
            return Kind.FOLDER
        try:
            kind, parts = Kind(scheme), urlsplit(self.to)
        except ValueError:
            kind, parts = Kind.FOLDER, urlsplit("")
        if kind is Kind.FOLDER:
            raise ValueError(
                "to: expected a folder, s3://bucket/path, gs://bucket/path,"
                f' az://container/path or sftp://user@host/path, got "{scheme[:20]}://..."'
            )
        # The path may have any letters, also blanks.
        has_host = is_url(f"{scheme}://{parts.netloc}", (scheme,))
        if not has_host or parts.query or parts.fragment:
            raise ValueError(f"to: expected {scheme}://name/path")
        if parts.password is not None:
            raise ValueError("to: expected no password; SFTP uses keys, S3 secret_access_key")
        names = unquote(parts.path).strip("/").split("/")
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in "".join(names)):
            raise ValueError("to: expected a path without control characters")
        if kind is not Kind.SFTP and {"..", "."} & set(names) | {""} & set(names[1:]):
            raise ValueError('to: expected a path without "//", "/./" and "/../"')
        if kind is not Kind.SFTP and (parts.port is not None or parts.username):
            raise ValueError("to: expected no user and no port; `endpoint` names the server")
        return kind

    @property
    def key(self) -> str:
        """Return a name that is equal for equal places."""
        return os.path.abspath(self.to) if self.kind is Kind.FOLDER else self.to.rstrip("/")

    @property
    def folder(self) -> Path:
        """Return the path of a place that is a folder."""
        return Path(self.to)

    @property
    def host(self) -> str:
        """Return the bucket, container or host."""
        # Not `hostname`, which is in lower case: a name of ssh's configuration is not.
        host = urlsplit(self.to).netloc.rpartition("@")[2]
        return host[1:].partition("]")[0] if host[:1] == "[" else host.partition(":")[0]

    @property
    def user(self) -> str:
        """Return the user of an SFTP place; empty: that of ssh's configuration."""
        return unquote(urlsplit(self.to).username or "")

    @property
    def port(self) -> int | None:
        """Return the port of an SFTP place; None: that of ssh's configuration."""
        return urlsplit(self.to).port

    @property
    def path(self) -> str:
        """Return the path in the bucket or on the host; empty: its root, or the home."""
        path = unquote(urlsplit(self.to).path)
        if self.kind is not Kind.SFTP:
            return path.strip("/")
        return path[3:] if path.startswith("/~/") else path

    @property
    def is_plain_folder(self) -> bool:
        """Return whether copies go there as they are, as ordinary files."""
        return self.kind is Kind.FOLDER and not self.age


def _is_endpoint(text: str) -> bool:
    try:
        parts = split_url(text)
    except ValueError:
        return False
    return parts.username is None and not parts.query and not parts.fragment
