"""Requests of other threads: hands each to its owner, or returns the event that it is."""

from supervisor.api import bridge
from supervisor.api.bridge import LoopBridge, PendingRequest
from supervisor.backups.lister import BackupLister
from supervisor.core import events as ev
from supervisor.core.config_model import Config
from supervisor.core.state import SchedulerState
from supervisor.log import ServiceLog
from supervisor.notifications.trial_sender import TrialAlertSender
from supervisor.redaction import redact_events
from supervisor.redaction.request_secrets import RequestSecrets
from supervisor.reloader import Reloader, ReloadRequest
from supervisor.runtime.effects import Effects


class Requests:
    """The requests that wait in the bridge, and the secrets that came with the newest."""

    def __init__(
        self,
        waiting: LoopBridge,
        effects: Effects,
        reloader: Reloader,
        trial: TrialAlertSender,
        lister: BackupLister,
        log: ServiceLog,
    ) -> None:
        self._waiting = waiting
        self._effects = effects
        self._reloader = reloader
        self._trial = trial
        self._lister = lister
        self._log = log
        self._secrets = RequestSecrets()
        self._last_token = 0

    def take(self, scheduler: SchedulerState, at: ev.At) -> list[ev.Event]:
        """Return the events of the waiting requests; each answer goes to its future later."""
        return [
            event
            for call in self._waiting.take_requests()
            for event in self._events_of(call, scheduler, at)
        ]

    def mask(self, config: Config) -> None:
        """Publish the mask of the secrets in a configuration and in recent requests."""
        self._log.mask = self._waiting.mask = self._secrets.mask(config)

    def _events_of(
        self, call: PendingRequest, scheduler: SchedulerState, at: ev.At
    ) -> list[ev.Event]:
        match call.what:
            case bridge.Reload(previous):
                self._reloader.request(ReloadRequest(call.peer, call.answer, previous), at)
                return []
            case bridge.TestAlert(channel):
                self._trial.ask(call.answer, scheduler, channel)
                return []
            case bridge.ListBackups():
                self._lister.ask(call.answer, scheduler)
                return []
            case bridge.DamageSeen(cause):
                return [ev.LedgerDamaged(at, cause)]
        if self._secrets.remember(call.what):
            self.mask(scheduler.config)
        self._last_token += 1
        self._effects.answers[self._last_token] = call.answer
        asked = ev.Requested(at, self._last_token, call.peer, call.what)
        return [redact_events.redact_event(asked, self._log.mask)]
