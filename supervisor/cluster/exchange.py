"""The leader's exchange with the hosts: assignments go out, reports come in.

One transaction an exchange, fenced as a turn is; none when there is nothing to do. Reports
are deleted in the exchange after the turn that recorded what follows from them, so a leader
that dies in between leaves them to its successor, whose rules ignore what is known already.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import msgspec
import psycopg

from supervisor.cluster import dead_hosts, known_hosts, leader_look, session, take_back
from supervisor.cluster.dead_hosts import DeadHosts
from supervisor.cluster.exchange_state import Done, Given, Pair, judged
from supervisor.cluster.hand_out import hand_out
from supervisor.cluster.leader_look import HostRow, LeaderLook
from supervisor.cluster.messages import Began, Ended, Forgotten, Lost, Report
from supervisor.cluster.session import Connection
from supervisor.cluster.shared_ledger import DeposedError, SharedLedger
from supervisor.core import events as ev
from supervisor.core.cluster_hosts import labels_for
from supervisor.core.config_model import Cluster, IfLost, Job
from supervisor.core.effects import KillStep, Launch
from supervisor.core.model import Reason, State

# Where no wake-up arrives, reports are found by looking.
POLL_EVERY_S = 1.0
# From one exchange to the next: what comes meanwhile is one transaction.
GATHER_S = 0.03
# After an error of PostgreSQL.
REST_S = 1.0
MOST_REPORTS = 500


class Exchange:
    """The assignments of one leader. The loop polls it in every turn."""

    def __init__(
        self,
        shared: SharedLedger,
        schema: str,
        cluster: Cluster,
        jobs: Sequence[Job],
        config: int,
    ) -> None:
        """Read what is given out. config: the number of the text of jobs.yaml.

        Raises: psycopg.Error.
        """
        self._shared, self._schema = shared, schema
        self._cluster, self._config = cluster, config
        self._jobs: Mapping[str, Job] = {job.name: job for job in jobs}
        self._outgoing: list[Launch] = []
        self._forces: dict[Pair, KillStep] = {}
        self._digested: list[int] = []
        # An exchange whose commit was not confirmed may have handed out what is outgoing.
        self._is_unsure, self._losses = False, shared.losses
        # PostgreSQL does not know an assignment that is held.
        self._is_lost = False
        waiting = [job.name for job in jobs if job.if_lost is IfLost.WAIT]
        self._dead_hosts = DeadHosts(cluster, waiting)
        self._beat_at = self._next_at = self._rest_until = 0.0
        # is_receiving: wake-ups arrive, so nothing has to be looked for between heartbeats.
        self.is_woken = self.is_receiving = False
        self._is_new = True
        mono = time.monotonic()
        found = shared.connection().execute(
            # Also what has ended if the end, which a report tells, is not recorded yet.
            "SELECT run, attempt, fence, job, host IS NOT NULL,"
            " coalesce((SELECT on_host FROM runs WHERE id = given.run), '')"
            " FROM assignments AS given"
            " WHERE ended_at IS NULL OR EXISTS (SELECT 1 FROM runs WHERE id = given.run"
            " AND runs.attempt = given.attempt AND state = 'running')"
        )
        self._given: dict[Pair, Given] = {
            (run, attempt): replace(self._new(job, on_host, fence, mono), begun=is_taken)
            for run, attempt, fence, job, is_taken, on_host in found
        }

    def connection(self) -> Connection:
        """Return the leader's connection. Raises: psycopg.Error."""
        return self._shared.connection()

    @property
    def held(self) -> frozenset[Pair]:
        """Return the assignments that have not ended."""
        return frozenset(self._given)

    def hand_out(self, launch: Launch) -> None:
        """Give an attempt to the cluster with the next exchange."""
        self._outgoing.append(launch)

    def force(self, run: int, attempt: int, step: KillStep) -> None:
        """Have an attempt ended with the next exchange."""
        self._forces[run, attempt] = step

    def end_others(self, live: Iterable[Pair]) -> None:
        """Have the assignments ended that no living attempt accounts for."""
        for run, attempt in self.held - set(live):
            self.force(run, attempt, KillStep.KILL)

    # --- what the loop polls -------------------------------------------------------

    def next_instant(self) -> float:
        """Return the monotonic time of the next exchange."""
        is_urgent = self.is_woken or self._outgoing or self._forces
        return self._rest_until if is_urgent else max(self._next_at, self._rest_until)

    def poll(self, at: ev.At) -> list[ev.Event]:
        """Exchange with the hosts if it is time; return what follows. Raises: DeposedError."""
        if at.mono < self.next_instant():
            return []
        is_woken, self.is_woken, done = self.is_woken, False, Done()
        try:
            self._exchange(done, at, is_woken)
        except (psycopg.Error, OSError) as error:
            self._shared.drop()
            self._rest_until = at.mono + REST_S
            self._is_unsure = True
            return [ev.ExchangeFailed(at, str(error).strip())]
        self._is_new = self._is_unsure = self._is_lost = False
        self._losses = self._shared.losses
        self._rest_until = at.mono + GATHER_S
        self._outgoing.clear()
        self._forces.clear()
        self._given |= done.given
        for pair in done.ended:
            self._given.pop(pair, None)
        self._digested = done.read
        every_s = self._cluster.heartbeat_s
        self._next_at = at.mono + (every_s if self.is_receiving else min(POLL_EVERY_S, every_s))
        return done.events

    def _exchange(self, done: Done, at: ev.At, is_woken: bool) -> None:
        db, look = self._shared.connection(), None
        silent: list[HostRow] = []
        overdue: dict[Pair, Given] = {}
        if at.mono >= self._beat_at:
            look = self._look(db)
            silent = self._dead_hosts.look(look.hosts, at.mono)
            overdue = take_back.overdue(self._given, self._cluster.lease_s, at)
        is_called = is_woken or silent or overdue
        if is_called or self._has_work() or self._has_reports(db, look):
            self._transact(db, done, at, silent, overdue)
        if look is not None:
            silent_s = partial(self._dead_hosts.silent_s, mono=at.mono)
            hosts = known_hosts.known(look.hosts, self._config, at.mono, silent_s)
            done.events.append(ev.HostsSeen(at, hosts))
            self._beat_at = at.mono + self._cluster.heartbeat_s

    def _look(self, db: Connection) -> LeaderLook:
        """Write the heartbeat and look. Raises: DeposedError, psycopg.Error."""
        shared, worker = self._shared, self._shared.leadership.worker
        look = leader_look.look(db, worker, self._digested, self._given, shared.clock)
        if look is None:
            raise DeposedError("another host has taken over")
        if look.config != self._config:
            raise DeposedError("another text of jobs.yaml is in force: its hosts lead")
        self._is_lost = look.is_lost
        return look

    def _has_work(self) -> bool:
        """Return whether there is something to do that this process knows of."""
        is_changed = self._is_new or self._is_lost or self._shared.losses != self._losses
        return bool(is_changed or self._outgoing or self._forces or self._digested)

    def _has_reports(self, db: Connection, look: LeaderLook | None) -> bool:
        return leader_look.has_reports(db, self._digested) if look is None else look.reports

    def _transact(
        self,
        db: Connection,
        done: Done,
        at: ev.At,
        silent: Sequence[HostRow],
        overdue: Mapping[Pair, Given],
    ) -> None:
        with db.transaction():
            self._shared.fence(db)
            if self._is_lost or self._shared.losses != self._losses:
                self._reconcile(db, done, at)
            self._hand_out(db, done, at)
            self._end_forced(db, done, at)
            if self._is_new:
                take_back.of_older_texts(db, self._config, done, at)
            self._read(db, done, at)
            take_back.of_no_host(db, self._config, self._cluster.lease_s, overdue, done, at)
            self._dead_hosts.end(db, silent)
            for whom in sorted(done.wakes):
                session.wake(db, self._schema, whom)

    # --- out -----------------------------------------------------------------------

    def _new(self, name: str, on_host: str, fence: int, mono: float) -> Given:
        job = self._jobs.get(name)
        waits = job is not None and job.if_lost is IfLost.WAIT
        return Given(fence, labels_for(job, on_host), waits, mono)

    def _hand_out(self, db: Connection, done: Done, at: ev.At) -> None:
        known = self._handed_out(db) if self._is_unsure else {}
        for launch in self._outgoing:
            if _pair(launch) in known:
                fence = known[_pair(launch)]
                run, name = launch.run, launch.job.name
                done.given[_pair(launch)] = self._new(name, run.on_host, fence, at.mono)
        outgoing = [each for each in self._outgoing if _pair(each) not in known]
        if not outgoing:
            return
        labels = [
            labels_for(self._jobs.get(launch.job.name), launch.run.on_host) for launch in outgoing
        ]
        fences = hand_out(db, self._schema, self._config, outgoing, labels)
        for launch, fence in zip(outgoing, fences, strict=True):
            given = self._new(launch.job.name, launch.run.on_host, fence, at.mono)
            done.given[_pair(launch)] = given
        done.wakes.add("work")

    def _handed_out(self, db: Connection) -> dict[Pair, int]:
        """Return those of the outgoing attempts that have an assignment, with their fences."""
        found = db.execute(
            "SELECT run, attempt, fence FROM assignments WHERE run = ANY(%s)",
            ([launch.run.id for launch in self._outgoing],),
        )
        return {(run, attempt): fence for run, attempt, fence in found}

    def _end_forced(self, db: Connection, done: Done, at: ev.At) -> None:
        for (run, attempt), step in self._forces.items():
            given = self._given.get((run, attempt)) or done.given.get((run, attempt))
            if given is None:
                continue
            if take_back.withdraw(db, done, run, attempt, given.fence):
                done.events.append(ev.NotBegun(at, run, attempt))
                continue
            db.execute(
                "UPDATE assignments SET force = %s WHERE run = %s AND attempt = %s",
                (step.value, run, attempt),
            )
            done.wakes.add("work")

    # --- in ------------------------------------------------------------------------

    def _read(self, db: Connection, done: Done, at: ev.At) -> None:
        if self._digested and not self._shared.is_behind:
            db.execute("DELETE FROM reports WHERE id = ANY(%s)", (self._digested,))
            self._digested = []
        done.read = list(self._digested)
        found = db.execute(
            "SELECT id, body FROM reports WHERE NOT id = ANY(%s) ORDER BY id LIMIT %s",
            (self._digested, MOST_REPORTS),
        ).fetchall()
        for number, body in found:
            done.read.append(number)
            try:
                report: Report = msgspec.json.decode(body, type=Report)
            except msgspec.MsgspecError:
                continue  # of another version, or not from a host
            self._received(db, done, report, at)

    def _received(self, db: Connection, done: Done, report: Report, at: ev.At) -> None:
        match report:
            case Began(run, attempt, _, pid):
                if (run, attempt) in self._given:
                    done.given[run, attempt] = replace(self._given[run, attempt], begun=True)
                done.events.append(ev.Started(at, run, attempt, pid))
            case Ended(is_begun=False) if self._is_of_another(report):
                pass  # a leader before has handed it out, and it is handed out again
            case Ended():
                done.ended.append((report.run, report.attempt))
                done.events.append(judged(report, at))
            case Lost(run, attempt, host, is_final):
                if is_final or not self._waits_for_host(run, attempt):
                    done.ended.append((run, attempt))
                done.events.append(ev.HostLost(at, run, attempt, host, is_final))
            case Forgotten(host):
                dead_hosts.forget(db, host)

    def _is_of_another(self, report: Ended) -> bool:
        """Return whether an attempt that was not begun has another assignment by now."""
        given = self._given.get((report.run, report.attempt))
        return report.fence != 0 and (given is None or given.fence != report.fence)

    def _waits_for_host(self, run: int, attempt: int) -> bool:
        given = self._given.get((run, attempt))
        return given is not None and given.waits

    def _reconcile(self, db: Connection, done: Done, at: ev.At) -> None:
        """Interrupt what was handed out and is unknown to a PostgreSQL that has lost commits.

        A host that runs such an attempt ends it, as it ends all that it is not given.
        """
        runs = [run for run, _ in self._given]
        found = db.execute("SELECT run, attempt FROM assignments WHERE run = ANY(%s)", (runs,))
        for run, attempt in self._given.keys() - set(found):
            done.ended.append((run, attempt))
            cause = "PostgreSQL has lost its assignment"
            end = State.INTERRUPTED, Reason.LOST, cause
            done.events.append(ev.Judged(at, run, attempt, "an unknown host", *end))


def _pair(launch: Launch) -> Pair:
    return launch.run.id, launch.run.attempt
