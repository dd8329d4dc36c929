"""The part of a turn that opens, counts, closes and announces incidents.

`incidents.py` has the rules. The methods here apply them to the state, and add the
record and the alert of each change. `turn.py` builds on this class.
"""

import copy
from collections.abc import Iterable
from datetime import datetime

from supervisor.core import incidents as incidents
from supervisor.core import outbox
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.config_model import Channel, Severity
from supervisor.core.effects import Action, Note, Record
from supervisor.core.events import At
from supervisor.core.incidents import AlertKind
from supervisor.core.model import Run, replace
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.state import SchedulerState


class IncidentTurn:
    """The state as it is being changed, the instant, and the actions so far."""

    def __init__(self, scheduler: SchedulerState, at: At) -> None:
        self.scheduler = copy.copy(scheduler)
        self.at = at
        self.actions: list[Action] = []
        self.may_admit = False  # a run may have become admissible

    @property
    def now(self) -> datetime:
        """Return the wall clock of this turn."""
        return self.at.wall

    def note(self, text: str, level: str = "info", run: Run | None = None, job: str = "") -> None:
        """Add a log line to the actions."""
        if run is None:
            self.actions.append(Note(level, text, job))
        else:
            self.actions.append(Note(level, text, run.job, run.id, run.attempt))

    def open_incident(
        self,
        job: str,
        kind: str,
        cause: str,
        run: int | None = None,
        severity: Severity | None = None,
    ) -> None:
        """Open the incident (job, kind), or count it once more.

        severity: replaces the usual one of this kind.
        """
        severity = severity or incidents.SEVERITY[kind]
        self._unsettle_others(job, kind)
        for other in self._unrecovered(job, [kind]):
            # The severity of an incident does not change: a new incident replaces it.
            if other.severity is not severity:
                self._put_incident(*incidents.recovered(other, self.now))
        known = self.scheduler.incidents.get((job, kind))
        if known is not None:
            self._put_incident(*incidents.repeat(known, cause, run, self.now))
            return
        before = self.scheduler.closed.get((job, kind))
        if before is not None and incidents.has_settled(before, self.now):
            self._put_incident(*incidents.recovered(before, self.now))
        elif before is not None and incidents.is_settling(before):
            self._put_incident(*incidents.reopened(before, cause, run, self.now))
            return
        number = self.scheduler.next_incident
        self.scheduler.next_incident = number + 1
        opened, word = incidents.open_new(number, job, kind, severity, cause, run, self.now)
        if before is not None and incidents.is_acked(before, self.now):
            opened = incidents.inheriting(opened, before)
        self._put_incident(opened, word)

    def remind(self) -> None:
        """Send the reminders that are due."""
        for known in self.scheduler.incidents.values():
            reminded, word = incidents.remind(known, self.now)
            if word is not None:
                self._put_incident(reminded, word)

    def close_incidents(self, job: str, *kinds: str) -> None:
        """Count a success for the job's incidents of these kinds: close or recover them."""
        for known in self._unrecovered(job, kinds):
            self._put_incident(*incidents.succeeded(known, self.now))

    def end_incidents(self, job: str, *kinds: str) -> None:
        """Recover the job's incidents of these kinds at once: they cannot come again."""
        for known in self._unrecovered(job, kinds):
            self._put_incident(*incidents.recovered(known, self.now))

    def settle(self) -> None:
        """Announce the recoveries that have settled; forget acks that are over."""
        for key, known in self.scheduler.closed.items():
            if incidents.has_settled(known, self.now):
                self._put_incident(*incidents.recovered(known, self.now))
            elif not self._matters(known):
                self.scheduler.closed = self.scheduler.closed.delete(key)

    def put_incident(self, incident: Incident) -> None:
        """Store and record a changed incident without an alert."""
        self._put_incident(incident, None)

    def _unrecovered(self, job: str, kinds: Iterable[str]) -> list[Incident]:
        """Return the job's incidents of these kinds that are open, or closed and settling."""
        scheduler = self.scheduler
        if not (scheduler.incidents or scheduler.closed):
            return []
        found = [
            scheduler.incidents.get((job, kind)) or scheduler.closed.get((job, kind))
            for kind in kinds
        ]
        return [
            each
            for each in found
            if each is not None and (each.closed_at is None or incidents.is_settling(each))
        ]

    def _unsettle_others(self, job: str, kind: str) -> None:
        """Restart the settling of the job's incidents of other kinds.

        After a failure of any kind, no recovery of the job is certain.
        """
        for known in self.scheduler.closed.values():
            is_other = job and known.job == job and known.kind != kind
            if is_other and incidents.is_settling(known):
                self._put_incident(incidents.unsettled(known, self.now), None)

    def _matters(self, closed: Incident) -> bool:
        return incidents.is_settling(closed) or incidents.is_acked(closed, self.now)

    def _put_incident(self, incident: Incident, word: AlertKind | None) -> None:
        scheduler, key = self.scheduler, (incident.job, incident.kind)
        before = scheduler.incidents.get(key) or scheduler.closed.get(key)
        # At most one of the two maps has the key.
        scheduler.incidents = _without(scheduler.incidents, key)
        scheduler.closed = _without(scheduler.closed, key)
        if incident.closed_at is None:
            scheduler.incidents = scheduler.incidents.set(key, incident)
        elif self._matters(incident):
            scheduler.closed = scheduler.closed.set(key, incident)
        self.actions.append(Record(incident))
        if word is not None:
            self._alert(incident, word)
        elif before is not None and (before.closed_at is None) != (incident.closed_at is None):
            state = "closed" if incident.closed_at else "open again"
            self.note(f"incident {incident.id} ({incident.kind}) {state}", job=incident.job)

    def _alert(self, incident: Incident, word: AlertKind) -> None:
        channels = self.scheduler.config.notify.channels
        for channel in channels:
            self._alert_to(channel, incident, word)
        if not channels:
            row = self._next_alert(incident, word, "")
            self.actions.append(Record(replace(row, withheld="no channel is configured")))
        level = "info" if word is AlertKind.RECOVERED else "error"
        self.note(
            f"incident {incident.id} ({incident.kind}) {word}: {incident.cause}",
            level,
            job=incident.job,
        )

    def _alert_to(self, channel: Channel, incident: Incident, word: AlertKind) -> None:
        scheduler = self.scheduler
        alert = self._next_alert(incident, word, channel.name)
        alert = outbox.with_filter_applied(alert, channel, scheduler.definition(incident.job))
        if incidents.is_silent(incident) and not alert.withheld:
            alert = replace(alert, withheld=f"acknowledged by {incident.ack_by}")
        box = scheduler.outboxes.get(channel.name, outbox.Outbox())
        waiting, rows = outbox.add(box.waiting, alert, box.sending)
        if waiting:
            scheduler.outboxes = scheduler.outboxes.set(
                channel.name, replace(box, waiting=waiting)
            )
        self.actions.extend(Record(row) for row in rows)

    def _next_alert(self, incident: Incident, word: AlertKind, channel: str) -> Alert:
        alert = outbox.alert(self.scheduler.next_alert, incident, word, self.now, channel)
        self.scheduler.next_alert = alert.id + 1
        return alert


def _without(
    found: PersistentMap[tuple[str, str], Incident], key: tuple[str, str]
) -> PersistentMap[tuple[str, str], Incident]:
    return found.delete(key) if key in found else found
