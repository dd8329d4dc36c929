"""A year of the shipped jobs through the real rules, with random failures.

The clock is simulated and processes only end, so a year takes seconds. One attempt in seven
fails; backup fails every time on three days of June. Every slot of the calendar has one
outcome, and no incident sends more messages than its rule allows.
"""

import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from supervisor import config
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.config_model import Config, Job
from supervisor.core.effects import Launch, Record
from supervisor.core.events import At, Memory, Restored
from supervisor.core.model import Attempt, Run, State, replace
from supervisor.core.simulation.engine import Ending, Step, simulate
from supervisor.core.simulation.sampling import DurationProfile, outcome_sampler
from tests.channels import notify_slack
from tests.drills.conftest import Figures
from workers.protocol import Failed

pytestmark = pytest.mark.timeout(120)

SHIPPED = Path(__file__).parents[2] / "jobs.yaml"
START = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
END = START + timedelta(days=365)
FAILURE = 1 / 7
BAD_DAYS = (datetime(2026, 6, 10, tzinfo=UTC), datetime(2026, 6, 13, tzinfo=UTC))


class Year:
    """The last version of every row that the year has written."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.runs: dict[int, Run] = {}
        self.attempts: dict[tuple[int, int], Attempt] = {}
        self.incidents: dict[int, Incident] = {}
        self.alerts: dict[int, Alert] = {}
        for step in steps:
            for action in step.actions:
                if isinstance(action, Record):
                    self._receive(action.row)

    def _receive(self, row: object) -> None:
        match row:
            case Run():
                self.runs[row.id] = row
            case Attempt():
                self.attempts[row.run, row.number] = row
            case Incident():
                self.incidents[row.id] = row
            case Alert():
                self.alerts[row.id] = row

    def of(self, job: str) -> list[Run]:
        """Return all runs of a job."""
        return [run for run in self.runs.values() if run.job == job]


def shipped() -> Config:
    """Return the shipped jobs.yaml with a channel that receives every alert."""
    parsed = config.parse(SHIPPED.read_bytes(), SHIPPED, {"REPLICATION_ENABLED": "true"})
    assert parsed.config is not None, parsed.problems
    return replace(parsed.config, notify=notify_slack("http://nowhere.invalid/hook"))


def calendar(job: Job) -> set[datetime]:
    """Return the job's slots of the year, by a cron implementation that the loop does not use."""
    slots = set()
    for expression in job.cron:
        for local in CronSim(expression, START.astimezone(ZoneInfo(job.timezone))):
            if local.astimezone(UTC) > END:
                break
            slots.add(local.astimezone(UTC))
    return slots


def most_messages(incident: Incident) -> int:
    """Return the most messages of an incident.

    One opening, reminders after 1 h, 4 h and then daily if it failed again, one recovery.
    """
    lasted = (incident.closed_at or END) - incident.opened_at
    daily = max(0, (lasted - timedelta(hours=4)).days)
    reminders = (lasted >= timedelta(hours=1)) + (lasted >= timedelta(hours=4)) + daily
    return 1 + min(reminders, incident.count - 1) + (incident.closed_at is not None)


def test_a_year_gives_every_slot_one_outcome(figures: Figures) -> None:
    seed = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(10**6)))
    figures.add("TEST_SEED", seed)
    running = shipped()
    usual_ending = outcome_sampler(
        {job.name: DurationProfile(20.0, 240.0, FAILURE) for job in running.jobs}, seed
    )

    def ending_of(launch: Launch) -> Ending:
        if launch.run.job == "backup-database" and BAD_DAYS[0] <= launch.run.due < BAD_DAYS[1]:
            return Ending(5.0, 1 << 8, Failed("no space left on device", permanent=False))
        return usual_ending(launch)

    began = time.perf_counter()
    year = Year(simulate(Restored(At(START, 0.0, 0.5), running, Memory()), END, ending_of))
    figures.add("seconds", time.perf_counter() - began)

    for job in running.jobs:
        slots = [run.slot for run in year.of(job.name)]
        open_at_the_end = [run for run in year.of(job.name) if run.state.is_open]
        assert len(slots) == len(set(slots)), job.name
        assert set(slots) == calendar(job), job.name
        assert len(open_at_the_end) <= 1, job.name
    report_and_check(year, running, figures)


def report_and_check(year: Year, running: Config, figures: Figures) -> None:
    """Report and check, job by job, the outcomes and the rules of retries, skips and messages."""
    per_incident = Counter(alert.incident for alert in year.alerts.values())
    per_job = defaultdict(list)
    for incident in year.incidents.values():
        per_job[incident.job].append(incident)
    for job in running.jobs:
        runs = year.of(job.name)
        states = Counter(run.state for run in runs)
        messages = sum(per_incident[each.id] for each in per_job[job.name])
        figures.add(
            job.name,
            f"{len(runs)} runs, {states[State.SUCCESS]} success, {states[State.FAILED]} failed, "
            f"{states[State.SKIPPED]} skipped, {sum(r.retries_used for r in runs)} retries, "
            f"{len(per_job[job.name])} incidents, {messages} messages",
        )
        assert all(run.retries_used <= job.retries for run in runs)
        failed = [run for run in runs if run.state is State.FAILED]
        assert all(run.retries_used == job.retries for run in failed)
        assert all(run.cause for run in runs if run.state is not State.SUCCESS)
        skipped_for_d = [run for run in runs if run.state is State.SKIPPED]
        assert not skipped_for_d or job.deps or job.name == "database-health-check"
    for incident in year.incidents.values():
        assert 1 <= per_incident[incident.id] <= most_messages(incident), incident
    assert all(alert.delivered_at or alert.withheld for alert in year.alerts.values())
    assert {run for run, _ in year.attempts} <= year.runs.keys()
    bad = [i for i in per_job["backup-database"] if BAD_DAYS[0] <= i.opened_at < BAD_DAYS[1]]
    (three_days,) = (each for each in bad if each.count >= 3)
    assert 2 <= per_incident[three_days.id] <= 5
