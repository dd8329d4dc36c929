"""The ledger of a simulated service: what survives its crash, kept in memory.

It takes the records that `decide` makes, as `supervisor/ledger` does, and remembers for the
next service what `startup_memory.memory` reads back. A record that the real ledger would
refuse, or that contradicts an earlier one, is an AssertionError.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from supervisor.core import effects
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.dependencies import MOST_RECENT
from supervisor.core.memory import Memory
from supervisor.core.model import (
    Attempt,
    AuditEntry,
    JobRecord,
    MissedRange,
    Pause,
    Reason,
    ReloadEntry,
    Run,
    State,
    Trigger,
    replace,
)


@dataclass
class Ledger:
    """Rows by their keys, in the version recorded last.

    soon: marks that may wait for the next record; a crash loses them. slots: the run of each
    slot of a job. arrived: the newest delivered alert of each channel.
    """

    runs: dict[int, Run] = field(default_factory=dict)
    attempts: dict[tuple[int, int], Attempt] = field(default_factory=dict)
    marks: dict[str, JobRecord] = field(default_factory=dict)
    soon: dict[str, JobRecord] = field(default_factory=dict)
    gaps: list[MissedRange] = field(default_factory=list)
    incidents: dict[int, Incident] = field(default_factory=dict)
    alerts: dict[int, Alert] = field(default_factory=dict)
    askings: list[AuditEntry] = field(default_factory=list)
    texts: list[ReloadEntry] = field(default_factory=list)
    paused: Pause | None = None
    tick: effects.RecordTick | None = None
    slots: dict[tuple[str, datetime], int] = field(default_factory=dict)
    arrived: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the slots of the given rows."""
        self.slots |= {(run.job, run.slot): run.id for run in self.runs.values() if run.slot}

    def write(self, action: effects.Action) -> None:
        """Take a record; ignore other actions."""
        match action:
            case effects.Record(Run() as run):
                self._write_run(run)
            case effects.Record(Attempt() as attempt):
                self.attempts[attempt.run, attempt.number] = attempt
            case effects.Record(JobRecord() as mark, soon=True):
                self.soon[mark.job] = mark
            case effects.Record(JobRecord() as mark):
                self.soon.pop(mark.job, None)
                self.marks[mark.job] = mark
            case effects.Record(MissedRange() as gap):
                self.gaps.append(gap)
            case effects.Record(Incident() as incident):
                self._write_incident(incident)
            case effects.Record(Alert() as alert):
                self._write_alert(alert)
            case effects.Record(AuditEntry() as entry):
                self.askings.append(entry)
            case effects.Record(ReloadEntry() as text):
                self._write_text(text)
            case effects.RecordPause(pause):
                self.paused = pause
            case effects.RecordTick():
                self.tick = action
            case effects.ReleaseSlots(job, after):
                self._release(job, after)

    def lose_soon(self) -> None:
        """Lose what a crash loses."""
        self.soon.clear()

    def memory(self) -> Memory:
        """Return what the next service reads back, as `startup_memory.memory` does."""
        return Memory(
            runs=self._remembered(),
            attempts=tuple(row for row in self.attempts.values() if row.ended_at is None),
            marks=self._marks(),
            incidents=tuple(row for row in self.incidents.values() if _is_remembered(row)),
            outbox=tuple(self.waiting()),
            paused=self.paused,
            last_tick=self.tick.at if self.tick else None,
            silent_until=self.tick.silent_until if self.tick else None,
            last_reload=self.texts[-1] if self.texts else None,
            next_run=max(self.runs, default=0) + 1,
            next_incident=max(self.incidents, default=0) + 1,
            next_alert=max(self.alerts, default=0) + 1,
        )

    def waiting(self) -> list[Alert]:
        """Return the alerts that are neither delivered nor withheld, oldest first."""
        return [row for row in self.alerts.values() if waits(row)]

    def _remembered(self) -> tuple[Run, ...]:
        """Return the open runs, and of each job the newest few and the newest success."""
        kept: list[Run] = []
        counts: Counter[str] = Counter()
        succeeded: set[str] = set()
        for run in reversed(self.runs.values()):
            is_recent = run.reason is not Reason.OVERLAP and counts[run.job] < MOST_RECENT
            is_success = run.state is State.SUCCESS and run.job not in succeeded
            if is_recent:
                counts[run.job] += 1
            if is_success:
                succeeded.add(run.job)
            if is_recent or is_success or run.state.is_open:
                kept.append(run)
        return tuple(reversed(kept))

    def _marks(self) -> tuple[JobRecord, ...]:
        """Return the mark of each job, up to its newest slot."""
        self.marks |= self.soon
        self.soon.clear()
        newest: dict[str, datetime] = {}
        for job, slot in self.slots:
            newest[job] = max(slot, newest.get(job, slot))
        for job, mark in self.marks.items():
            if newest.get(job, mark.seen_until) > mark.seen_until:
                self.marks[job] = replace(mark, seen_until=newest[job])
        return tuple(self.marks.values())

    def _write_run(self, run: Run) -> None:
        before = self.runs.get(run.id)
        if before is not None:
            assert before.state.is_open or before.state is run.state, (
                f"run {run.id} was {before.state} and becomes {run.state}"
            )
            assert before.slot == run.slot, "a row took its slot back"
        if run.slot is not None:
            holder = self.slots.setdefault((run.job, run.slot), run.id)
            assert holder == run.id, f"{run.job} {run.slot} has runs {holder} and {run.id}"
            assert run.trigger in (Trigger.SCHEDULE, Trigger.CATCH_UP)
        self.runs[run.id] = run

    def _release(self, job: str, after: datetime) -> None:
        """Give back the slots of a job after an instant."""
        for run in list(self.runs.values()):
            if run.job == job and run.slot is not None and run.slot > after:
                del self.slots[job, run.slot]
                self.runs[run.id] = replace(run, slot=None)

    def _write_incident(self, incident: Incident) -> None:
        about = (incident.job, incident.kind)
        others = [
            other
            for other in self.incidents.values()
            if (other.job, other.kind) == about
            and other.closed_at is None
            and other.id != incident.id
        ]
        assert not others, "an incident opened before the previous one had closed"
        known = self.incidents.get(incident.id)
        is_over = known is not None and known.closed_at and known.recovery_at is None
        assert not (is_over and incident.closed_at is None), "a recovered incident was reopened"
        self.incidents[incident.id] = incident

    def _write_alert(self, alert: Alert) -> None:
        known = self.alerts.get(alert.id)
        assert known is None or waits(known), "a finished alert was changed"
        if alert.delivered_at is not None:
            assert known is not None, "delivered before it was recorded"
            assert alert.id > self.arrived.get(alert.channel, 0), "delivered out of order"
            self.arrived[alert.channel] = alert.id
        self.alerts[alert.id] = alert

    def _write_text(self, text: ReloadEntry) -> None:
        before = self.texts[-1] if self.texts else None
        is_same = before is not None and replace(text, at=before.at) == before
        assert not is_same or text.changes, "the same text twice"
        self.texts.append(text)


def ran_before(name: str, until: str, state: State = State.SUCCESS) -> Ledger:
    """Return a ledger where the job was seen up to `until`, with a run in `state` at that slot."""
    seen = datetime.fromisoformat(until).replace(tzinfo=UTC)
    last = Run(1, name, seen, Trigger.SCHEDULE, state, slot=seen, attempt=1, ended_at=seen)
    return Ledger(runs={1: last}, marks={name: JobRecord(name, seen)})


def waits(alert: Alert) -> bool:
    """Return whether an alert is still to be delivered."""
    return alert.delivered_at is None and not alert.withheld


def _is_remembered(incident: Incident) -> bool:
    return bool(incident.closed_at is None or incident.recovery_at or incident.acked_until)
