"""The agent of a host: its process, a client of the supervisor and of PostgreSQL.

It waits for changes on this host and for wake-ups from others, takes what each heartbeat
has seen, and looks once between two of them. Whatever fails is tried again; what must not
go on meanwhile, the supervisor's fence ends.
"""

import contextlib
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import psycopg

from supervisor.cluster import glance, install, session
from supervisor.cluster.agent_messages import PATH
from supervisor.cluster.agent_settings import AgentSettings, from_environ
from supervisor.cluster.assignments import Assignments
from supervisor.cluster.gateway import Gateway
from supervisor.cluster.leadership import Candidate
from supervisor.cluster.local_host import HostLine, HostRefusedError, LocalHost
from supervisor.cluster.log_file import LogFile
from supervisor.cluster.membership import Membership, MembershipError
from supervisor.cluster.request_server import RequestServer
from supervisor.cluster.session import Connection, WakeLine
from supervisor.cluster.texts import Texts

# What no wake-up announces is found by looking; more often where none arrives. The longer one
# is more than half of an interval of heartbeats, so that each look of one saves another.
LOOK_EVERY_S, POLL_EVERY_S = 2.75, 1.0
# From one look to the next: what ends meanwhile is one transaction.
GATHER_S = 0.03
# A host whose clock is further off than this does not lead.
MOST_OFFSET_S = 2.0
# How long the end waits for the supervisor's word about what is held.
SETTLE_S = 1.0
# After an error.
REST_S = 1.0


