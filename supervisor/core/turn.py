"""`Turn`: the state while one event is decided, and the actions so far.

The rules change runs, attempts and job records through the methods here, and
`state_indexes.py` keeps the indexes consistent. A Turn belongs to one call of
`decide` and is not kept.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from supervisor.core import heartbeats, schedule, state_indexes
from supervisor.core import incidents as incidents
from supervisor.core.config_model import Job
from supervisor.core.effects import Launch, Record, RecordTick, ReleaseSlots
from supervisor.core.model import Attempt, JobRecord, Reason, Run, State, Trigger, replace
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.state import LiveAttempt
from supervisor.core.turn_incidents import IncidentTurn
from supervisor.core.verdict import Verdict

# A leader never gives up an attempt by its own clock: its host may still run it.
LEFT_TO_THE_HOST_S = 1e9

_NO_JOBS: PersistentMap[str, None] = PersistentMap()


class Turn(IncidentTurn):
    """The state as it is being changed, the instant, and the actions so far."""

    # --- runs -----------------------------------------------------------------

    def open_run(self, job: Job, due: datetime, trigger: Trigger, **fields: Any) -> Run:
        """Open a new pending run, in the queue and in the ledger."""
        run = self._new_run(job, due, trigger, State.PENDING, **fields)
        self.save_run(run)
        return run

    def record_skipped_or_missed(
        self,
        job: Job,
        slot: datetime,
        trigger: Trigger,
        state: State,
        reason: Reason,
        cause: str,
        blocked_by: int | None = None,
    ) -> Run:
        """Record a slot that did not run: skipped or missed."""
        run = self._new_run(
            job, slot, trigger, state,
            slot=None if trigger is Trigger.STARTUP else slot,
            reason=reason, cause=cause, blocked_by=blocked_by, ended_at=self.now,
        )  # fmt: skip
        self.save_run(run)
        self.note(f"{state}: {cause}", run=run)
        return run

    def restore(self, run: Run) -> None:
        """Index a row of the previous supervisor; the ledger already has it."""
        state_indexes.index_run(self.scheduler, None, run)
        state_indexes.remember_outcome(self.scheduler, run)

    def save_run(self, run: Run) -> None:
        """Record a new or changed run and index it."""
        before = self.scheduler.runs.get(run.id)
        self.actions.append(Record(run))
        state_indexes.index_run(self.scheduler, before, run)
        if before is None or before.state is not run.state:
            state_indexes.remember_outcome(self.scheduler, run)
            self.may_admit = self.may_admit or run.state is State.PENDING

    def finish(self, run: Run, verdict: Verdict) -> Run:
        """Put the run into its final state, open or close its incident, and return it."""
        final = replace(
            run,
            state=verdict.state,
            reason=verdict.reason,
            cause=verdict.cause,
            ended_at=self.now,
            next_attempt_at=None,
        )
        self.save_run(final)
        said = f"{final.state}: {final.cause}" if final.cause else str(final.state)
        self.note(said, "warning" if final.state is State.FAILED else "info", run=final)
        job = self.scheduler.definition(final.job)
        # The leader of a cluster tells people of what it has assigned.
        if job is not None and not final.dry_run and final.trigger is not Trigger.ASSIGNED:
            self._update_incidents(final, verdict)
            self.actions.extend(heartbeats.on_end(job, final))
        self.may_admit = True
        return final

    def _new_run(
        self, job: Job, due: datetime, trigger: Trigger, state: State, **fields: Any
    ) -> Run:
        number = self.scheduler.next_run
        self.scheduler.next_run = number + 1
        fields.setdefault("place", job.place)
        return Run(number, job.name, due, trigger, state, opened_at=self.now, **fields)

    # --- attempts -------------------------------------------------------------

    def launch(self, run: Run, job: Job) -> None:
        """Begin the run's next attempt; its record precedes its launch."""
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
        scheduler = self.scheduler
        if scheduler.is_leader:
            job = replace(job, timeout_s=None, kill_grace_s=LEFT_TO_THE_HOST_S)
        deadline = None if job.timeout_s is None else self.at.mono + job.timeout_s
        scheduler.live_attempts = scheduler.live_attempts.set(
            run.id, LiveAttempt(run.id, job, attempt, groups, deadline)
        )
        for group in groups:
            scheduler.groups = scheduler.groups.set(group, run.id)
        self.save_run(running)
        # A first attempt can be derived from its run until it ends, so its row may come later.
        self.actions.append(Record(attempt, soon=attempt.number == 1))
        self.actions.append(Launch(running, job))
        self.actions.extend(heartbeats.on_start(job, running))
        self.note("starts", run=running)

    def undo_launch(self, run: Run) -> None:
        """Take back a launch that was not performed, as if the attempt had never begun."""
        self.free_place(self.scheduler.live_attempts[run.id])
        begun = run.attempt - 1
        started_at = run.started_at if begun else None
        self.save_run(replace(run, state=State.PENDING, attempt=begun, started_at=started_at))

    def set_live(self, live: LiveAttempt) -> None:
        """Store a changed live attempt."""
        self.scheduler.live_attempts = self.scheduler.live_attempts.set(live.run, live)

    def free_place(self, live: LiveAttempt) -> None:
        """Free the attempt's place in the pool, its groups and its job."""
        scheduler = self.scheduler
        scheduler.live_attempts = scheduler.live_attempts.delete(live.run)
        for group in live.groups:
            # A new text of jobs.yaml may have put two attempts that lived into one group.
            if scheduler.groups.get(group) == live.run:
                scheduler.groups = scheduler.groups.delete(group)
        state_indexes.leave_job(scheduler, live.job.name, live.run)
        self.may_admit = True

    # --- jobs -----------------------------------------------------------------

    def ticked(self) -> None:
        """Record that all slots up to now have their outcome: an absence begins here or later."""
        self.scheduler.last_tick = self.now
        self.actions.append(RecordTick(self.now, self.scheduler.silent_until))

    def update_job_record(self, job: str, **fields: Any) -> None:
        """Change what the ledger keeps of a job."""
        self.actions.append(Record(self._changed_record(job, **fields)))

    def advance_seen_until(self, job: str, instant: datetime) -> None:
        """Settle the job's slots up to this instant for good."""
        known = self.scheduler.job_records.get(job)
        if known is None or known.seen_until < instant:
            self.update_job_record(job, seen_until=instant)

    def settle_slots(self, job: str, newest: datetime) -> None:
        """Settle the job's slots up to one whose row this turn records.

        That row says it, too, so the job's record may come later.
        """
        known = self.scheduler.job_records.get(job)
        if known is None:
            self.update_job_record(job, seen_until=newest)
        elif known.seen_until < newest:
            changed = self._changed_record(job, seen_until=newest)
            self.actions.append(Record(changed, soon=True))

    def rewind_seen_until(self, job: Job, fixed_until: datetime | None = None) -> None:
        """Let slots after now come again that a wrong clock had marked as done.

        fixed_until: fixed times come again only after this.
        """
        scheduler = self.scheduler
        # What is due since the last tick stays due, unless it was opened already.
        known = scheduler.job_records.get(job.name)
        settled = known.seen_until if known is not None else scheduler.last_tick or self.now
        seen_until = min(self.now, max(settled, scheduler.last_tick or settled))
        self.actions.append(ReleaseSlots(job.name, self.now))
        self.update_job_record(job.name, seen_until=seen_until, fixed_until=fixed_until)
        self.schedule_next(job, seen_until)
        for run in scheduler.open_runs_of(job.name):
            if run.slot is not None and run.slot > self.now:
                scheduler.runs = scheduler.runs.set(run.id, replace(run, slot=None))
        for live in scheduler.live_attempts.values():
            outcome = live.outcome
            if outcome and outcome.job == job.name and outcome.slot and outcome.slot > self.now:
                self.set_live(replace(live, outcome=replace(outcome, slot=None)))
        kept = tuple(
            past for past in scheduler.recent_runs.get(job.name, ()) if past.due <= self.now
        )
        scheduler.recent_runs = scheduler.recent_runs.set(job.name, kept)
        if job.name in scheduler.last_success and scheduler.last_success[job.name] > self.now:
            scheduler.last_success = scheduler.last_success.set(job.name, self.now)

    def schedule_next(self, job: Job, after: datetime) -> None:
        """Schedule the job's next slot after this instant."""
        self.unschedule(job.name)
        if not job.cron or not self.scheduler.has_calendar:
            return
        slot = self.scheduler.calendar(job, after).next_after(after)
        if slot is None:
            return
        scheduler, minute = self.scheduler, schedule.at_minute(slot)
        names = scheduler.jobs_by_minute.get(minute, _NO_JOBS)
        scheduler.jobs_by_minute = scheduler.jobs_by_minute.set(minute, names.set(job.name, None))
        scheduler.next_slot = scheduler.next_slot.set(job.name, slot)

    def pop_due(self, names: Iterable[str], until: int) -> list[Job]:
        """Unschedule those of the jobs whose slot is in a minute up to `until`; return them."""
        scheduler = self.scheduler
        found: dict[int, list[str]] = {}
        for name in names:
            slot = scheduler.next_slot.get(name)
            if slot is not None and (minute := schedule.at_minute(slot)) <= until:
                found.setdefault(minute, []).append(name)
        for minute, listed in found.items():
            rest = scheduler.jobs_by_minute[minute].delete_many(listed)
            scheduler.jobs_by_minute = (
                scheduler.jobs_by_minute.set(minute, rest)
                if rest
                else scheduler.jobs_by_minute.delete(minute)
            )
        popped = [name for listed in found.values() for name in listed]
        scheduler.next_slot = scheduler.next_slot.delete_many(popped)
        return sorted((scheduler.jobs[name] for name in popped), key=lambda job: job.place)

    def unschedule(self, job: str) -> None:
        """Remove the job's next slot from the schedule."""
        scheduler = self.scheduler
        slot = scheduler.next_slot.get(job)
        if slot is None:
            return
        minute = schedule.at_minute(slot)
        names = scheduler.jobs_by_minute[minute].delete(job)
        scheduler.jobs_by_minute = (
            scheduler.jobs_by_minute.set(minute, names)
            if names
            else scheduler.jobs_by_minute.delete(minute)
        )
        scheduler.next_slot = scheduler.next_slot.delete(job)

    def _changed_record(self, job: str, **fields: Any) -> JobRecord:
        known = self.scheduler.job_records.get(job) or JobRecord(job, self.now)
        changed = replace(known, **fields)
        self.scheduler.job_records = self.scheduler.job_records.set(job, changed)
        return changed

    def _update_incidents(self, run: Run, verdict: Verdict) -> None:
        if run.state is State.SUCCESS:
            closed = incidents.CLOSED_BY_SUCCESS
            if verdict.problem:
                self.open_incident(run.job, incidents.PARTIAL, verdict.problem, run.id)
                closed = tuple(kind for kind in closed if kind != incidents.PARTIAL)
            self.close_incidents(run.job, *closed)
            slot = self.scheduler.late.get(run.job)
            if slot is not None and run.due >= slot:
                self.scheduler.late = self.scheduler.late.delete(run.job)
        elif run.state is State.FAILED and run.reason is not None:
            self.open_incident(run.job, verdict.incident or run.reason, run.cause, run.id)
