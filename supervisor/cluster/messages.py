"""What the leader and the hosts tell each other through PostgreSQL, as JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from supervisor.cluster.session import Connection
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

    is_begun: False if no process of it was ever started there; then it may be handed out again
    under its number, and `fence` says which assignment is meant (0: an older version does not).
    incident: see `Run`.
    """

    run: int
    attempt: int
    host: str
    state: State
    is_begun: bool = True
    reason: Reason | None = None
    cause: str = ""
    incident: str = ""
    exit_status: int | None = None
    result_json: str | None = None
    strays: tuple[str, ...] = ()
    cpu_s: float | None = None
    max_rss_bytes: int | None = None
    log_bytes: int = 0
    fence: int = 0


class Lost(Struct, frozen=True, tag="lost"):
    """A host was declared dead with this attempt; is_final: a person said so.

    The leader reports it to itself, so that a successor learns of it as well.
    """

    run: int
    attempt: int
    host: str
    is_final: bool = False


class Forgotten(Struct, frozen=True, tag="forgotten"):
    """A person says that a host is gone, with the attempts that waited for it."""

    host: str


Report = Began | Ended | Lost | Forgotten


def send(db: Connection, report: Report) -> None:
    """Write a report for the leader, in the transaction of what it reports."""
    send_all(db, [report])


def send_all(db: Connection, reports: Sequence[Report]) -> None:
    """Write reports for the leader, in the transaction of what they report."""
    bodies = [msgspec.json.encode(each).decode() for each in reports]
    db.execute("INSERT INTO reports (body) SELECT unnest(%s::text[])", (bodies,))
