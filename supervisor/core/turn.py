"""One turn of `decide`: a world being changed and the actions it asks for.

Every change of the world goes through the primitives here (`indexes.py` keeps
what is looked up by true), and the rules are written in them. A Turn belongs to one
call of `decide` and is not kept.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from supervisor.core import beating, indexes, schedule
from supervisor.core import incident as incidents
from supervisor.core.effects import Launch, Record, RecordTick, ReleaseSlots
from supervisor.core.incident_turn import IncidentTurn
from supervisor.core.model import (
    Attempt,
    Job,
    Mark,
    Reason,
    Run,
    State,
    Trigger,
    replace,
)
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.verdict import Verdict
from supervisor.core.world import Living

_NOBODY: PersistentMap[str, None] = PersistentMap()


class Turn(IncidentTurn):
    """The world as it is being changed, the instant, and the actions so far."""

    # --- runs -----------------------------------------------------------------

    def open_run(self, job: Job, due: datetime, trigger: Trigger, **fields: Any) -> Run:
        """A new pending run, in the queue and in the ledger."""
        run = self._new_run(job, due, trigger, State.PENDING, **fields)
        self.keep(run)
        return run

    def close_unopened(
        self,
        job: Job,
        slot: datetime,
        trigger: Trigger,
        state: State,
        reason: Reason,
        cause: str,
        blocked_by: int | None = None,
    ) -> Run:
        """A row for a slot that came to nothing: skipped or missed."""
        run = self._new_run(
            job, slot, trigger, state,
            slot=None if trigger is Trigger.STARTUP else slot,
            reason=reason, cause=cause, blocked_by=blocked_by, ended_at=self.now,
        )  # fmt: skip
        self.keep(run)
        self.note(f"{state}: {cause}", run=run)
        return run

    def restore(self, run: Run) -> None:
        """Take a row of an earlier life into the indexes; the ledger has it."""
        indexes.enter(self.world, None, run)
        indexes.remember(self.world, run)

    def keep(self, run: Run) -> None:
        """Take a new or changed run into ledger and indexes."""
        before = self.world.runs.get(run.id)
        self.actions.append(Record(run))
        indexes.enter(self.world, before, run)
        if before is None or before.state is not run.state:
            indexes.remember(self.world, run)
            self.may_admit = self.may_admit or run.state is State.PENDING

    def finish(self, run: Run, verdict: Verdict) -> Run:
        """The run in its final state; its incident opens or closes with it."""
        final = replace(
            run,
            state=verdict.state,
            reason=verdict.reason,
            cause=verdict.cause,
            ended_at=self.now,
            next_attempt_at=None,
        )
        self.keep(final)
        said = f"{final.state}: {final.cause}" if final.cause else str(final.state)
        self.note(said, "warning" if final.state is State.FAILED else "info", run=final)
        job = self.world.definition(final.job)
        if job is not None and not final.dry_run:
            self._judge_incidents(final)
            self.actions.extend(beating.ended(job, final))
        self.may_admit = True
        return final

    def _new_run(
        self, job: Job, due: datetime, trigger: Trigger, state: State, **fields: Any
    ) -> Run:
        number = self.world.next_run
        self.world.next_run = number + 1
        fields.setdefault("place", job.place)
        return Run(number, job.name, due, trigger, state, opened_at=self.now, **fields)

    # --- attempts -------------------------------------------------------------

    def launch(self, run: Run, job: Job) -> None:
        """Begin the run's next attempt; its record stands before its launch."""
        running = replace(
            run,
            state=State.RUNNING,
            attempt=run.attempt + 1,
            reason=None,
            cause="",
            started_at=run.started_at or self.now,
            next_attempt_at=None,
            progress=None,
        )
        attempt = Attempt(run.id, running.attempt, self.now)
        groups = tuple(group for group in (job.exclusive, run.batch) if group)
        deadline = None if job.timeout_s is None else self.at.mono + job.timeout_s
        world = self.world
        world.living = world.living.set(run.id, Living(run.id, job, attempt, groups, deadline))
        for group in groups:
            world.groups = world.groups.set(group, run.id)
        self.keep(running)
        # All of a first attempt can be told from its run, until it has ended.
        self.actions.append(Record(attempt, soon=attempt.number == 1))
        self.actions.append(Launch(running, job))
        self.actions.extend(beating.begun(job, running))
        self.note("starts", run=running)

    def unlaunch(self, run: Run) -> None:
        """Take back a launch that was not performed; the attempt never was."""
        self.leave(self.world.living[run.id])
        begun = run.attempt - 1
        started_at = run.started_at if begun else None
        self.keep(replace(run, state=State.PENDING, attempt=begun, started_at=started_at))

    def put_living(self, living: Living) -> None:
        """Take a changed living attempt into the world."""
        self.world.living = self.world.living.set(living.run, living)

    def leave(self, living: Living) -> None:
        """The attempt's tree is empty: place, groups and job are free."""
        world = self.world
        world.living = world.living.delete(living.run)
        for group in living.groups:
            world.groups = world.groups.delete(group)
        indexes.leave_job(world, living.job.name, living.run)
        self.may_admit = True

    # --- jobs -----------------------------------------------------------------

    def ticked(self) -> None:
        """All slots up to now have their outcome: an absence can begin here at the earliest."""
        self.world.last_tick = self.now
        self.actions.append(RecordTick(self.now, self.world.silent_until))

    def mark(self, job: str, **fields: Any) -> None:
        """Change what the ledger keeps of a job."""
        known = self.world.marks.get(job) or Mark(job, self.now)
        changed = replace(known, **fields)
        self.world.marks = self.world.marks.set(job, changed)
        self.actions.append(Record(changed))

    def see_until(self, job: str, instant: datetime) -> None:
        """Slots of this job up to here are settled for good."""
        known = self.world.marks.get(job)
        if known is None or known.seen_until < instant:
            self.mark(job, seen_until=instant)

    def lower_mark(self, job: Job, fixed_until: datetime | None = None) -> None:
        """Let slots after now come again, though a wrong clock had them done.

        fixed_until: but fixed times only after that.
        """
        self.actions.append(ReleaseSlots(job.name, self.now))
        self.mark(job.name, seen_until=self.now, fixed_until=fixed_until)
        self.expect(job, self.now)
        world = self.world
        for run in world.open_runs_of(job.name):
            if run.slot is not None and run.slot > self.now:
                world.runs = world.runs.set(run.id, replace(run, slot=None))
        for living in list(world.living.values()):
            outcome = living.outcome
            if outcome and outcome.job == job.name and outcome.slot and outcome.slot > self.now:
                self.put_living(replace(living, outcome=replace(outcome, slot=None)))
        kept = tuple(past for past in world.past.get(job.name, ()) if past.due <= self.now)
        world.past = world.past.set(job.name, kept)
        if job.name in world.last_success and world.last_success[job.name] > self.now:
            world.last_success = world.last_success.set(job.name, self.now)

    def expect(self, job: Job, after: datetime) -> None:
        """Put the job's next slot after this instant into the agenda."""
        self.forget_slot(job.name)
        if not job.cron or not self.world.has_calendar:
            return
        slot = self.world.calendar(job, after).next_after(after)
        if slot is None:
            return
        world, minute = self.world, schedule.at_minute(slot)
        names = world.agenda.get(minute, _NOBODY)
        world.agenda = world.agenda.set(minute, names.set(job.name, None))
        world.next_slot = world.next_slot.set(job.name, slot)

    def take_due(self, minutes: Iterable[int]) -> list[Job]:
        """Take the jobs of these minutes out of the agenda; in the order of the file."""
        world = self.world
        found: list[str] = []
        for minute in minutes:
            found += world.agenda[minute]
            world.agenda = world.agenda.delete(minute)
        world.next_slot = world.next_slot.delete_many(found)
        return sorted((world.jobs[name] for name in found), key=lambda job: job.place)

    def forget_slot(self, job: str) -> None:
        """Take the job's next slot out of the agenda."""
        world = self.world
        slot = world.next_slot.get(job)
        if slot is None:
            return
        minute = schedule.at_minute(slot)
        names = world.agenda[minute].delete(job)
        world.agenda = world.agenda.set(minute, names) if names else world.agenda.delete(minute)
        world.next_slot = world.next_slot.delete(job)

    def _judge_incidents(self, run: Run) -> None:
        if run.state is State.SUCCESS:
            self.mend(run.job, *incidents.MENDED_BY_SUCCESS)
            slot = self.world.late.get(run.job)
            if slot is not None and run.due >= slot:
                self.world.late = self.world.late.delete(run.job)
        elif run.state is State.FAILED and run.reason is not None:
            self.trouble(run.job, run.reason, run.cause, run.id)
