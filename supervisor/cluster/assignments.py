"""The assignments of this host: fetched, given to its supervisor, watched, reported.

Each look compares what PostgreSQL says this host holds with what its supervisor runs, and
makes the two agree. So it does not matter what was lost in between: a message, the agent,
or the supervisor. What a look finds is one transaction, however many attempts it is about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from supervisor.cluster import engine, session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.local_host import HostRefusedError, LocalHost, NoAnswerError
from supervisor.cluster.messages import Began, Ended, Order, Report, send_all
from supervisor.cluster.session import Connection
from supervisor.core import responses
from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.model import Reason, State
from supervisor.core.views import RunView

# Until the supervisor is asked again, without a change: whether a process has begun, and
# whether the processes of an ended run are gone.
BEGIN_S, EMPTY_S = 0.05, 0.02
NEVER = float("inf")
_COLUMNS = "run, attempt, fence, job, body, force"
# The queues of a text whose labels this host has; without any, none is fetched from.
_FETCH = f"""WITH fetched AS MATERIALIZED (
    SELECT (job).id FROM (
        SELECT procrastinate_fetch_job_v2(ARRAY(
            SELECT name FROM queues WHERE config = %(config)s
            AND (labels = '' OR string_to_array(labels, ',') <@ %(labels)s)
        )::varchar[], %(worker)s) AS job FROM generate_series(1, %(most)s)
    ) AS each WHERE (job).id IS NOT NULL)
