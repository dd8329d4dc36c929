"""The promises of a cluster, checked while a history happens and at its end."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from supervisor.core import schedule
from supervisor.core.config_model import IfLost, Job
from supervisor.core.model import JobRecord, Run, State
from tests.cluster.model.server import Pair

if TYPE_CHECKING:
    from tests.cluster.model.machine import Process
    from tests.cluster.model.world import World

# A machine that was frozen ends within a turn of its loop what it may not run any more.
TURN_S = 0.3


class BrokenPromiseError(AssertionError):
    """A promise that did not hold."""


@dataclass
class Paused:
    """No slot of a job between these instants may run; asked: when the pause was asked for."""

    job: str
    asked: datetime
    since: datetime
    until: datetime


@dataclass
class Laws:
    """What lives, and what has begun; a broken promise is an error.

    cancelled: the last attempt of each run whose cancelling was granted.
    """

    world: "World"
    living: dict[str, list["Process"]] = field(default_factory=dict)
    begun_runs: dict[int, list["Process"]] = field(default_factory=dict)
    cancelled: dict[int, int] = field(default_factory=dict)
    pauses: list[Paused] = field(default_factory=list)
    to_end: set[Pair] = field(default_factory=set)
    changes: dict[str, list[datetime]] = field(default_factory=dict)

    def begun(self, process: "Process", job: Job) -> None:
        """Check that this attempt may begin."""
        run = process.pair[0]
        before = self.begun_runs.setdefault(run, [])
        if any(each.pair == process.pair for each in before):
            self._broken(f"attempt {process.pair} of {job.name} begins twice")
        # A run that failed may be repeated.
        if job.if_lost is IfLost.NEVER and any(not each.fails for each in before):
            self._broken(f"run {run} of {job.name} begins again, though it must not")
        # What a host had fetched before may begin, and is ended at once.
        if process.pair[1] > self.cancelled.get(run, process.pair[1]):
            self._broken(f"{process.pair} of {job.name} begins after it was cancelled")
        if any(not each.is_over for each in before):
            self._overlaps(process, [each for each in before if not each.is_over])
        before.append(process)
        for lock in process.locks:
            self._overlaps(process, self.living.get(lock, []))
            self.living.setdefault(lock, []).append(process)

    def ended(self, process: "Process") -> None:
        """Take note that a process is gone."""
        process.is_over = True
        for lock in process.locks:
            self.living[lock].remove(process)

    def paused(self, job: str, asked: datetime, mark: JobRecord) -> None:
        """Take note of a pause that was granted."""
        if mark.pause is not None and mark.pause.until is not None:
            self.pauses.append(Paused(job, asked, self.world.wall(), mark.pause.until))

    def may_change_pause(self, job: str) -> None:
        """Take note that a request was made that may end an earlier pause of a job."""
        self.changes.setdefault(job, []).append(self.world.wall())

    def _overlaps(self, process: "Process", others: list["Process"]) -> None:
        now = self.world.now
        for other in others:
            machine = other.machine
            is_frozen = now < machine.frozen_until or now - machine.thawed_at < TURN_S
            if not is_frozen and not other.may_overlap:
                self._broken(
                    f"{process.pair} on {process.machine.name} begins while {other.pair}"
                    f" lives on {machine.name}: {process.locks}"
                )

    def _broken(self, text: str) -> None:
        raise BrokenPromiseError(f"at {self.world.now:.2f}: {text}")

    # --- at the end ----------------------------------------------------------------

    def open_runs(self) -> list[Run]:
        """Return the runs of the time with faults that are not final."""
        until = self.world.faults_until
        runs = self.world.server.ledger.runs.values()
        return [run for run in runs if run.state.is_open and run.due <= until]

    def check_end(self) -> None:
        """Check what must hold when all hosts have been well for a while."""
        left = [f"{run.id} of {run.job}: {run.state}" for run in self.open_runs()]
        if left:
            self._broken(f"runs are not final: {left}")
        self._check_slots()
        self._check_pauses()
        if left := self.left_over():
            self._broken(f"{left} are assigned, and their runs are over")

    def _check_slots(self) -> None:
        ledger = self.world.server.ledger
        assert ledger.tick is not None
        for job in self.world.stable_jobs():
            mark = ledger.marks.get(job.name)
            since = self.world.server.first_tick
            if mark is None or since is None:
                self._broken(f"{job.name} has no mark")
                return
            gaps = [gap for gap in ledger.gaps if gap.job == job.name]
            for slot in schedule.calendar(job.cron, job.timezone).slots(since, ledger.tick.at):
                has_gap = any(gap.since < slot <= gap.until for gap in gaps)
                if (job.name, slot) not in ledger.slots and not has_gap:
                    self._broken(f"{job.name} {slot} has neither a run nor a gap")

    def _check_pauses(self) -> None:
        allowed = {State.SKIPPED, State.MISSED}
        for each in self.pauses:
            # A leader that was frozen opens what was due meanwhile after the next request.
            changes = self.changes[each.job]
            later = [at - timedelta(seconds=60) for at in changes if at > each.asked]
            each.until = min([each.until, *later])
        for run in self.world.server.ledger.runs.values():
            for each in self.pauses:
                is_in = run.slot is not None and each.since < run.slot < each.until
                if run.job == each.job and is_in and run.state not in allowed:
                    self._broken(f"run {run.id} of {run.job}, which was paused, is {run.state}")

    def unassigned(self) -> set[Pair]:
        """Return the attempts that live and are not assigned to anybody."""
        assigned = {each.pair for each in self.world.server.by_fence.values()}
        living = {each.pair for found in self.living.values() for each in found}
        return living - assigned

    def note_unassigned(self) -> None:
        """Take note of what has to end now that all hosts are well."""
        self.to_end = self.unassigned()

    def check_unassigned(self) -> None:
        """Check that hosts have ended what they were not given any more."""
        if left := self.to_end & self.unassigned():
            self._broken(f"{left} live on and are not assigned")

    def left_over(self) -> list[Pair]:
        """Return the assignments whose runs are over."""
        server = self.world.server
        runs = (
            (each.pair, server.ledger.runs.get(each.pair[0])) for each in server.by_fence.values()
        )
        return [pair for pair, run in runs if run is None or not run.state.is_open]
