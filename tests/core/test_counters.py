"""Transitions and counters: each change of state counts once."""

from datetime import timedelta

from supervisor.core import control_requests
from supervisor.core import counters as tallies
from supervisor.core.counters import DURATIONS_S, Counters, transitions
from supervisor.core.model import Run
from tests.core.core_harness import Harness, job
from tests.core.simulated_ledger import ran_before
from workers import protocol


class Counted(Harness):
    """A service that records and counts transitions, as the loop does."""

    def __init__(self, *args, **kwargs):
        self.reported: list[Run] = []
        self.tally = Counters()
        super().__init__(*args, **kwargs)

    def send(self, event):
        before = self.scheduler
        actions = super().send(event)
        rows = tallies.recorded_rows(actions)
        changed = transitions(before, rows)
        self.reported += changed
        self.tally = tallies.count(self.tally, changed, rows, self.scheduler)
        return actions

    def states_reported(self):
        return [str(run.state) for run in self.reported]


def test_each_new_state_of_a_run_is_reported_once():
    harness = Counted(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:05")
    harness.ends("a")

    wanted = ["pending", "running", "retrying", "pending", "running", "success"]
    assert harness.states_reported() == wanted
    assert [run.attempt for run in harness.reported] == [0, 1, 1, 1, 2, 2]


def test_the_account_of_a_run_that_has_ended_is_no_change():
    harness = Counted(job("a", cron="0 2 * * *"))
    harness.at("02:00")
    harness.exits("a")
    reported = harness.states_reported()
    harness.empties("a", strays=["7 sleep"])

    assert harness.run("a").strays == ("7 sleep",)
    assert harness.states_reported() == reported == ["pending", "running", "success"]


def test_a_slot_that_comes_to_nothing_is_reported_as_its_end():
    harness = Counted(job("a", cron="* * * * *"))
    harness.at("00:01")
    harness.at("00:02")

    assert harness.states_reported() == ["pending", "running", "skipped"]


def test_a_launch_that_could_not_be_recorded_is_reported_as_taken_back():
    harness = Counted(job("a", cron="0 2 * * *"))
    harness.at("01:59:30")
    harness.breaks_ledger()
    harness.at("02:00")

    assert sorted(harness.states_reported()) == ["pending", "pending", "running"]


def test_what_a_start_settles_is_reported():
    harness = Counted(job("a", cron="0 2 * * *", catch_up="none"))
    harness.at("02:00")
    harness.dies()
    harness.starts("02:30")

    assert harness.states_reported()[-1] == "interrupted"


def test_runs_are_counted_by_how_they_ended():
    harness = Counted(job("a", cron="* * * * *"))
    for minute, status in (("00:01", 0), ("00:02", 3), ("00:03", 3)):
        harness.at(minute)
        harness.ends("a", status=status)

    assert dict(harness.tally.runs) == {("a", "success", None): 1, ("a", "failed", "exit"): 2}


def test_durations_fall_into_buckets_and_add_up():
    harness = Counted(job("a", cron="0 * * * *"))
    for length_s in (1, 2, 100_000 % 3000):
        harness.at(f"{harness.wall + timedelta(hours=1):%H}:00")
        harness.after(seconds=length_s)
        harness.ends("a")

    spread = harness.tally.durations["a"]
    assert spread.sum_s == 1 + 2 + 1000
    assert spread.counts == (1, 1, 0, 0, 0, 0, 1, 0, 0)
    assert len(spread.counts) == len(DURATIONS_S) + 1


def test_missed_slots_are_counted_with_those_that_have_no_row():
    harness = Counted(
        job("a", cron="* * * * *"),
        start="2026-01-05 10:00",
        remembers=ran_before("a", "2026-01-05 00:00"),
    )

    rows = sum(run.state == "missed" for run in harness.reported)
    assert (rows, harness.tally.missed["a"]) == (100, 599)


def test_dry_runs_are_not_counted():
    harness = Counted(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",), dry_run=True))
    harness.says("a", protocol.Done({}))
    harness.ends("a")

    assert harness.run("a").state == "success"
    assert dict(harness.tally.runs) == {}


def test_a_job_that_is_removed_is_counted_no_longer():
    harness = Counted(job("a", cron="* * * * *"), job("b"))
    harness.at("00:01")
    harness.ends("a", status=1)
    harness.at("00:02")
    harness.reloads(job("b"))
    harness.tally = tallies.restricted_to(harness.tally, harness.scheduler)
    harness.ends("a", status=1)

    assert (dict(harness.tally.runs), dict(harness.tally.durations)) == ({}, {})


def test_lateness_is_counted_in_buckets():
    tally = tallies.tick(tallies.tick(Counters(), 0.004), 120.0)

    assert tally.lateness.counts == (1, 0, 0, 0, 0, 0, 0, 0, 1)
    assert tally.lateness.sum_s == 120.004
