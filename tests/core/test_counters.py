"""Transitions and counters: each change of state counts once."""

from datetime import timedelta

from supervisor.core import control_requests
from supervisor.core import counters as tallies
from supervisor.core.counters import DURATIONS_S, Counters, transitions
from supervisor.core.model import Run
from tests.core.core_harness import Night, job, ran_before
from workers import protocol


class Counted(Night):
    """A Night that records and counts transitions, as the loop does."""

    def __init__(self, *args, **kwargs):
        self.told: list[Run] = []
        self.tally = Counters()
        super().__init__(*args, **kwargs)

    def send(self, event):
        before = self.world
        actions = super().send(event)
        changed = transitions(before, actions)
        self.told += changed
        self.tally = tallies.count(self.tally, changed, actions, self.world)
        return actions

    def states_told(self):
        return [str(run.state) for run in self.told]


def test_each_new_state_of_a_run_is_told_once():
    night = Counted(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    night.at("02:00")
    night.ends("a", status=1)
    night.at("02:05")
    night.ends("a")

    wanted = ["pending", "running", "retrying", "pending", "running", "success"]
    assert night.states_told() == wanted
    assert [run.attempt for run in night.told] == [0, 1, 1, 1, 2, 2]


def test_the_account_of_a_run_that_has_ended_is_no_change():
    night = Counted(job("a", cron="0 2 * * *"))
    night.at("02:00")
    night.exits("a")
    told = night.states_told()
    night.empties("a", strays=["7 sleep"])

    assert night.run("a").strays == ("7 sleep",)
    assert night.states_told() == told == ["pending", "running", "success"]


def test_a_slot_that_comes_to_nothing_is_told_as_its_end():
    night = Counted(job("a", cron="* * * * *"))
    night.at("00:01")
    night.at("00:02")

    assert night.states_told() == ["pending", "running", "skipped"]


def test_a_launch_that_could_not_be_recorded_is_told_as_taken_back():
    night = Counted(job("a", cron="0 2 * * *"))
    night.at("01:59:30")
    night.breaks_ledger()
    night.at("02:00")

    assert sorted(night.states_told()) == ["pending", "pending", "running"]


def test_what_a_start_settles_is_told():
    night = Counted(job("a", cron="0 2 * * *", catch_up="none"))
    night.at("02:00")
    night.dies()
    night.starts("02:30")

    assert night.states_told()[-1] == "interrupted"


def test_runs_are_counted_by_how_they_ended():
    night = Counted(job("a", cron="* * * * *"))
    for minute, status in (("00:01", 0), ("00:02", 3), ("00:03", 3)):
        night.at(minute)
        night.ends("a", status=status)

    assert dict(night.tally.runs) == {("a", "success", None): 1, ("a", "failed", "exit"): 2}


def test_durations_fall_into_buckets_and_add_up():
    night = Counted(job("a", cron="0 * * * *"))
    for length_s in (1, 2, 100_000 % 3000):
        night.at(f"{night.wall + timedelta(hours=1):%H}:00")
        night.after(seconds=length_s)
        night.ends("a")

    spread = night.tally.durations["a"]
    assert spread.sum_s == 1 + 2 + 1000
    assert spread.counts == (1, 1, 0, 0, 0, 0, 1, 0, 0)
    assert len(spread.counts) == len(DURATIONS_S) + 1


def test_missed_slots_are_counted_with_those_that_have_no_row():
    night = Counted(
        job("a", cron="* * * * *"),
        start="2026-01-05 10:00",
        remembers=ran_before("a", "2026-01-05 00:00"),
    )

    rows = sum(run.state == "missed" for run in night.told)
    assert (rows, night.tally.missed["a"]) == (100, 599)


def test_dry_runs_are_not_counted():
    night = Counted(job("a", worker="w.f"))
    night.asks(control_requests.RunJobs(("a",), dry_run=True))
    night.says("a", protocol.Done({}))
    night.ends("a")

    assert night.run("a").state == "success"
    assert dict(night.tally.runs) == {}


def test_a_job_that_is_removed_is_counted_no_longer():
    night = Counted(job("a", cron="* * * * *"), job("b"))
    night.at("00:01")
    night.ends("a", status=1)
    night.at("00:02")
    night.reloads(job("b"))
    night.tally = tallies.restricted_to(night.tally, night.world)
    night.ends("a", status=1)

    assert (dict(night.tally.runs), dict(night.tally.durations)) == ({}, {})


def test_lateness_is_counted_in_buckets():
    tally = tallies.tick(tallies.tick(Counters(), 0.004), 120.0)

    assert tally.lateness.counts == (1, 0, 0, 0, 0, 0, 0, 0, 1)
    assert tally.lateness.sum_s == 120.004
