"""What may happen, as values.

Every event carries `at`: the one reading of clocks and dice for its turn. What a
decision asks of the world stands in `effects.py`, what people ask over the socket
in `asks.py`.
"""

from datetime import datetime

from msgspec import Struct

from supervisor.core.alert_model import Alert, Incident
from supervisor.core.asks import Request
from supervisor.core.model import (
    Attempt,
    Config,
    Mark,
    Pause,
    Peer,
    Problem,
    Run,
)
from workers.protocol import Garbage, Message


class At(Struct, frozen=True):
    """One reading of the clocks: wall (aware, UTC), monotonic seconds, a die in [0, 1)."""

    wall: datetime
    mono: float
    dice: float = 0.5


class Memory(Struct, frozen=True):
    """What the ledger remembers at a start.

    runs: open runs, and the newest final ones of each job, oldest first.
    attempts: those whose end nobody saw. outbox: alerts that wait, oldest first.
    incidents: the open ones, those whose recovery is not announced yet, and closed
        ones with an ack. last_tick: the last full minute that was acted on, None if
        that was never kept; silent_until: as `World` has it.
    """

    runs: tuple[Run, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    marks: tuple[Mark, ...] = ()
    incidents: tuple[Incident, ...] = ()
    outbox: tuple[Alert, ...] = ()
    paused: Pause | None = None
    last_tick: datetime | None = None
    silent_until: datetime | None = None
    next_run: int = 1
    next_incident: int = 1
    next_alert: int = 1


class Restored(Struct, frozen=True):
    """The service starts: its definitions and its memory.

    calendar False: `run --local`; no slots, catch-up or start-up runs.
    crashed: the supervisor before this one did not say goodbye.
    problems: what is wrong with the file, if an older text stands in for it.
    damage: what became of a damaged ledger, if a new one is in its place.
    """

    at: At
    config: Config
    memory: Memory
    calendar: bool = True
    crashed: bool = False
    problems: tuple[Problem, ...] = ()
    damage: str = ""


class TimePassed(Struct, frozen=True):
    """A minute began, or an instant asked for by `next_wakeup` came."""

    at: At


class Started(Struct, frozen=True):
    """An attempt's process lives."""

    at: At
    run: int
    attempt: int
    pid: int


class Said(Struct, frozen=True):
    """An attempt's worker spoke (or wrote garbage)."""

    at: At
    run: int
    attempt: int
    message: Message | Garbage


class Exited(Struct, frozen=True):
    """An attempt's own process ended; its tree may still have members.

    cpu_s: CPU time of this process and of the children it waited for.
    """

    at: At
    run: int
    attempt: int
    wait_status: int
    cpu_s: float = 0.0


class Emptied(Struct, frozen=True):
    """Its tree is empty; `strays` had to be killed, `log_lost` says what was not kept and why."""

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
    """No process came of a launch; the tree is empty."""

    at: At
    run: int
    attempt: int
    error: str


class Lost(Struct, frozen=True):
    """The keeper or the nursery died under an attempt; `Emptied` or `Survived` follows."""

    at: At
    run: int
    attempt: int


class Survived(Struct, frozen=True):
    """SIGKILL was sent to these, `pid argv` each, and they are still there."""

    at: At
    run: int
    attempt: int
    left: tuple[str, ...] = ()


class Asked(Struct, frozen=True):
    """A person asked; `token` says where the reply goes."""

    at: At
    token: int
    peer: Peer
    request: Request


class Reloaded(Struct, frozen=True):
    """A new text of jobs.yaml was accepted."""

    at: At
    config: Config


class ReloadRefused(Struct, frozen=True):
    """A new text of jobs.yaml is full of mistakes, or could not be read; the old one stays.

    error: what is wrong with our own surroundings, if that is it and not the text.
    """

    at: At
    problems: tuple[Problem, ...]
    error: str = ""


class StopAsked(Struct, frozen=True):
    """A signal to stop; a second one kills at once."""

    at: At


class Unrecorded(Struct, frozen=True):
    """The ledger could not be written; these launches were not performed."""

    at: At
    launches: tuple[tuple[int, int], ...]
    cause: str


class Recorded(Struct, frozen=True):
    """The ledger holds all that was kept back; damage: and is a new one, which holds no more."""

    at: At
    damage: str = ""


class InternalError(Struct, frozen=True):
    """An exception of no known kind was caught at the edge of the loop; the turn changed nothing.

    run: the one concerned; 0: none. is_empty: nothing of its tree lives.
    """

    at: At
    where: str
    cause: str
    run: int = 0
    is_empty: bool = False


class LedgerDamaged(Struct, frozen=True):
    """A reader of the ledger found rows that cannot be read; the rest of it is in use."""

    at: At
    cause: str


class Delivered(Struct, frozen=True):
    """These alerts have arrived, and so the channel is open; () for a test alert."""

    at: At
    alerts: tuple[int, ...]


class Undelivered(Struct, frozen=True):
    """The first alert that is being sent did not arrive, and none after it was tried.

    retry_after_s: what the channel asked for. refused: it is not the network
    but the channel that says no, and asking often would not help.
    """

    at: At
    cause: str
    retry_after_s: float | None = None
    refused: bool = False


AttemptEvent = Started | Said | Exited | Emptied | LaunchFailed | Lost | Survived
Event = (
    Restored
    | TimePassed
    | AttemptEvent
    | Asked
    | Reloaded
    | ReloadRefused
    | StopAsked
    | Unrecorded
    | Recorded
    | InternalError
    | LedgerDamaged
    | Delivered
    | Undelivered
)
