"""The assignments of this host: fetched, given to its supervisor, watched, reported.

Each look compares what PostgreSQL says this host holds with what its supervisor runs, and
makes the two agree. So it does not matter what was lost in between: a message, the agent,
or the supervisor. What a look finds is one transaction, however many attempts it is about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from supervisor.cluster import assignment_rows, engine, session
from supervisor.cluster.agent_messages import Answer, Assign
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.assignment_rows import Assignment, Worker
from supervisor.cluster.local_host import HostLine, LocalHost
from supervisor.cluster.messages import Began, Ended, Report, send_all
from supervisor.cluster.session import Connection
from supervisor.core.model import Reason, State
from supervisor.core.views import RunView


@dataclass(frozen=True, slots=True)
class Given:
    """What the supervisor has answered about an assignment; local_run 0: nothing yet.

    is_noted: PostgreSQL knows the local run. is_begun: its start was reported.
    """

    local_run: int = 0
    is_noted: bool = False
    is_begun: bool = False
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Over:
    """An assignment that has ended here. local_run: 0 if it was not begun."""

    assignment: Assignment
    report: Ended
    local_run: int = 0


@dataclass(slots=True)
class Found:
    """What a look has found, to be written in one transaction."""

    over: list[Over] = field(default_factory=list)
    begun: list[tuple[int, Began]] = field(default_factory=list)


class Assignments:
    """What one worker of the engine holds, and what has been said of it."""

    def __init__(
        self, settings: AgentSettings, local: LocalHost, line: HostLine, worker: int
    ) -> None:
        """Know nothing yet: the first look gives the supervisor all that is held."""
        self._settings, self._local = settings, local
        self._worker = Worker(worker, settings.host, settings.labels)
        self._line = line
        self._given: dict[int, Given] = {}  # by fence
        self._is_new = True

    @property
    def held(self) -> int:
        """Return how many assignments the last look has left."""
        return len(self._given)

    def settle(self, db: Connection) -> None:
        """Make supervisor and PostgreSQL agree.

        Raises: psycopg.Error, OSError if the supervisor is not there.
        """
        answers = self._line.drain()
        if not (self._given or answers or self._is_new):
            return
        held = {each.fence: each for each in assignment_rows.held(db, self._worker)}
        self._is_new = False
        self._given = {fence: self._given[fence] for fence in self._given.keys() & held.keys()}
        found = Found()
        for answer in answers:
            if answer.fence in held:
                self._take(found, held[answer.fence], answer)
        over = {each.assignment.fence for each in found.over}
        self._give([held[fence] for fence in held.keys() - self._given.keys() - over])
        for fence, given in self._given.items():
            if held[fence].force and given.local_run and not given.is_cancelled:
                self._local.cancel(given.local_run)
                self._given[fence] = replace(given, is_cancelled=True)
        self._write(db, found)

    def fetch(self, db: Connection, config: int) -> None:
        """Take what this host may run, as far as it has places, and begin it.

        Raises: psycopg.Error, OSError if the supervisor is not there.
        """
        free = self._settings.places - self.held
        if free < 1:
            return
        self._is_new = True  # if this fails, something may be held that is not known
        self._give(assignment_rows.fetch(db, self._worker, config, free))
        self._is_new = False

    def end_unassigned(self) -> None:
        """End the runs that PostgreSQL does not give to this host any more.

        What should run and does not is given again by the next look.

        Raises: HostRefusedError.
        """
        if not all(given.local_run for given in self._given.values()):
            return  # it may run under a number that is not known yet
        running = {run.id for run in self._local.assigned()}
        mine = {given.local_run for given in self._given.values()}
        for number in running - mine:
            self._local.cancel(number)
        for fence, given in list(self._given.items()):
            if given.local_run not in running:
                del self._given[fence]
                self._is_new = True

    # --- the supervisor ------------------------------------------------------------

    def _give(self, new: Sequence[Assignment]) -> None:
        """Give assignments to the supervisor, which answers each."""
        for each in new:
            self._given[each.fence] = Given()
        self._line.give(
            [
                Assign(each.job, each.key, each.order.due, each.order.set, each.order.dry_run)
                for each in sorted(new, key=lambda each: each.fence)
            ]
        )

    def _take(self, found: Found, assignment: Assignment, answer: Answer) -> None:
        """Note what the supervisor has said of an assignment."""
        run, given = answer.run, self._given.get(assignment.fence) or Given()
        if run is None:  # it was never begun here, and is not wanted here
            found.over.append(Over(assignment, self._not_begun(assignment)))
        elif answer.is_over and not run.attempt:
            # It waited for a place here until the supervisor stopped.
            found.over.append(Over(assignment, self._not_begun(assignment)))
        elif answer.is_over:
            found.over.append(Over(assignment, self._ended(assignment, run), run.id))
        else:
            if run.pid and not given.is_begun:
                began = Began(assignment.run, assignment.attempt, self._settings.host, run.pid)
                found.begun.append((assignment.fence, began))
            self._given[assignment.fence] = replace(given, local_run=run.id)
            return
        self._given.pop(assignment.fence, None)

    def _not_begun(self, assignment: Assignment) -> Ended:
        return Ended(
            assignment.run,
            assignment.attempt,
            self._settings.host,
            State.INTERRUPTED,
            is_begun=False,
            fence=assignment.fence,
        )

    def _ended(self, assignment: Assignment, run: RunView) -> Ended:
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

    # --- PostgreSQL ----------------------------------------------------------------

    def _write(self, db: Connection, found: Found) -> None:
        """Write what a look has found. Raises: psycopg.Error."""
        over = {each.assignment.fence for each in found.over}
        begun = [(fence, report) for fence, report in found.begun if fence not in over]
        new = {
            fence: given.local_run
            for fence, given in self._given.items()
            if given.local_run and not given.is_noted
        }
        if not (found.over or begun or new):
            return
        with db.transaction():
            reports: list[Report] = [report for _, report in begun]
            reports += self._end(db, found.over)
            self._note_local_runs(db, new)
            if reports:
                send_all(db, reports)
                session.wake(db, self._settings.schema, "leader")
        for fence in new:
            self._given[fence] = replace(self._given[fence], is_noted=True)
        for fence, _ in begun:
            self._given[fence] = replace(self._given[fence], is_begun=True)

    def _end(self, db: Connection, over: Sequence[Over]) -> list[Ended]:
        """Free the locks of what has ended; return the reports, without those that are late."""
        if not over:
            return []
        fences = [each.assignment.fence for each in over]
        mine = engine.finish_all(db, fences, self._worker.number)
        in_time = [each for each in over if each.assignment.fence in mine]
        begun = {each.assignment.fence: each.local_run for each in in_time if each.local_run}
        if begun:
            db.execute(
                "UPDATE assignments SET ended_at = now(), body = '', local_run = given.run"
                " FROM unnest(%s::bigint[], %s::bigint[]) AS given (fence, run)"
                " WHERE assignments.fence = given.fence",
                (list(begun), list(begun.values())),
            )
        # What was never begun may be handed out again under the same number.
        if unbegun := list(mine - set(begun)):
            db.execute("DELETE FROM assignments WHERE fence = ANY(%s)", (unbegun,))
        # These were given to another host: this one came too late.
        if late := list(set(fences) - mine):
            db.execute(
                "UPDATE assignments SET worker = NULL WHERE fence = ANY(%s) AND worker = %s",
                (late, self._worker.number),
            )
        return [each.report for each in in_time]

    def _note_local_runs(self, db: Connection, runs: Mapping[int, int]) -> None:
        """Write where the output of attempts lies on this host."""
        if runs:
            db.execute(
                "UPDATE assignments SET local_run = given.run"
                " FROM unnest(%s::bigint[], %s::bigint[]) AS given (fence, run)"
                " WHERE assignments.fence = given.fence AND worker = %s",
                (list(runs), list(runs.values()), self._worker.number),
            )


def _result(run: RunView) -> str | None:
    return None if run.result is None else msgspec.json.encode(run.result).decode()
