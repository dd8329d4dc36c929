"""What the leader and the hosts tell each other through PostgreSQL, as JSON."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from supervisor.core.model import Reason, State


class Order(Struct, frozen=True):
    """The body of an assignment: what a host must know to run the attempt."""

    due: datetime
    trigger: str
    set: dict[str, Any] = {}
    dry_run: bool = False


class Began(Struct, frozen=True, tag="began"):
    """A host has started the process of an attempt."""

    run: int
    attempt: int
    host: str
    pid: int


class Ended(Struct, frozen=True, tag="ended"):
    """An attempt and all of its processes have ended on a host.

    is_begun: False if no process of it was ever started there.
    """

    run: int
    attempt: int
    host: str
    state: State
    is_begun: bool = True
    reason: Reason | None = None
    cause: str = ""
    exit_status: int | None = None
    result_json: str | None = None
    strays: tuple[str, ...] = ()
    cpu_s: float | None = None
    max_rss_bytes: int | None = None
    log_bytes: int = 0


class Forgotten(Struct, frozen=True, tag="forgotten"):
    """A person says that a host is gone, with the attempts that waited for it."""

    host: str


Report = Began | Ended | Forgotten
