"""Performs the actions of a turn: records first, then everything else in order.

The loop passes the actions. Each one is performed separately, so an unexpected
exception in one does not prevent the others.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from supervisor.api.bridge import LoopBridge
from supervisor.containment.processes import Processes
from supervisor.core import control_requests, effects
from supervisor.core import events as ev
from supervisor.core.alert_model import HeartbeatCall, HeartbeatKind
from supervisor.core.model import Attempt, Run
from supervisor.core.state import SchedulerState
from supervisor.ledger import promises
from supervisor.ledger.errors import Written
from supervisor.ledger.write_queue import WriteQueue
from supervisor.log import ServiceLog
from supervisor.notifications.alert_sender import AlertSender
from supervisor.notifications.heartbeat_sender import HeartbeatSender
from supervisor.redaction.request_secrets import redacted_record
from supervisor.runtime.internal_errors import InternalErrors

# Each of these is performed together with the others of its kind.
_ELSEWHERE = (effects.Record, effects.Launch, effects.Note)

Masked = Callable[[Iterable[ev.Event]], list[ev.Event]]


class Effects:
    """Performer of actions; `is_over` is true once the service is to end."""

    def __init__(
        self,
        backlog: WriteQueue,
        processes: Processes,
        bridge: LoopBridge,
        alerts: AlertSender,
        heartbeats: HeartbeatSender,
        log: ServiceLog,
        errors: InternalErrors,
        masked: Masked,
    ) -> None:
        self.is_over = False
        self.answers: dict[int, Future[Any]] = {}
        self._queue = backlog
        self._processes = processes
        self._bridge = bridge
        self._alerts = alerts
        self._heartbeats = heartbeats
        self._log = log
        self._errors = errors
        self._masked = masked

    def perform(
        self, actions: list[effects.Action], scheduler: SchedulerState, at: ev.At
    ) -> list[ev.Event]:
        """Perform all actions, records first; return the events that result."""
        launches = [action for action in actions if type(action) is effects.Launch]
        problem = self._queue.take(
            [redacted_record(action) for action in actions],
            at.mono,
            promises.next_of(scheduler),
        )
        launches = self._tell_refused(launches, at)
        follow: list[ev.Event] = []
        if problem:
            keys = tuple((launch.run.id, launch.run.attempt) for launch in launches)
            if launches or not scheduler.ledger_error:
                follow.append(ev.LedgerWriteFailed(at, keys, problem))
            launches = []
        for action in actions:
            if type(action) not in _ELSEWHERE:
                self._try(action, scheduler, problem, at)
        for launch in launches:
            follow += self._launched(launch, at)
        self._log.note(at.wall, *(action for action in actions if type(action) is effects.Note))
        return follow

    def refuse(self, token: int, error: str, scheduler: SchedulerState) -> None:
        """Answer a request that could not be decided."""
        answer = self.answers.pop(token, None)
        if answer is not None:
            hint = "see the log of the supervisor"
            reply = control_requests.Reply(
                token, control_requests.ReplyStatus.UNAVAILABLE, (), error, hint
            )
            self._bridge.answer(answer, reply, scheduler)

    def _try(
        self, action: effects.Action, scheduler: SchedulerState, problem: str, at: ev.At
    ) -> None:
        where = type(action).__name__
        try:
            self._do(action, scheduler, problem)
        except Exception as error:
            run = action.run if isinstance(action, effects.Signal) else 0
            self._errors.caught(error, where, at, run)
        else:
            self._errors.went_well(where)

    def _do(self, action: effects.Action, scheduler: SchedulerState, problem: str) -> None:
        match action:
            case effects.Signal(run, attempt, force):
                self._processes.signal(run, attempt, force)
            case control_requests.Reply(token=token):
                reply = action
                # Here it holds at once, also on a full disk (cancel may be what makes room), and
                # is written first. The leader of a cluster may be replaced before that.
                if problem and scheduler.is_leader:
                    unrecorded = control_requests.ReplyStatus.UNAVAILABLE
                    reply = control_requests.Reply(token, unrecorded, (), problem)
                self._bridge.answer(self.answers.pop(token), reply, scheduler)
            case effects.Deliver():
                self._alerts.take(action, scheduler)
            case HeartbeatCall(pulse=pulse) if not (problem and pulse is HeartbeatKind.START):
                self._heartbeats.take(action)
            case effects.Stop():
                self.is_over = True

    def _launched(self, launch: effects.Launch, at: ev.At) -> list[ev.Event]:
        try:
            return self._masked(self._processes.launch(launch, at))
        except Exception as error:
            self._errors.caught(error, "Launch", at, launch.run.id, is_empty=True)
            return []

    def _tell_refused(self, launches: list[effects.Launch], at: ev.At) -> list[effects.Launch]:
        """Report records that the ledger refused; return the launches whose runs are recorded."""
        refused = self._queue.take_refused()
        if not refused:
            return launches
        unrecorded = {launch.run.id for launch in launches} & {
            _run_of(each[0]) for each in refused
        }
        for action, cause in refused:
            run = _run_of(action)
            self._errors.report(cause, type(action).__name__, at, run, run in unrecorded)
        return [launch for launch in launches if launch.run.id not in unrecorded]


def _run_of(action: Written) -> int:
    """Return the run that a record is about; 0 if none."""
    match action:
        case effects.Record(Run(id=number)) | effects.Record(Attempt(run=number)):
            return number
        case _:
            return 0