class Agent:
    """One agent, from its start to its end."""

    def __init__(self, settings: AgentSettings) -> None:
        settings.folder.mkdir(mode=0o700, exist_ok=True)
        self._settings = settings
        self._log = LogFile(settings.folder / "log")
        self._local = LocalHost(Path(settings.socket))
        self._line: HostLine | None = None
        self._texts = Texts(Path(settings.state, "jobs.accepted.yaml"), settings.host)
        self._candidate = Candidate(settings, self._log)
        self._membership = Membership(settings, self._local, lambda: self._candidate.leads)
        self._requests = RequestServer(settings, self._candidate)
        self._gateway = Gateway(settings, self._candidate)
        self._assignments: Assignments | None = None
        self._db: Connection | None = None
        self._wakes: WakeLine | None = None
        self._unassigned_at = self._looked_at = 0.0
        self._seen: glance.Glance | None = None

    def run(self) -> NoReturn:
        """Work until this process is ended."""
        self._membership.begin()
        self._gateway.start()
        while True:
            try:
                self._once()
            except SystemExit:
                self._leave()
                raise
            except (psycopg.Error, OSError, HostRefusedError, MembershipError) as error:
                self._log.write_once(f"not in the cluster now: {_short(error)}")
                self._disconnect()
                time.sleep(REST_S)

    def _leave(self) -> None:
        """Report what has ended, return the leadership, and leave if nothing is held."""
        with contextlib.suppress(psycopg.Error, OSError, HostRefusedError):
            self._candidate.end()
            self._disconnect()
            db = self._connect()
            seen = glance.look(db, self._settings, leads=False)
            self._candidate.look(db, seen, self._texts, may_lead=False)
            if not self._membership.is_lost and self._settles(db):
                self._membership.leave(db)
        self._settings.gateway.unlink(missing_ok=True)

    def _settles(self, db: Connection) -> bool:
        """Report what has ended; return whether nothing is held. Raises: OSError."""
        assignments, deadline = self._assignments_of(db), time.monotonic() + SETTLE_S
        assignments.settle(db)  # gives all that is held to the supervisor
        while assignments.held and time.monotonic() < deadline:
            assert self._line is not None
            select.select([self._line], [], [], SETTLE_S)
            assignments.settle(db)
        return not assignments.held

    def stand_down(self) -> None:
        """Give up the leadership, if this host has it."""
        self._candidate.stand_down()

    def _once(self) -> None:
        db = self._connect()
        self._looked_at = time.monotonic()
        seen, self._seen = self._seen, None
        if seen is None:
            seen = glance.look(db, self._settings, self._candidate.leads)
        is_other_text = self._texts.look(db, seen)
        if self._membership.is_lost:
            self._join(db)
        elif is_other_text:
            self._membership.tell(db, self._texts.config)
        self._work(db, self._assignments_of(db), seen)
        may_lead = self._may_lead(seen)
        self._candidate.look(db, seen, self._texts, may_lead)
        if seen.requests:
            self._requests.serve(db)
        self._wait()

    def _may_lead(self, seen: glance.Glance) -> bool:
        """Return whether this host may decide; a leader whose clock is wrong stands down.

        Slots are opened by the leader's clock, and the next leader's must agree with it.
        """
        if abs(seen.offset_s) > MOST_OFFSET_S:
            text = f"this clock is {seen.offset_s:+.1f}s off PostgreSQL's: it may not lead"
            self._log.write_once(text)
            if self._candidate.leads:
                self._candidate.stand_down()
            return False
        return self._settings.cluster.lead and self._texts.config is not None

    def _join(self, db: Connection) -> None:
        self._membership.join(db, self._texts.config)
        self._log.write(f"joined as worker {self._membership.worker}")
        self._local.confirm(self._membership.left_s, self._settings.cluster.grace_s)
        self._unassigned_at = 0.0
        self._drop_line()

    def _assignments_of(self, db: Connection) -> Assignments:
        """Return what this host holds, over a line to the supervisor. Raises: OSError."""
        if self._line is None or self._assignments is None:
            self._line = HostLine(Path(self._settings.state, PATH))
            self._assignments = Assignments(
                self._settings, self._local, self._line, self._membership.worker
            )
        return self._assignments

    def _drop_line(self) -> None:
        """Give all to the supervisor again: what was asked or answered may be lost."""
        if self._line is not None:
            self._line.close()
        self._line = self._assignments = None

    def _work(self, db: Connection, assignments: Assignments, seen: glance.Glance) -> None:
        """Settle what is held, and take more if there is room."""
        assignments.settle(db)
        mono = time.monotonic()
        if mono >= self._unassigned_at:
            assignments.end_unassigned()
            self._unassigned_at = mono + self._settings.cluster.heartbeat_s
        if seen.work and self._texts.config is not None and self._membership.left_s > 0:
            assignments.fetch(db, self._texts.config)

    def _connect(self) -> Connection:
        if self._db is None or self._db.closed:
            self._db = session.connect(self._settings.cluster.postgres, self._settings.schema)
            wrong = install.check(self._db)
            if wrong:
                raise MembershipError(wrong)
        if self._wakes is None:
            self._wakes = WakeLine(
                self._settings.cluster.postgres, self._settings.schema, self._db
            )
        return self._db

    def _wait(self) -> None:
        """Wait for a change here, a wake-up from another host, a heartbeat, or the next look."""
        assert self._wakes is not None
        assert self._line is not None
        every_s = LOOK_EVERY_S if self._wakes.is_receiving else POLL_EVERY_S
        look_at = self._looked_at + min(every_s, self._settings.cluster.heartbeat_s)
        begun_at = time.monotonic()
        sources = [self._wakes.fileno(), self._line.fileno(), self._membership.fileno()]
        while (left_s := look_at - time.monotonic()) > 0:
            ready, _, _ = select.select(sources, [], [], left_s)
            said = self._wakes.drain() if self._wakes.fileno() in ready else set()
            if "stand-down" in said:
                self.stand_down()
            if self._line.fileno() in ready or not said.isdisjoint(self._wake_words()):
                look_at = min(look_at, self._looked_at + GATHER_S)
                sources = []  # what a heartbeat has seen may be older than that
            elif self._membership.fileno() in ready:
                # What was seen before the work above was done may be old.
                self._seen = self._membership.take_seen(begun_at)
                look_at = look_at if self._seen is None else 0.0

    def _wake_words(self) -> set[str]:
        """Return what other hosts say when there is something to do here."""
        leader = {"request:leader"} if self._candidate.leads else set()
        return {"work", "stand-down", f"request:{self._settings.host}", *leader}

    def _disconnect(self) -> None:
        session.close(self._db)
        self._db = self._seen = None
        self._drop_line()
        if self._wakes is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                self._wakes.close()
            self._wakes = None


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def main() -> NoReturn:
    """Run the agent that its supervisor has started."""
    settings = from_environ(AgentSettings)
    assert isinstance(settings, AgentSettings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Agent(settings).run()
