"""The membership of this host: joined once, kept by heartbeats, lost when they stop.

The heartbeat has a thread and a connection of its own, so that nothing else delays it; its
statement looks at the cluster as well, for the agent. After each one that PostgreSQL has
confirmed, the supervisor learns for how long it may go on: the fence, counted from when the
heartbeat was sent, by a clock that also counts the time a machine was suspended.
"""

import contextlib
import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import psycopg
from msgspec import Struct

from supervisor import __version__
from supervisor.cluster import engine, glance, session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.glance import Glance
from supervisor.cluster.local_host import HostRefusedError, LocalHost
from supervisor.cluster.server_clock import boottime
from supervisor.cluster.session import Connection


class MembershipError(Exception):
    """Why this host cannot be a member; the text says what to do."""


class Identity(Struct, frozen=True):
    """Who this host was when its agent last ran: kept in a file beside the leader's state.

    uid: of the state folder. machine: the machine and its boot, and where the folder is.
    """

    uid: str
    machine: str = ""
    worker: int = 0


class Membership:
    """This host in the engine: its worker, and whether its last heartbeat is recent."""

    def __init__(
        self,
        settings: AgentSettings,
        local: LocalHost,
        leads: Callable[[], bool],
        clock: Callable[[], float] = boottime,
    ) -> None:
        """Know nothing yet.

        leads: whether the leader process of this host can be asked. clock: seconds that only
        grow and count suspended time.
        """
        self._settings, self._local, self._leads = settings, local, leads
        self._clock = clock
        self._path = settings.folder / "identity.json"
        self._identity = _read(self._path)
        self._sent = float("-inf")
        self.worker = 0
        self._is_over = False
        # The last look of a heartbeat, and when it was begun (monotonic).
        self._seen: tuple[float, Glance] | None = None
        self._seen_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lost = threading.Event()
        self._lost.set()

    @property
    def is_lost(self) -> bool:
        """Return whether this host has to join, or to join again."""
        return self._lost.is_set()

    @property
    def left_s(self) -> float:
        """Return for how long this host may still go on; negative if it may not."""
        return self._sent + self._settings.cluster.fence_s - self._clock()

    @property
    def _grace_s(self) -> float:
        """Return the time from SIGTERM to SIGKILL: counted from the fence, if that has passed."""
        return max(0.0, self._settings.cluster.grace_s + min(0.0, self.left_s))

    def fileno(self) -> int:
        """Return the descriptor that is readable when a heartbeat has looked."""
        return self._seen_fd

    def take_seen(self, since_mono: float) -> Glance | None:
        """Return what the last heartbeat has seen, if it looked after this instant."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._seen_fd)
        seen = self._seen
        return seen[1] if seen is not None and seen[0] >= since_mono else None

    def begin(self) -> None:
        """Start the thread of heartbeats; it beats while this host is joined."""
        threading.Thread(target=self._beat_or_end, name="heartbeat", daemon=True).start()

    def join(self, db: Connection, config: int | None) -> None:
        """Join the cluster under a worker of our own, or go on with the one of before.

        Raises: MembershipError, psycopg.Error, OSError.
        """
        machine = _machine(self._settings.folder)
        before = self._identity
        if before.worker and before.machine != machine:
            self._refuse_a_copy(db, before.worker)
        with db.transaction():
            former = self._former_worker(db)
            worker = before.worker if before.machine == machine else 0
            if not worker or not engine.beat(db, worker):
                worker = engine.register(db)
            self._write_row(db, worker, config)
            self._take_up(db, worker, former)
        self._identity = Identity(before.uid, machine, worker)
        _write(self._path, self._identity)
        self.worker = worker
        self._sent = self._clock()
        self._lost.clear()

    def leave(self, db: Connection) -> None:
        """Remove this host's worker, which holds nothing. Raises: psycopg.Error."""
        self._lost.set()
        with db.transaction():
            db.execute(
                "UPDATE hosts SET worker = NULL, lost_at = now() WHERE worker = %s",
                (self.worker,),
            )
            engine.unregister(db, self.worker)
        self._identity = Identity(self._identity.uid, self._identity.machine)
        _write(self._path, self._identity)

    def tell(self, db: Connection, config: int | None) -> None:
        """Write which text of jobs.yaml this host runs. Raises: psycopg.Error."""
        db.execute(
            "UPDATE hosts SET config = %s WHERE name = %s AND worker = %s",
            (config, self._settings.host, self.worker),
        )

    def _former_worker(self, db: Connection) -> int | None:
        """Return the worker that this host had, if it was not declared dead.

        Raises: MembershipError if the name is that of another host.
        """
        row = db.execute(
            "SELECT uid, worker FROM hosts WHERE name = %s FOR UPDATE", (self._settings.host,)
        ).fetchone()
        if row is not None and row[0] != self._identity.uid:
            raise MembershipError(
                f"another host is called {self._settings.host}: set cluster.host in jobs.yaml,"
                f" or say nightshift cluster forget {self._settings.host}"
            )
        return None if row is None else row[1]

    def _refuse_a_copy(self, db: Connection, worker: int) -> None:
        """Raise an error if the host of this state folder is alive elsewhere."""
        first = engine.heartbeats(db).get(worker)
        time.sleep(3 * self._settings.cluster.heartbeat_s)
        if first is not None and engine.heartbeats(db).get(worker) != first:
            raise MembershipError(
                f"the state folder {self._settings.state} is a copy: its host"
                f" {self._settings.host} is alive; begin with an empty folder"
            )

    def _write_row(self, db: Connection, worker: int, config: int | None) -> None:
        cluster = self._settings.cluster
        db.execute(
            """INSERT INTO hosts (name, uid, worker, version, labels, places, may_lead, config,
                fence_seconds) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (name) DO UPDATE SET worker = excluded.worker,
                version = excluded.version, labels = excluded.labels, places = excluded.places,
                may_lead = excluded.may_lead, config = excluded.config, lost_at = NULL,
                fence_seconds = excluded.fence_seconds""",
            (
                self._settings.host,
                self._identity.uid,
                worker,
                __version__,
                ",".join(sorted(self._settings.labels)),
                self._settings.places,
                cluster.lead,
                config,
                cluster.fence_s + cluster.grace_s,
            ),
        )

    def _take_up(self, db: Connection, worker: int, former: int | None) -> None:
        """Hold again what has waited for this host, and what it held before a boot.

        No leader looks at the former worker of a host any more. The supervisor says what has
        become of its attempts.
        """
        found = db.execute(
            "UPDATE assignments SET worker = %s, lost_at = NULL WHERE host = %s"
            " AND (lost_at IS NOT NULL OR worker = %s) AND ended_at IS NULL RETURNING fence",
            (worker, self._settings.host, former),
        ).fetchall()
        # The engine has no function that gives a job that runs to another worker.
        db.execute(
            "UPDATE procrastinate_jobs SET worker_id = %s WHERE id = ANY(%s)"
            " AND status = 'doing' AND (worker_id IS NULL OR worker_id = %s)",
            (worker, [fence for (fence,) in found], former),
        )
        if former is not None and former != worker:
            engine.unregister(db, former)

    # --- heartbeats ----------------------------------------------------------------

    def _beat_or_end(self) -> None:
        """Beat; after an unexpected error end this process, which the supervisor starts again.

        Without its thread of heartbeats the host would be declared dead and never join again.
        """
        try:
            self._beat_always()
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def _beat_always(self) -> None:
        db: Connection | None = None
        does_look = True
        while True:
            next_at = time.monotonic() + self._settings.cluster.heartbeat_s
            if not self.is_lost:
                self._end_after_suspension()
                try:
                    if db is None:
                        db = session.connect(
                            self._settings.cluster.postgres, self._settings.schema
                        )
                    self._beat(db, does_look)
                    does_look = True
                except (psycopg.Error, OSError):
                    # A lock on another table must not stop the next heartbeat as well.
                    does_look = False
                    session.close(db)
                    db = None
            time.sleep(max(0.05, next_at - time.monotonic()))

    def _end_after_suspension(self) -> None:
        """Let the supervisor end its part if the fence passed while this machine was suspended.

        Its own timer does not count that time, and PostgreSQL may be out of reach.
        """
        is_over = self.left_s <= 0
        if is_over and not self._is_over:
            with contextlib.suppress(HostRefusedError):
                self._local.confirm(0.0, self._grace_s)
        self._is_over = is_over

    def _beat(self, db: Connection, does_look: bool) -> None:
        sent, mono, worker = self._clock(), time.monotonic(), self.worker
        if self._write_beat(db, worker, does_look, mono):
            self._sent = sent
            for_s = self.left_s
        else:
            for_s = 0.0  # the leader has given what ran here to others
            self._lost.set()
        with contextlib.suppress(HostRefusedError):
            self._local.confirm(for_s, self._grace_s)

    def _write_beat(self, db: Connection, worker: int, does_look: bool, mono: float) -> bool:
        if not does_look:
            return engine.beat(db, worker)
        seen = glance.beat(db, self._settings, worker, self._leads())
        if seen is not None:
            self._seen = mono, seen
            os.eventfd_write(self._seen_fd, 1)
        return seen is not None


def _machine(folder: Path) -> str:
    """Return what differs for a copy of a state folder and after a boot."""
    parts = [str(folder)]
    for name in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        with contextlib.suppress(OSError):
            parts.append(Path(name).read_text().strip())
    return " ".join((*parts, os.uname().nodename))


def _read(path: Path) -> Identity:
    """Return the identity in the file, or a new one, which is written."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except (OSError, msgspec.MsgspecError):
        made = Identity(secrets.token_hex(16))
        _write(path, made)
        return made


def _write(path: Path, identity: Identity) -> None:
    aside = path.with_suffix(".new")
    aside.write_bytes(msgspec.json.encode(identity))
    aside.replace(path)
