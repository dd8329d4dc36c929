"""The leader's exchange with the hosts: assignments go out, reports come in.

One transaction an exchange, fenced as a turn is. Reports are deleted in the exchange
after the turn that recorded what follows from them, so a leader that dies in between
leaves them to its successor, whose rules ignore what is known already.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import psycopg

from supervisor.cluster import engine, inherited, session
from supervisor.cluster.dead_hosts import DeadHosts
from supervisor.cluster.inherited import Pair
from supervisor.cluster.messages import Began, Ended, Forgotten, Order, Report
from supervisor.cluster.session import Connection
from supervisor.cluster.shared_ledger import DeposedError, SharedLedger
from supervisor.core import events as ev
from supervisor.core.config_model import Cluster, IfLost, Job
from supervisor.core.effects import KillStep, Launch, Note
from supervisor.core.model import State
from supervisor.log import ServiceLog

# What no notification announces is found by looking.
LOOK_EVERY_S = 1.0
# After an error of PostgreSQL.
REST_S = 1.0
MOST_REPORTS = 500

# An attempt that its host did not begin keeps its number.
_ASSIGN = """INSERT INTO assignments (run, attempt, fence, job, body)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (run, attempt) DO UPDATE SET fence = excluded.fence, body = excluded.body,
    force = '', given_at = now(), host = NULL, worker = NULL, local_run = NULL,
    lost_at = NULL, ended_at = NULL
WHERE assignments.ended_at IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class Given:
    """An assignment that has not ended; begun: a host has said so."""

    fence: int
    labels: tuple[str, ...]
    since_mono: float
    begun: bool = False


@dataclass(slots=True)
class _Done:
    """What an exchange has done, taken over when it is committed."""

    given: dict[Pair, Given] = field(default_factory=dict)
    ended: list[Pair] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    events: list[ev.Event] = field(default_factory=list)
    wakes: set[str] = field(default_factory=set)


