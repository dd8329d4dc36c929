"""The assignments of this host: fetched, given to its supervisor, watched, reported.

Each look compares what PostgreSQL says this host holds with what its supervisor runs, and
makes the two agree. So it does not matter what was lost in between: a message, the agent,
or the supervisor.
"""

from dataclasses import dataclass

import msgspec

from supervisor.cluster import engine, session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.local_host import HostRefusedError, LocalHost
from supervisor.cluster.messages import Began, Ended, Order, send
from supervisor.cluster.session import Connection
from supervisor.core import responses
from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.model import Reason, State
from supervisor.core.views import RunView

# Assignments fetched in one statement; more in one are hardly faster.
FETCHED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Assignment:
    """An assignment of this host that has not ended."""

    run: int
    attempt: int
    fence: int
    job: str
    order: Order
    force: str
    local_run: int | None

    @property
    def key(self) -> AssignmentKey:
        """Return the name under which the supervisor knows it."""
        return AssignmentKey(self.run, self.attempt, self.fence, self.order.trigger)


class Assignments:
    """What one worker of the engine holds, and what has been said of it."""

    def __init__(self, settings: AgentSettings, local: LocalHost, worker: int) -> None:
        self._settings, self._local, self._worker = settings, local, worker
        self._begun: set[int] = set()  # fences whose start was reported
        self._cancelled: set[int] = set()

    def settle(self, db: Connection) -> int:
        """Make supervisor and PostgreSQL agree; return how many assignments are held.

        Raises: psycopg.Error, HostRefusedError if the supervisor is not there.
        """
        held = self._held(db)
        count = 0
        for assignment in held:
            count += not self._settle_one(db, assignment)
        return count

    def fetch(self, db: Connection, config: int, places: int) -> int:
        """Take what this host may run, at most so many; return how many it took."""
        queues = [
            name
            for name, labels in db.execute(
                "SELECT name, labels FROM queues WHERE config = %s", (config,)
            )
            if set(filter(None, labels.split(","))) <= self._settings.labels
        ]
        taken = 0
        while queues and taken < places:
            with db.transaction():
                most = min(FETCHED_AT_ONCE, places - taken)
                found = engine.fetch(db, queues, self._worker, most)
                db.execute(
                    "UPDATE assignments SET host = %s, worker = %s WHERE fence = ANY(%s)",
                    (self._settings.host, self._worker, [job.id for job in found]),
                )
            taken += len(found)
            if not found:
                break
        return taken

    def end_unassigned(self, db: Connection) -> None:
        """End the runs that PostgreSQL does not give to this host any more."""
        running = self._local.assigned()
        mine = {each.local_run for each in self._held(db)} if running else set()
        for run in running:
            if run.id not in mine:
                self._local.cancel(run.id)

    def _held(self, db: Connection) -> list[Assignment]:
        found = db.execute(
            "SELECT run, attempt, fence, job, body, force, local_run FROM assignments"
            " WHERE worker = %s AND ended_at IS NULL ORDER BY fence",
            (self._worker,),
        )
        return [
            Assignment(run, attempt, fence, job, _order(body), force, local)
            for run, attempt, fence, job, body, force, local in found
        ]

    def _settle_one(self, db: Connection, assignment: Assignment) -> bool:
        """Settle one assignment; return whether it has ended."""
        if assignment.force and assignment.local_run is None:
            return self._report(db, assignment, self._not_begun(assignment))
        try:
            answer = self._local.assign(assignment.job, assignment.key, assignment.order)
        except HostRefusedError:
            if assignment.local_run is None:  # never begun here, and not wanted here
                return self._report(db, assignment, self._not_begun(assignment))
            raise
        if assignment.local_run != answer.run.id:
            self._note_local_run(db, assignment, answer.run.id)
        if answer.is_over:
            return self._report(db, assignment, self._ended(assignment, answer))
        if assignment.force and assignment.fence not in self._cancelled:
            self._local.cancel(answer.run.id)
            self._cancelled.add(assignment.fence)
        if answer.run.pid and assignment.fence not in self._begun:
            self._begin(db, assignment, answer.run.pid)
        return False

    def _note_local_run(self, db: Connection, assignment: Assignment, local_run: int) -> None:
        db.execute(
            "UPDATE assignments SET local_run = %s WHERE fence = %s AND worker = %s",
            (local_run, assignment.fence, self._worker),
        )

    def _begin(self, db: Connection, assignment: Assignment, pid: int) -> None:
        began = Began(assignment.run, assignment.attempt, self._settings.host, pid)
        with db.transaction():
            send(db, began)
            session.wake(db, self._settings.schema, "leader")
        self._begun.add(assignment.fence)

    def _report(self, db: Connection, assignment: Assignment, report: Ended) -> bool:
        """Report the end and free the lock, if this host still holds it; return True."""
        with db.transaction():
            if engine.finish(db, assignment.fence, self._worker):
                send(db, report)
                # What was never begun may be handed out again under the same number.
                what = "UPDATE assignments SET ended_at = now(), body = ''"
                what = what if report.is_begun else "DELETE FROM assignments"
                db.execute(session.query(f"{what} WHERE fence = %s"), (assignment.fence,))
                session.wake(db, self._settings.schema, "leader")
            else:
                # It was given to another host: this one came too late.
                db.execute(
                    "UPDATE assignments SET worker = NULL WHERE fence = %s AND worker = %s",
                    (assignment.fence, self._worker),
                )
        self._begun.discard(assignment.fence)
        self._cancelled.discard(assignment.fence)
        return True

    def _not_begun(self, assignment: Assignment) -> Ended:
        return Ended(
            assignment.run,
            assignment.attempt,
            self._settings.host,
            State.INTERRUPTED,
            is_begun=False,
        )

    def _ended(self, assignment: Assignment, answer: responses.Assigned) -> Ended:
        run = answer.run
        if run.attempt == 0:  # it waited for a place here until the supervisor stopped
            return self._not_begun(assignment)
        return Ended(
            assignment.run,
            assignment.attempt,
            self._settings.host,
            State(run.state),
            reason=None if run.reason is None else Reason(run.reason),
            cause=run.cause,
            incident=run.incident,
            exit_status=run.exit_status,
            result_json=_result(run),
            strays=run.strays,
            cpu_s=run.cpu_seconds,
            max_rss_bytes=run.max_rss_bytes,
            log_bytes=run.log_bytes,
        )


def _result(run: RunView) -> str | None:
    return None if run.result is None else msgspec.json.encode(run.result).decode()


def _order(body: str) -> Order:
    return msgspec.json.decode(body, type=Order)
