"""What a decision asks for, done: records first, then everything else, in order.

The loop hands over the actions of a turn. Each is done by itself: one that raises
what nobody expects keeps none of the others from being done.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from supervisor.alerts.courier import Courier
from supervisor.alerts.heartbeats import Heartbeats
from supervisor.containment.processes import Processes
from supervisor.core import asks, effects
from supervisor.core import events as ev
from supervisor.core.alert_model import Beat, Pulse
from supervisor.core.model import Attempt, Run
from supervisor.core.world import World
from supervisor.desk import Desk
from supervisor.given import as_kept
from supervisor.internal_errors import InternalErrors
from supervisor.ledger.backlog import Backlog
from supervisor.log import Log

Masked = Callable[[Iterable[ev.Event]], list[ev.Event]]


class Effects:
    """The hands of the loop; `is_over` once the service is to end."""

    def __init__(
        self,
        backlog: Backlog,
        processes: Processes,
        desk: Desk,
        courier: Courier,
        heartbeats: Heartbeats,
        log: Log,
        errors: InternalErrors,
        masked: Masked,
    ) -> None:
        self.is_over = False
        self.answers: dict[int, Future[Any]] = {}
        self._backlog = backlog
        self._processes = processes
        self._desk = desk
        self._courier = courier
        self._heartbeats = heartbeats
        self._log = log
        self._errors = errors
        self._masked = masked

    def perform(self, actions: list[effects.Action], world: World, at: ev.At) -> list[ev.Event]:
        """Do all of it, in order, records first; what that made happen."""
        launches = [action for action in actions if isinstance(action, effects.Launch)]
        trouble = self._backlog.take([as_kept(action) for action in actions], at.mono)
        launches = self._tell_refused(launches, at)
        follow: list[ev.Event] = []
        if trouble:
            keys = tuple((launch.run.id, launch.run.attempt) for launch in launches)
            if launches or not world.ledger_trouble:
                follow.append(ev.Unrecorded(at, keys, trouble))
            launches = []
        for action in actions:
            if not isinstance(action, effects.Launch | effects.Record):
                self._try(action, world, trouble, at)
        for launch in launches:
            follow += self._launched(launch, at)
        self._log.note(
            at.wall, *(action for action in actions if isinstance(action, effects.Note))
        )
        return follow

    def refuse(self, token: int, error: str, world: World) -> None:
        """Answer a request that could not be decided."""
        answer = self.answers.pop(token, None)
        if answer is not None:
            hint = "the log of the supervisor says more"
            reply = asks.Reply(token, asks.Answer.UNAVAILABLE, (), error, hint)
            self._desk.answer(answer, reply, world)

    def _try(self, action: effects.Action, world: World, trouble: str, at: ev.At) -> None:
        where = type(action).__name__
        try:
            self._do(action, world, trouble)
        except Exception as error:
            run = action.run if isinstance(action, effects.Signal) else 0
            self._errors.caught(error, where, at, run)
        else:
            self._errors.went_well(where)

    def _do(self, action: effects.Action, world: World, trouble: str) -> None:
        match action:
            case effects.Signal(run, attempt, force):
                self._processes.signal(run, attempt, force)
            case asks.Reply(token=token):
                self._desk.answer(self.answers.pop(token), action, world)
            case effects.Deliver():
                self._courier.take(action, world)
            case Beat(pulse=pulse) if not (trouble and pulse is Pulse.START):
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
        """Tell of records that no ledger takes; the launches that are left: no record, none."""
        refused = self._backlog.take_refused()
        if not refused:
            return launches
        unrecorded = {launch.run.id for launch in launches} & {
            _run_of(each[0]) for each in refused
        }
        for action, cause in refused:
            run = _run_of(action)
            self._errors.told(cause, type(action).__name__, at, run, run in unrecorded)
        return [launch for launch in launches if launch.run.id not in unrecorded]


def _run_of(action: effects.Action) -> int:
    """The run that a record is about; 0: none."""
    match action:
        case effects.Record(Run(id=number)) | effects.Record(Attempt(run=number)):
            return number
        case _:
            return 0