class Exchange:
    """The assignments of one leader. The loop polls it in every turn.

    held: what was handed out before this leader, and whose end is not recorded.
    """

    def __init__(
        self,
        shared: SharedLedger,
        schema: str,
        cluster: Cluster,
        jobs: Sequence[Job],
        config: int,
        log: ServiceLog,
    ) -> None:
        """Read what is given out. config: the number of the text of jobs.yaml.

        Raises: psycopg.Error.
        """
        self._shared, self._schema = shared, schema
        self._cluster, self._config, self._log = cluster, config, log
        self._jobs: Mapping[str, Job] = {job.name: job for job in jobs}
        self._outgoing: list[Launch] = []
        self._forces: dict[Pair, KillStep] = {}
        self._digested: list[int] = []
        waiting = [job.name for job in jobs if job.if_lost is IfLost.WAIT]
        self._dead_hosts = DeadHosts(cluster, waiting)
        self._beat_at = self._next_at = self._rest_until = 0.0
        self.is_woken = False
        mono = time.monotonic()
        left = inherited.read(shared.connection())
        self.held, self._lost = left.held, left.lost
        self._given: dict[Pair, Given] = {
            (each.run, each.attempt): Given(
                each.fence, self._labels(each.job), mono, each.is_taken
            )
            for each in left.living
        }

    def hand_out(self, launch: Launch) -> None:
        """Give an attempt to the cluster with the next exchange."""
        self._outgoing.append(launch)

    def force(self, run: int, attempt: int, step: KillStep) -> None:
        """Have an attempt ended with the next exchange."""
        self._forces[run, attempt] = step

    def end_others(self, live: Iterable[Pair]) -> None:
        """Have the assignments ended that no living attempt accounts for."""
        for run, attempt in self._given.keys() - set(live):
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
        self.is_woken, done = False, _Done()
        try:
            self._exchange(done, at)
        except (psycopg.Error, OSError) as error:
            self._log.note(at.wall, Note("warning", f"exchange with the hosts: {error}"))
            self._shared.drop()
            self._rest_until = at.mono + REST_S
            return []
        self._outgoing.clear()
        self._forces.clear()
        self._given |= done.given
        for pair in done.ended:
            self._given.pop(pair, None)
        self._digested, self._lost = done.read, {}
        self._next_at = at.mono + LOOK_EVERY_S
        return done.events

    def _exchange(self, done: _Done, at: ev.At) -> None:
        db = self._shared.connection()
        is_due = at.mono >= self._beat_at
        if is_due and not engine.beat(db, self._shared.leadership.worker):
            raise DeposedError("another host has taken over")
        with db.transaction():
            self._shared.fence(db)
            for (run, attempt), host in self._lost.items():
                done.events.append(ev.HostLost(at, run, attempt, host, is_final=True))
            self._hand_out(db, done, at)
            self._end_forced(db, done, at)
            self._take_back(db, done, at)
            self._read(db, done, at)
            if is_due:
                self._look(db, done, at)
            for whom in sorted(done.wakes):
                session.wake(db, self._schema, whom)
        if is_due:
            self._beat_at = at.mono + self._cluster.heartbeat_s

    # --- out -----------------------------------------------------------------------

    def _labels(self, name: str) -> tuple[str, ...]:
        job = self._jobs.get(name)
        return () if job is None else tuple(sorted(job.runs_on))

    def _hand_out(self, db: Connection, done: _Done, at: ev.At) -> None:
        if not self._outgoing:
            return
        new = [self._new_job(db, launch) for launch in self._outgoing]
        fences = engine.defer(db, new)
        rows = []
        for launch, fence in zip(self._outgoing, fences, strict=True):
            run, job = launch.run, launch.job
            given = msgspec.json.decode(run.set_json)
            order = Order(run.due, run.trigger.value, given, run.dry_run)
            body = msgspec.json.encode(order).decode().replace("\\u0000", "\\ufffd")
            rows.append((run.id, run.attempt, fence, job.name, body))
            done.given[run.id, run.attempt] = Given(fence, self._labels(job.name), at.mono)
        cursor = db.cursor()
        cursor.executemany(_ASSIGN, rows)
        if cursor.rowcount != len(rows):
            raise DeposedError("an attempt is held already: another leader reads what there is")
        done.wakes.add("work")

    def _new_job(self, db: Connection, launch: Launch) -> engine.NewJob:
        job, run = launch.job, launch.run
        labels = self._labels(job.name)
        queue = session.queue_of(self._schema, ",".join(labels), self._config)
        db.execute(
            "INSERT INTO queues VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (queue, ",".join(labels), self._config),
        )
        group = f"group/{job.exclusive}" if job.exclusive else f"job/{job.name}"
        lock, once = f"{self._schema}/{group}", f"{self._schema}/{run.id}.{run.attempt}"
        return engine.NewJob(queue, "attempt", lock, once, "{}")

    def _end_forced(self, db: Connection, done: _Done, at: ev.At) -> None:
        for (run, attempt), step in self._forces.items():
            given = self._given.get((run, attempt)) or done.given.get((run, attempt))
            if given is None:
                continue
            if self._withdraw(db, done, run, attempt, given.fence):
                done.events.append(ev.NotBegun(at, run, attempt))
                continue
            db.execute(
                "UPDATE assignments SET force = %s WHERE run = %s AND attempt = %s",
                (step.value, run, attempt),
            )
            done.wakes.add("work")

    def _take_back(self, db: Connection, done: _Done, at: ev.At) -> None:
        """Take back what no host has fetched within a lease: none may have the labels."""
        for (run, attempt), given in self._given.items():
            if given.begun or at.mono - given.since_mono < self._cluster.lease_s:
                continue
            if self._withdraw(db, done, run, attempt, given.fence):
                who = f"a host with {' and '.join(given.labels)}" if given.labels else "any host"
                text = f"waited {self._cluster.lease_s:.0f}s for {who} to take it"
                done.events.append(ev.NotBegun(at, run, attempt, text))
            else:
                done.given[run, attempt] = _begun(given)

    def _withdraw(self, db: Connection, done: _Done, run: int, attempt: int, fence: int) -> bool:
        if not engine.withdraw(db, fence):
            return False
        db.execute("DELETE FROM assignments WHERE run = %s AND attempt = %s", (run, attempt))
        done.ended.append((run, attempt))
        return True

    # --- in ------------------------------------------------------------------------

    def _read(self, db: Connection, done: _Done, at: ev.At) -> None:
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

    def _received(self, db: Connection, done: _Done, report: Report, at: ev.At) -> None:
        match report:
            case Began(run, attempt, _, pid):
                if (run, attempt) in self._given:
                    done.given[run, attempt] = _begun(self._given[run, attempt])
                done.events.append(ev.Started(at, run, attempt, pid))
            case Ended():
                done.ended.append((report.run, report.attempt))
                done.events.append(_judged(report, at))
            case Forgotten(host):
                self._forget(db, done, host, at)

    def _forget(self, db: Connection, done: _Done, host: str, at: ev.At) -> None:
        found = db.execute(
            "UPDATE assignments SET ended_at = now(), body = '' WHERE host = %s"
            " AND lost_at IS NOT NULL AND ended_at IS NULL RETURNING run, attempt, fence",
            (host,),
        ).fetchall()
        for run, attempt, fence in found:
            engine.end(db, fence)
            done.ended.append((run, attempt))
            done.events.append(ev.HostLost(at, run, attempt, host, is_final=True))

    # --- hosts ---------------------------------------------------------------------

    def _look(self, db: Connection, done: _Done, at: ev.At) -> None:
        row = db.execute("SELECT max(no) FROM configs").fetchone()
        if row is not None and row[0] != self._config:
            raise DeposedError("another text of jobs.yaml is in force: its hosts lead")
        for lost in self._dead_hosts.look(db, at.mono):
            if not lost.waits:
                done.ended.append((lost.run, lost.attempt))
            done.events.append(ev.HostLost(at, lost.run, lost.attempt, lost.host))


def _begun(given: Given) -> Given:
    """Return the assignment as one that a host has begun."""
    return Given(given.fence, given.labels, given.since_mono, begun=True)


def _judged(report: Ended, at: ev.At) -> ev.Event:
    if not report.is_begun:
        return ev.NotBegun(at, report.run, report.attempt)
    problem = ""
    if report.state is State.SUCCESS and report.result_json is not None:
        said = msgspec.json.decode(report.result_json).get("problem")
        problem = said if isinstance(said, str) else ""
    return ev.Judged(
        at,
        report.run,
        report.attempt,
        report.host,
        report.state,
        report.reason,
        report.cause,
        report.exit_status,
        problem,
        "",
        report.result_json,
        report.strays,
        report.cpu_s,
        report.max_rss_bytes,
        report.log_bytes,
    )