UPDATE assignments SET host = %(host)s, worker = %(worker)s FROM fetched
WHERE fence = fetched.id RETURNING {_COLUMNS}"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """An assignment of this host that has not ended."""

    run: int
    attempt: int
    fence: int
    job: str
    order: Order
    force: str

    @property
    def key(self) -> AssignmentKey:
        """Return the name under which the supervisor knows it."""
        return AssignmentKey(self.run, self.attempt, self.fence, self.order.trigger)


@dataclass(frozen=True, slots=True)
class Given:
    """What the supervisor has answered about an assignment.

    ask_at: monotonic time to ask again, if no change comes before. is_noted: PostgreSQL
    knows the local run. is_begun: its start was reported.
    """

    local_run: int
    ask_at: float
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
    no_answer: NoAnswerError | None = None


class Assignments:
    """What one worker of the engine holds, and what has been said of it."""

    def __init__(self, settings: AgentSettings, local: LocalHost, worker: int) -> None:
        self._settings, self._local, self._worker = settings, local, worker
        self._given: dict[int, Given] = {}  # by fence
        self.held = 1  # perhaps: the first look counts them

    @property
    def look_at(self) -> float:
        """Return the monotonic time of the next look that needs no change."""
        return min((given.ask_at for given in self._given.values()), default=NEVER)

    def settle(self, db: Connection, changed: frozenset[int] | None, mono: float) -> None:
        """Make supervisor and PostgreSQL agree.

        changed: the local runs that have changed since the last look; None: perhaps all.

        Raises: psycopg.Error, HostRefusedError if the supervisor is not there.
        """
        held = self._read_held(db)
        self.held = len(held)
        fences = {each.fence for each in held}
        self._given = {fence: given for fence, given in self._given.items() if fence in fences}
        wanted = [each for each in held if self._is_to_be_asked(each, changed, mono)]
        self._write(db, self._ask(wanted, mono))

    def fetch(self, db: Connection, config: int, mono: float) -> None:
        """Take what this host may run, as far as it has places, and begin it.

        Raises: psycopg.Error, HostRefusedError if the supervisor is not there.
        """
        free = self._settings.places - self.held
        if free < 1:
            return
        given = {
            "config": config,
            "labels": sorted(self._settings.labels),
            "worker": self._worker,
            "host": self._settings.host,
            "most": free,
        }
        taken = list(map(_assignment, db.execute(_FETCH, given)))
        self.held += len(taken)
        found = self._ask(taken, mono)
        if found.over or found.no_answer is not None:
            self._write(db, found)

    def end_unassigned(self, mono: float) -> None:
        """End the runs that PostgreSQL does not give to this host any more.

        Those of the others that are over are asked about by the next look.
        """
        running = {run.id for run in self._local.assigned()}
        mine = {given.local_run for given in self._given.values()}
        for number in running - mine:
            self._local.cancel(number)
        for fence, given in self._given.items():
            if given.local_run not in running:
                self._given[fence] = replace(given, ask_at=mono)

    def _read_held(self, db: Connection) -> list[Assignment]:
        found = db.execute(
            session.query(
                f"SELECT {_COLUMNS} FROM assignments"
                " WHERE host = %s AND worker = %s AND ended_at IS NULL ORDER BY fence"
            ),
            (self._settings.host, self._worker),
        )
        return list(map(_assignment, found))

    def _is_to_be_asked(
        self, assignment: Assignment, changed: frozenset[int] | None, mono: float
    ) -> bool:
        given = self._given.get(assignment.fence)
        if given is None or changed is None or given.local_run in changed:
            return True
        return mono >= given.ask_at or (bool(assignment.force) and not given.is_cancelled)

    # --- the supervisor ------------------------------------------------------------

    def _ask(self, wanted: Sequence[Assignment], mono: float) -> Found:
        """Give these to the supervisor, or ask how far they are."""
        found = Found()
        asked = [(each.job, each.key, each.order) for each in wanted]
        for assignment, answer in zip(wanted, self._local.assign(asked), strict=True):
            if isinstance(answer, NoAnswerError):
                found.no_answer = answer  # it may have begun: it is asked again
            elif isinstance(answer, HostRefusedError):
                found.over.append(Over(assignment, self._not_begun(assignment)))
            elif answer.is_over and not answer.run.attempt:
                # It waited for a place here until the supervisor stopped.
                found.over.append(Over(assignment, self._not_begun(assignment)))
            elif answer.is_over:
                ended = self._ended(assignment, answer.run)
                found.over.append(Over(assignment, ended, answer.run.id))
            else:
                self._lives(found, assignment, answer, mono)
        return found

    def _lives(
        self, found: Found, assignment: Assignment, answer: responses.Assigned, mono: float
    ) -> None:
        run, fence = answer.run, assignment.fence
        given = self._given.get(fence) or Given(run.id, mono)
        if assignment.force and not given.is_cancelled:
            self._local.cancel(run.id)
            given = replace(given, is_cancelled=True)
        if run.pid and not given.is_begun:
            began = Began(assignment.run, assignment.attempt, self._settings.host, run.pid)
            found.begun.append((fence, began))
        again_s = EMPTY_S if run.is_final else NEVER if run.pid else BEGIN_S
        self._given[fence] = replace(given, ask_at=mono + again_s)

    def _not_begun(self, assignment: Assignment) -> Ended:
        return Ended(
            assignment.run,
            assignment.attempt,
            self._settings.host,
            State.INTERRUPTED,
            is_begun=False,
        )

    def _ended(self, assignment: Assignment, run: RunView) -> Ended:
        return Ended(
            assignment.run,
            assignment.attempt,
            self._settings.host,
            State(run.state),
            reason=None if run.reason is None else Reason(run.reason),
            cause=run.cause,
            exit_status=run.exit_status,
            result_json=_result(run),
            strays=run.strays,
            cpu_s=run.cpu_seconds,
            max_rss_bytes=run.max_rss_bytes,
            log_bytes=run.log_bytes,
        )

    # --- PostgreSQL ----------------------------------------------------------------

    def _write(self, db: Connection, found: Found) -> None:
        """Write what a look has found. Raises: psycopg.Error, NoAnswerError."""
        new = {
            fence: given.local_run for fence, given in self._given.items() if not given.is_noted
        }
        if found.over or found.begun or new:
            with db.transaction():
                reports: list[Report] = [report for _, report in found.begun]
                reports += self._end(db, found.over)
                self._note_local_runs(db, new)
                if reports:
                    send_all(db, reports)
                    session.wake(db, self._settings.schema, "leader")
        for fence in new:
            self._given[fence] = replace(self._given[fence], is_noted=True)
        for fence, _ in found.begun:
            self._given[fence] = replace(self._given[fence], is_begun=True)
        for each in found.over:
            self._given.pop(each.assignment.fence, None)
        self.held -= len(found.over)
        if found.no_answer is not None:
            raise found.no_answer

    def _end(self, db: Connection, over: Sequence[Over]) -> list[Ended]:
        """Free the locks of what has ended; return the reports, without those that are late."""
        if not over:
            return []
        fences = [each.assignment.fence for each in over]
        mine = engine.finish_all(db, fences, self._worker)
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
                (late, self._worker),
            )
        return [each.report for each in in_time]

    def _note_local_runs(self, db: Connection, runs: Mapping[int, int]) -> None:
        """Write where the output of attempts lies on this host."""
        if runs:
            db.execute(
                "UPDATE assignments SET local_run = given.run"
                " FROM unnest(%s::bigint[], %s::bigint[]) AS given (fence, run)"
                " WHERE assignments.fence = given.fence AND worker = %s",
                (list(runs), list(runs.values()), self._worker),
            )


def _assignment(row: tuple[Any, ...]) -> Assignment:
    run, attempt, fence, job, body, force = row
    return Assignment(run, attempt, fence, job, msgspec.json.decode(body, type=Order), force)


def _result(run: RunView) -> str | None:
    return None if run.result is None else msgspec.json.encode(run.result).decode()
