"""Events of a cluster, as its leader gets them from the hosts."""

from msgspec import Struct

from supervisor.core.clock_reading import At
from supervisor.core.cluster_hosts import ClusterHost
from supervisor.core.model import Reason, State


class Judged(Struct, frozen=True):
    """End of an attempt on another host, as that host judged it; its tree is empty.

    state: SUCCESS, FAILED, CANCELLED or INTERRUPTED. problem, incident: see `Verdict`.
    """

    at: At
    run: int
    attempt: int
    host: str
    state: State
    reason: Reason | None = None
    cause: str = ""
    exit_status: int | None = None
    problem: str = ""
    incident: str = ""
    result_json: str | None = None
    strays: tuple[str, ...] = ()
    cpu_s: float | None = None
    max_rss_bytes: int | None = None
    log_bytes: int = 0


class NotBegun(Struct, frozen=True):
    """An attempt that no host has begun, and none will: it was taken back.

    error: why; it opens an incident of the job. "": it is not worth one.
    """

    at: At
    run: int
    attempt: int
    error: str = ""


class HostLost(Struct, frozen=True):
    """The host of an attempt was silent for so long that it counts as dead.

    is_final: a person says so; the rule `wait` waits no longer.
    """

    at: At
    run: int
    attempt: int
    host: str
    is_final: bool = False


class HostsSeen(Struct, frozen=True):
    """The hosts of the cluster, as its leader has just seen them."""

    at: At
    hosts: tuple[ClusterHost, ...]


class ExchangeFailed(Struct, frozen=True):
    """The leader could not exchange with the hosts; it tries again."""

    at: At
    cause: str
