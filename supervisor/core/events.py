"""Events that `decide` takes, as values.

Each event has `at`, the only reading of clocks and randomness in its turn.
Actions are in `effects.py`, requests of clients in `control_requests.py`.
"""

from msgspec import Struct

from supervisor.core.clock_reading import At as At
from supervisor.core.cluster_events import ExchangeFailed as ExchangeFailed
from supervisor.core.cluster_events import HostLost as HostLost
from supervisor.core.cluster_events import HostsSeen as HostsSeen
from supervisor.core.cluster_events import Judged as Judged
from supervisor.core.cluster_events import NotBegun as NotBegun
from supervisor.core.config_model import Config, Problem
from supervisor.core.control_requests import Request
from supervisor.core.memory import Memory as Memory
from supervisor.core.model import Peer
from workers.protocol import Garbage, Message


class Restored(Struct, frozen=True):
    """Start of the service, with its config and the state read from the ledger.

    calendar: False for `run --local`, which has no slots, catch-up or start-up runs.
    crashed: the previous supervisor did not record a clean shutdown.
    problems: errors in jobs.yaml, if an older text is used instead.
    sha256: of jobs.yaml, in hex; "" if it could not be read.
    held: for the leader of a cluster, the (run, attempt) pairs that hosts may have begun;
        None: this supervisor runs its attempts itself.
    damage: what happened to a damaged ledger, if a new one replaces it.
    """

    at: At
    config: Config
    memory: Memory
    calendar: bool = True
    crashed: bool = False
    problems: tuple[Problem, ...] = ()
    damage: str = ""
    sha256: str = ""
    held: frozenset[tuple[int, int]] | None = None


class TimePassed(Struct, frozen=True):
    """Start of a minute, or expiry of a timer returned by `next_wakeup`."""

    at: At


class Started(Struct, frozen=True):
    """Successful start of an attempt's process."""

    at: At
    run: int
    attempt: int
    pid: int


class MessageReceived(Struct, frozen=True):
    """Message or garbage from an attempt's worker."""

    at: At
    run: int
    attempt: int
    message: Message | Garbage


class Exited(Struct, frozen=True):
    """Exit of an attempt's main process; other processes of its tree may still run.

    cpu_s: CPU time of this process and of the children it waited for.
    """

    at: At
    run: int
    attempt: int
    wait_status: int
    cpu_s: float = 0.0


class TreeEmpty(Struct, frozen=True):
    """End of the last process in an attempt's tree.

    strays: processes that had to be killed. log_lost: which output was not kept, and why.
    """

    at: At
    run: int
    attempt: int
    strays: tuple[str, ...] = ()
    cpu_s: float | None = None
    max_rss_bytes: int | None = None
    log_bytes: int = 0
    dropped_bytes: int = 0
    log_lost: str = ""


class LaunchFailed(Struct, frozen=True):
    """Failure to start an attempt's process; its tree is empty."""

    at: At
    run: int
    attempt: int
    error: str


class KeeperLost(Struct, frozen=True):
    """Death of an attempt's keeper or of the fork server; `TreeEmpty` or `Survived` follows."""

    at: At
    run: int
    attempt: int


class Survived(Struct, frozen=True):
    """Survival of processes that were sent SIGKILL. left: `pid argv` of each process."""

    at: At
    run: int
    attempt: int
    left: tuple[str, ...] = ()


class Requested(Struct, frozen=True):
    """Control request of a client. token: identifies the caller for the reply."""

    at: At
    token: int
    peer: Peer
    request: Request


class Reloaded(Struct, frozen=True):
    """Acceptance of a new text of jobs.yaml; sha256: of its bytes, in hex."""

    at: At
    config: Config
    sha256: str = ""


class ReloadRefused(Struct, frozen=True):
    """Refusal of a new jobs.yaml that is invalid or unreadable; the old one stays in force.

    error: the fault of the system, if the text itself is not the cause.
    sha256: of the bytes of the text, in hex; "" if it could not be read.
    """

    at: At
    problems: tuple[Problem, ...]
    error: str = ""
    sha256: str = ""


class StopAsked(Struct, frozen=True):
    """Signal to stop the service; a second one kills all runs at once."""

    at: At


class LedgerWriteFailed(Struct, frozen=True):
    """Failure to write the ledger. launches: (run, attempt) pairs that were not started."""

    at: At
    launches: tuple[tuple[int, int], ...]
    cause: str


class LedgerRecovered(Struct, frozen=True):
    """Successful write of all delayed rows to the ledger.

    damage: what happened to the old ledger, if a new one replaces it. The new ledger holds
    only the delayed rows.
    """

    at: At
    damage: str = ""


class InternalError(Struct, frozen=True):
    """Unexpected exception caught by the loop; its turn changed nothing.

    run: the run concerned, or 0. is_empty: no process of its tree is left.
    """

    at: At
    where: str
    cause: str
    run: int = 0
    is_empty: bool = False


class LedgerDamaged(Struct, frozen=True):
    """Discovery of unreadable rows in the ledger; the other rows stay in use."""

    at: At
    cause: str


class Delivered(Struct, frozen=True):
    """Delivery of alerts, which shows that the channel works; () for a test alert."""

    at: At
    alerts: tuple[int, ...]
    channel: str


class Undelivered(Struct, frozen=True):
    """Failure to deliver the first alert being sent; those after it were not tried.

    retry_after_s: delay that the channel asked for.
    refused: the channel itself, not the network, rejected it; quick retries would not help.
    """

    at: At
    cause: str
    channel: str
    retry_after_s: float | None = None
    refused: bool = False


AttemptEvent = (
    Started
    | MessageReceived
    | Exited
    | TreeEmpty
    | LaunchFailed
    | KeeperLost
    | Survived
    | Judged
    | NotBegun
    | HostLost
)


class AttemptEvents(Struct, frozen=True):
    """Events of attempts that arrived together, in their order.

    Each follows its rule; then runs are admitted once, to all places that became free.
    """

    at: At
    events: tuple[AttemptEvent, ...]


Event = (
    Restored
    | TimePassed
    | AttemptEvent
    | AttemptEvents
    | HostsSeen
    | ExchangeFailed
    | Requested
    | Reloaded
    | ReloadRefused
    | StopAsked
    | LedgerWriteFailed
    | LedgerRecovered
    | InternalError
    | LedgerDamaged
    | Delivered
    | Undelivered
)
