"""The agent of a host: its process, a client of the supervisor and of PostgreSQL.

It waits for changes on this host and for wake-ups from others, and looks once a second.
Whatever fails is tried again; what must not go on meanwhile, the supervisor's fence ends.
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
from supervisor.cluster.agent_settings import AgentSettings, from_environ
from supervisor.cluster.assignments import NEVER, Assignments
from supervisor.cluster.gateway import Gateway
from supervisor.cluster.leadership import Candidate
from supervisor.cluster.local_host import HostRefusedError, LocalEvents, LocalHost
from supervisor.cluster.log_file import LogFile
from supervisor.cluster.membership import Membership, MembershipError
from supervisor.cluster.request_server import RequestServer
from supervisor.cluster.session import Connection, WakeLine
from supervisor.cluster.texts import Texts

# What no wake-up announces is found by looking.
LOOK_EVERY_S = 1.5
# A host whose clock is further off than this does not lead.
MOST_OFFSET_S = 2.0
# After an error.
REST_S = 1.0


class Agent:
    """One agent, from its start to its end."""

    def __init__(self, settings: AgentSettings) -> None:
        settings.folder.mkdir(mode=0o700, exist_ok=True)
        self._settings = settings
        self._log = LogFile(settings.folder / "log")
        self._local = LocalHost(Path(settings.socket))
        self._changes = LocalEvents(Path(settings.socket))
        self._membership = Membership(settings, self._local)
        self._texts = Texts(Path(settings.state, "jobs.accepted.yaml"), settings.host)
        self._candidate = Candidate(settings, self._log)
        self._requests = RequestServer(settings, self._candidate)
        self._gateway = Gateway(settings, self._candidate)
        self._assignments: Assignments | None = None
        self._db: Connection | None = None
        self._line: WakeLine | None = None
        self._unassigned_at = 0.0
        self._changed: frozenset[int] | None = None
        self._look_every_s = min(LOOK_EVERY_S, settings.cluster.heartbeat_s)

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
                self._changed = None  # what this look was to do is not known to be done
                time.sleep(REST_S)

    def _leave(self) -> None:
        """Report what has ended, return the leadership, and leave if nothing is held."""
        with contextlib.suppress(psycopg.Error, OSError, HostRefusedError):
            self._candidate.end()
            self._disconnect()
            db = self._connect()
            seen = glance.look(db, self._settings, leads=False)
            self._candidate.look(db, seen, self._texts, may_lead=False)
            if self._assignments is not None:
                self._assignments.settle(db, None, time.monotonic())
                if not self._assignments.held:
                    self._membership.leave(db)
        self._settings.gateway.unlink(missing_ok=True)

    def stand_down(self) -> None:
        """Give up the leadership, if this host has it."""
        self._candidate.stand_down()

    def _once(self) -> None:
        db = self._connect()
        seen = glance.look(db, self._settings, self._candidate.leads)
        is_other_text = self._texts.look(db, seen)
        if self._membership.is_lost or self._assignments is None:
            self._assignments = self._join(db)
        elif is_other_text:
            self._membership.tell(db, self._texts.config)
        self._work(db, self._assignments, seen)
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

    def _join(self, db: Connection) -> Assignments:
        self._membership.join(db, self._texts.config)
        worker = self._membership.worker
        self._log.write(f"joined as worker {worker}")
        self._local.confirm(self._membership.left_s, self._settings.cluster.grace_s)
        self._unassigned_at = 0.0
        self._changed = None
        return Assignments(self._settings, self._local, worker)

    def _work(self, db: Connection, assignments: Assignments, seen: glance.Glance) -> None:
        """Settle what is held, and take more if there is room."""
        mono = time.monotonic()
        changed, self._changed = self._changed, frozenset()
        if assignments.held or changed is None:
            assignments.settle(db, changed, mono)
        if mono >= self._unassigned_at:
            assignments.end_unassigned(mono)
            self._unassigned_at = mono + self._settings.cluster.heartbeat_s
        if seen.work and self._texts.config is not None and self._membership.left_s > 0:
            assignments.fetch(db, self._texts.config, mono)

    def _connect(self) -> Connection:
        if self._db is None or self._db.closed:
            self._db = session.connect(self._settings.cluster.postgres, self._settings.schema)
            wrong = install.check(self._db)
            if wrong:
                raise MembershipError(wrong)
        if self._line is None:
            self._line = WakeLine(self._settings.cluster.postgres, self._settings.schema)
        return self._db

    def _wait(self) -> None:
        """Wait for a change here, a wake-up from another host, or the next look."""
        assert self._line is not None
        sources = [self._line.fileno(), self._changes.fileno()]
        look_at = NEVER if self._assignments is None else self._assignments.look_at
        within_s = min(self._look_every_s, look_at - time.monotonic())
        ready, _, _ = select.select(sources, [], [], max(0.0, within_s))
        if self._changes.fileno() in ready:
            changed, before = self._changes.drain(), self._changed
            self._changed = None if changed is None or before is None else changed | before
        if self._line.fileno() in ready and "stand-down" in self._line.drain():
            self.stand_down()

    def _disconnect(self) -> None:
        session.close(self._db)
        self._db = None
        if self._line is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                self._line.close()
            self._line = None


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def main() -> NoReturn:
    """Run the agent that its supervisor has started."""
    settings = from_environ(AgentSettings)
    assert isinstance(settings, AgentSettings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Agent(settings).run()
