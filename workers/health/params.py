"""Parameters of a health job from its `with` block."""

from dataclasses import dataclass, field
from pathlib import Path

from workers.backup.places.place import Place
from workers.health.evaluation import Limits
from workers.url_text import is_url

_USUAL = Limits()


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `health.run`.

    database: the SQLite file.
    postgres: a libpq DSN, never logged; empty: PostgreSQL is not measured.
    replication: whether PostgreSQL holds the replica of the database; then it
        is measured with an empty `postgres` too, where libpq's environment
        says, and the lag of the replica with it.
    backups: the folder of its copies; none: they are not measured.
    copies: the places of its second copies, each with its settings as in backup.run.
    http: URLs that should answer.
    """

    database: Path
    postgres: str = field(default="", repr=False)
    replication: bool = False
    backups: Path | None = None
    copies: tuple[Place, ...] = ()
    http: tuple[str, ...] = field(default=(), repr=False)
    limits: Limits = _USUAL

    def __post_init__(self) -> None:
        if not all(is_url(url) for url in self.http):
            # Not shown, because a URL may contain a password.
            raise ValueError("http: expected URLs such as https://host/path")
