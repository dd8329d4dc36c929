"""The part of a turn that opens, counts, closes and announces incidents.

`incident.py` has the rules; here they are applied to the world, with the record and
the alert of each change. `turn.py` builds on it.
"""

import copy
from collections.abc import Iterable
from datetime import datetime

from supervisor.core import incident as incidents
from supervisor.core import outbox
from supervisor.core.alert_model import Incident
from supervisor.core.effects import Action, Note, Record
from supervisor.core.events import At
from supervisor.core.incident import Word
from supervisor.core.model import Run, Severity, replace
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.world import World


class IncidentTurn:
    """The world as it is being changed, the instant, and the actions so far."""

    def __init__(self, world: World, at: At) -> None:
        self.world = copy.copy(world)
        self.at = at
        self.actions: list[Action] = []
        self.may_admit = False  # something came or went: look at the queue

    @property
    def now(self) -> datetime:
        """The wall clock of this turn."""
        return self.at.wall

    def note(self, text: str, level: str = "info", run: Run | None = None, job: str = "") -> None:
        """A line for the log."""
        if run is None:
            self.actions.append(Note(level, text, job))
        else:
            self.actions.append(Note(level, text, run.job, run.id, run.attempt))

    def trouble(
        self,
        job: str,
        kind: str,
        cause: str,
        run: int | None = None,
        severity: Severity | None = None,
    ) -> None:
        """Open the incident (job, kind), or count it once more.

        severity: another one than is usual for this kind.
        """
        severity = severity or incidents.SEVERITY[kind]
        self._unsettle_others(job, kind)
        for other in self._unrecovered(job, [kind]):
            # How loud an incident is does not change: another one takes its place.
            if other.severity is not severity:
                self._put_incident(*incidents.recovered(other, self.now))
        known = self.world.incidents.get((job, kind))
        if known is not None:
            self._put_incident(*incidents.again(known, cause, run, self.now))
            return
        before = self.world.closed.get((job, kind))
        if before is not None and incidents.has_settled(before, self.now):
            self._put_incident(*incidents.recovered(before, self.now))
        elif before is not None and incidents.is_settling(before):
            self._put_incident(*incidents.reopened(before, cause, run, self.now))
            return
        number = self.world.next_incident
        self.world.next_incident = number + 1
        opened, word = incidents.opened(number, job, kind, severity, cause, run, self.now)
        if before is not None and incidents.is_acked(before, self.now):
            opened = incidents.inheriting(opened, before)
        self._put_incident(opened, word)

    def remind(self) -> None:
        """Send the reminders whose time has come."""
        for known in list(self.world.incidents.values()):
            reminded, word = incidents.remind(known, self.now)
            if word is not None:
                self._put_incident(reminded, word)

    def mend(self, job: str, *kinds: str) -> None:
        """A success for the job's incidents of these kinds: close them, or announce that."""
        for known in self._unrecovered(job, kinds):
            self._put_incident(*incidents.succeeded(known, self.now))

    def end_incidents(self, job: str, *kinds: str) -> None:
        """Close the job's incidents of these kinds for good: they cannot come again."""
        for known in self._unrecovered(job, kinds):
            self._put_incident(*incidents.recovered(known, self.now))

    def settle(self) -> None:
        """Announce the recoveries that have lasted; forget acks that are over."""
        for key, known in list(self.world.closed.items()):
            if incidents.has_settled(known, self.now):
                self._put_incident(*incidents.recovered(known, self.now))
            elif not self._matters(known):
                self.world.closed = self.world.closed.delete(key)

    def put_incident(self, incident: Incident) -> None:
        """Take a changed incident into ledger and world, without a word."""
        self._put_incident(incident, None)

    def _unrecovered(self, job: str, kinds: Iterable[str]) -> list[Incident]:
        """The job's incidents of these kinds that are open, or closed and settling."""
        world = self.world
        if not (world.incidents or world.closed):
            return []
        found = [
            world.incidents.get((job, kind)) or world.closed.get((job, kind)) for kind in kinds
        ]
        return [
            each
            for each in found
            if each is not None and (each.closed_at is None or incidents.is_settling(each))
        ]

    def _unsettle_others(self, job: str, kind: str) -> None:
        """The job has failed, if in another way: none of its recoveries is certain."""
        for known in list(self.world.closed.values()):
            is_other = job and known.job == job and known.kind != kind
            if is_other and incidents.is_settling(known):
                self._put_incident(incidents.unsettled(known, self.now), None)

    def _matters(self, closed: Incident) -> bool:
        return incidents.is_settling(closed) or incidents.is_acked(closed, self.now)

    def _put_incident(self, incident: Incident, word: Word | None) -> None:
        world, key = self.world, (incident.job, incident.kind)
        before = world.incidents.get(key) or world.closed.get(key)
        # At most one of the two holds a key.
        world.incidents = _without(world.incidents, key)
        world.closed = _without(world.closed, key)
        if incident.closed_at is None:
            world.incidents = world.incidents.set(key, incident)
        elif self._matters(incident):
            world.closed = world.closed.set(key, incident)
        self.actions.append(Record(incident))
        if word is not None:
            self._alert(incident, word)
        elif before is not None and (before.closed_at is None) != (incident.closed_at is None):
            state = "closed" if incident.closed_at else "open again"
            self.note(f"incident {incident.id} ({incident.kind}) {state}", job=incident.job)

    def _alert(self, incident: Incident, word: Word) -> None:
        world = self.world
        alert = outbox.alert(world.next_alert, incident, word, self.now)
        world.next_alert = alert.id + 1
        alert = outbox.judged(alert, world.config.notify)
        if incidents.is_silent(incident) and not alert.withheld:
            alert = replace(alert, withheld=f"acknowledged by {incident.ack_by}")
        world.outbox, rows = outbox.add(world.outbox, alert, world.sending)
        self.actions.extend(Record(row) for row in rows)
        level = "info" if word is Word.RECOVERED else "error"
        self.note(
            f"incident {incident.id} ({incident.kind}) {word}: {incident.cause}",
            level,
            job=incident.job,
        )


def _without(
    found: PersistentMap[tuple[str, str], Incident], key: tuple[str, str]
) -> PersistentMap[tuple[str, str], Incident]:
    return found.delete(key) if key in found else found
