"""The rules of a cluster: a leader and its hosts, and a host and its assignments."""

from datetime import timedelta

import pytest

from supervisor.core import control_requests as req
from supervisor.core import effects, explain, schedule
from supervisor.core import events as ev
from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.cluster_config import of_host, of_leader
from supervisor.core.config_model import Cluster, Config, IfLost, Overlap
from supervisor.core.control_requests import ReplyStatus
from supervisor.core.model import Reason, State, Trigger, replace
from tests.core.cluster_events import Leader, assignment
from tests.core.core_harness import Harness, job
from workers import protocol

HOURLY = job("a", cron="0 * * * *")
MINUTELY = job("a", cron="* * * * *")


def host(*jobs, **settings):
    """Return a host whose cluster confirms it for a minute."""
    harness = Harness(*(jobs or (job("a"),)), **settings)
    assert harness.asks(req.ConfirmHost(60, 2)).answer is ReplyStatus.OK
    return harness


# --- the leader ------------------------------------------------------------------------


def test_a_verdict_of_a_host_is_the_runs_own_and_says_where_it_was():
    leader = Leader(HOURLY, job("b", cron="0 * * * *", deps=["a"]))
    leader.at("01:00")

    leader.judges("a", State.SUCCESS, result_json='{"rows": 7}', cpu_s=1.5, log_bytes=9)

    run = leader.run("a")
    assert (run.state, run.cause, run.result_json) == ("success", "on b", '{"rows":7}')
    assert (run.cpu_s, run.log_bytes) == (1.5, 9)
    assert leader.live() == ["b"]


def test_a_failure_on_a_host_is_retried_and_opens_an_incident_once():
    leader = Leader(replace(HOURLY, retries=1, retry_delay_s=30))
    leader.at("01:00")
    leader.judges("a", State.FAILED, Reason.EXIT, cause="exit status 3")
    assert leader.run("a").state == "retrying"
    leader.after(seconds=31)

    leader.judges("a", State.FAILED, Reason.EXIT, cause="exit status 3")

    assert leader.run("a").cause == "exit status 3 (on b)"
    assert [each.kind for each in leader.incidents("a")] == ["exit"]


def test_a_lost_attempt_goes_on_elsewhere_at_most_three_times():
    leader = Leader(replace(HOURLY, retry_delay_s=1))
    leader.at("01:00")
    for number in range(3):
        leader.loses_host("a")
        assert leader.run("a").state == "retrying"
        leader.after(seconds=2)
        assert leader.run("a").attempt == number + 2

    leader.loses_host("a")

    assert (leader.run("a").state, leader.run("a").reason) == ("interrupted", "lost")


def test_a_lost_attempt_that_may_run_once_is_over():
    leader = Leader(replace(HOURLY, if_lost=IfLost.NEVER, retries=5))
    leader.at("01:00")

    leader.loses_host("a")

    assert (leader.run("a").state, leader.run("a").attempt) == ("interrupted", 1)


def test_what_may_run_once_is_over_also_if_its_host_was_only_started_again():
    leader = Leader(replace(HOURLY, if_lost=IfLost.NEVER, retries=5))
    leader.at("01:00")

    leader.judges("a", State.INTERRUPTED, Reason.CRASH)

    assert (leader.run("a").state, leader.run("a").attempt) == ("interrupted", 1)


def test_an_attempt_that_waits_for_its_host_holds_its_group_until_a_user_acts():
    first = replace(HOURLY, if_lost=IfLost.WAIT, exclusive="nas", retry_delay_s=1)
    leader = Leader(first, job("b", cron="30 1 * * *", exclusive="nas"))
    leader.at("01:00")
    leader.send(ev.HostLost(leader.clocks(), leader.run("a").id, 1, "b"))
    leader.at("01:30")
    assert leader.run("a").state == "running"
    assert "holds the group nas" in leader.waits("b")

    leader.loses_host("a", is_final=True)

    assert leader.live() == ["b"]


def test_what_nobody_takes_stays_due_with_an_incident_that_a_success_closes():
    leader = Leader(HOURLY)
    leader.at("01:00")

    leader.takes_back("a", "waited 60s for a host with db to take it")

    assert (leader.run("a").state, leader.run("a").attempt) == ("running", 1)
    assert [each.kind for each in leader.incidents("a")] == ["no_host"]
    leader.judges("a", State.SUCCESS)
    assert leader.incidents("a") == []


def test_what_no_host_has_begun_yet_says_so():
    leader = Leader(replace(HOURLY, runs_on=("db", "ssd")))
    leader.at("01:00")
    assert leader.status().runs[0].cause == "waits for a host with db and ssd"

    leader.send(ev.Started(leader.clocks(), leader.run("a").id, 1, 99))

    assert leader.status().runs[0].cause == ""
    leader.is_replaced("01:00:20")
    assert (leader.status().runs[0].pid, leader.status().runs[0].cause) == (99, "")


def test_a_leader_gives_nothing_up_by_its_own_clock():
    leader = Leader(job("a", cron="0 1 * * *", timeout_s=60, kill_grace_s=1))
    leader.at("01:00")
    leader.asks(req.CancelJob("a"))

    leader.at("05:30")

    assert leader.run("a").state == "running"
    assert leader.forces("a") == ["term"]


def test_a_new_leader_goes_on_where_the_one_before_was():
    leader = Leader(
        replace(HOURLY, retries=1, retry_delay_s=600),
        job("long", cron="0 1 * * *", exclusive="nas"),
        job("waits", cron="0 1 * * *", exclusive="nas"),
    )
    leader.at("01:00")
    leader.judges("a", State.FAILED, Reason.EXIT)

    leader.is_replaced("01:00:20")

    assert leader.states("long") == ["running"]
    assert leader.states("waits") == ["pending"]
    assert leader.states("a") == ["retrying"]
    leader.judges("long", State.SUCCESS)
    assert leader.states("waits") == ["running"]
    leader.at("01:11")
    assert leader.run("a").attempt == 2


def test_a_slot_that_came_between_two_leaders_is_on_time():
    leader = Leader(MINUTELY)
    leader.at("00:01")
    leader.judges("a", State.SUCCESS)
    leader.at("00:01:50")

    leader.is_replaced("00:02:11")

    assert leader.slots("a") == ["05 00:01", "05 00:02"]
    assert leader.run("a").trigger is Trigger.SCHEDULE


def test_after_an_hour_without_a_leader_the_newest_slot_runs_and_covers_the_others():
    leader = Leader(MINUTELY)
    leader.at("00:01")
    leader.judges("a", State.SUCCESS)

    leader.is_replaced("01:01:30")

    assert leader.states("a").count("missed") == 59
    assert dict(zip(leader.slots("a"), leader.states("a"), strict=True))["05 01:01"] == "running"
    assert leader.live() == ["a"]
    missed = next(run for run in leader.runs("a") if run.state is State.MISSED)
    assert "no host led the cluster after 2026-01-05 00:01" in missed.cause


def test_a_change_of_the_leader_is_no_start():
    leader = Leader(job("a", run_on_startup=True))
    leader.judges("a", State.SUCCESS)

    leader.is_replaced("00:00:30")

    assert leader.states("a") == ["success"]


def test_a_run_whose_secret_only_the_old_leader_had_is_not_begun():
    leader = Leader(job("a", worker="w.f"), job("hog"), max_concurrent=1)
    leader.asks(req.RunJobs(("hog",)))
    leader.asks(req.RunJobs(("a",), set_json='{"token":"***"}'))

    leader.is_replaced("00:00:20")

    assert leader.states("a") == ["interrupted"]
    assert "only the leader before knew them" in leader.run("a").cause


def test_an_open_run_of_a_removed_job_is_cancelled_by_the_next_leader():
    leader = Leader(HOURLY, job("b"))
    leader.at("01:00")

    leader.is_replaced("01:00:20", job("b"))

    assert leader.states("a") == ["cancelled"]


@pytest.mark.parametrize("is_handed_out", [True, False], ids=["handed out", "only recorded"])
def test_a_run_that_was_cancelled_is_not_begun_again_by_the_next_leader(is_handed_out):
    leader = Leader(HOURLY)
    leader.at("01:00")
    assert leader.asks(req.CancelJob("a")).answer is ReplyStatus.OK

    leader.is_replaced("01:00:20", loses=not is_handed_out)

    if is_handed_out:
        assert effects.Signal(1, 1, effects.KillStep.TERM) in leader.actions
        leader.judges("a", State.INTERRUPTED, Reason.ALONE)
    assert leader.states("a") == ["cancelled"]
    assert leader.run("a").cause == "cancelled by uid 1000"


def test_two_attempts_that_a_new_text_has_put_into_one_group_end_one_after_the_other():
    other = job("b", cron="0 1 * * *", exclusive="nas")
    leader = Leader(HOURLY, other)
    leader.at("01:00")
    leader.is_replaced("01:00:20", replace(HOURLY, exclusive="nas"), other)

    leader.judges("a", State.SUCCESS)
    leader.judges("b", State.SUCCESS)

    assert leader.states("a") == leader.states("b") == ["success"]
    assert dict(leader.scheduler.groups) == {}


# --- a host ----------------------------------------------------------------------------


def test_an_assignment_is_a_run_that_is_asked_for_as_often_as_one_likes():
    harness = host()

    first = harness.asks(assignment(harness))
    again = harness.asks(assignment(harness))
    harness.ends("a", status=3)
    after = harness.asks(assignment(harness))

    assert first.runs == again.runs == after.runs == (1,)
    assert harness.states("a") == ["failed"]
    assert harness.incidents("a") == []
    assert harness.ledger.askings == []


def test_a_host_keeps_the_kind_of_incident_that_a_worker_gave_for_its_leader():
    harness = host(job("a", worker="backup.drill"))
    harness.asks(assignment(harness))
    harness.says("a", protocol.Failed("no copy", permanent=True, incident="drill"))

    harness.ends("a", status=1)

    assert (harness.run("a").incident, harness.incidents("a")) == ("drill", [])


def test_a_host_explains_a_run_that_its_cluster_assigned():
    harness = host()
    harness.asks(assignment(harness))
    harness.ends("a")

    said = explain.run(harness.run("a"), (), "", schedule.zone("UTC"))

    assert "was assigned to this host by its cluster" in said[0]


def test_an_assigned_dry_run_happens_once():
    harness = host()
    dry = replace(assignment(harness), dry_run=True)
    harness.asks(dry)
    harness.ends("a")

    assert harness.asks(dry).runs == (1,)
    assert harness.states("a") == ["success"]


def test_a_run_that_was_asked_for_here_does_not_hide_an_assignment():
    harness = host()
    harness.asks(assignment(harness))
    harness.ends("a")
    harness.asks(req.RunJobs(("a",)))
    harness.ends("a")

    assert harness.asks(assignment(harness)).runs == (1,)


def test_the_next_attempt_of_a_run_is_another_run_here():
    harness = host()
    harness.asks(assignment(harness))
    harness.ends("a", status=3)

    (number,) = harness.asks(assignment(harness, attempt=2)).runs

    assert number == 2
    assert AssignmentKey.parse(harness.run("a").batch) == AssignmentKey(41, 2, 102, "schedule")


@pytest.mark.parametrize("confirmed_s", [None, 0])
def test_a_host_without_a_confirmation_begins_nothing(confirmed_s):
    harness = Harness(job("a"))
    if confirmed_s is not None:
        harness.asks(req.ConfirmHost(confirmed_s, 2))
        harness.after(seconds=1)

    reply = harness.asks(assignment(harness))

    assert (reply.answer, reply.error) == (
        ReplyStatus.CONFLICT,
        "this host had no word from its cluster",
    )


@pytest.mark.parametrize(
    ("definition", "forces"),
    [
        (job("a"), ["term", "kill"]),
        (job("a", if_lost=IfLost.NEVER), []),
        (job("a", if_lost=IfLost.WAIT), []),
        (job("a", if_lost=IfLost.NEVER, exclusive="nas"), ["term", "kill"]),
    ],
)
def test_a_host_that_is_cut_off_ends_what_may_begin_elsewhere(definition, forces):
    harness = host(definition)
    harness.asks(assignment(harness))

    harness.after(seconds=61)
    harness.after(seconds=3)

    assert harness.forces("a") == forces


def test_a_host_that_was_frozen_beyond_its_fence_has_no_time_left_for_a_graceful_end():
    harness = host(job("a", kill_grace_s=10))
    harness.asks(req.ConfirmHost(30, 10))
    harness.asks(assignment(harness))

    harness.sleeps_until(f"{harness.wall + timedelta(seconds=55):%H:%M:%S}")
    harness.after(seconds=0.1)

    assert harness.forces("a") == ["term", "kill"]


def test_what_was_not_assigned_runs_on_without_the_cluster():
    harness = host(job("a"), job("own"))
    harness.asks(req.RunJobs(("own",)))

    harness.after(minutes=5)

    assert harness.live() == ["own"]
    assert harness.forces("own") == []


def test_a_confirmation_in_time_changes_nothing():
    harness = host()
    harness.asks(assignment(harness))
    for _ in range(10):
        harness.after(seconds=30)
        harness.asks(req.ConfirmHost(60, 2))

    assert harness.forces("a") == []


@pytest.mark.parametrize(
    "request_", [req.RunJobs(("a",)), req.RunAll(), req.PauseJob("a", None)], ids=str
)
def test_a_host_does_not_decide_what_the_cluster_decides(request_):
    harness = host(job("a"), job("own", runs_on=("each",)), cluster=Cluster("dsn", "prod"))

    reply = harness.asks(request_)

    assert reply.answer is ReplyStatus.UNAVAILABLE
    assert "a is a job of the cluster prod" in reply.error
    assert harness.asks(req.RunJobs(("own",))).answer is ReplyStatus.OK


def test_an_assigned_run_is_not_taken_up_again_by_its_host():
    harness = host()
    harness.asks(assignment(harness))
    harness.dies()

    harness.starts("00:05")

    assert harness.states("a") == ["interrupted"]


# --- one file, two views ---------------------------------------------------------------


def test_a_host_decides_only_about_its_own_jobs_and_the_leader_about_the_others():
    shared = job("a", cron="* * * * *", deps=["b"], retries=3, overlap=Overlap.REPLACE)
    each = job("b", cron="* * * * *", runs_on=("each",))
    config = Config(
        (shared, each), cluster=Cluster("dsn", max_concurrent=7, metrics="x:2"), metrics="x:1"
    )

    on_host, led = of_host(config), of_leader(config)

    assert [each.cron for each in on_host.jobs] == [(), ("* * * * *",)]
    assert on_host.jobs[0].retries == 0
    assert (led.jobs, led.max_concurrent, led.metrics) == ((shared,), 7, "x:2")
    assert on_host.metrics == "x:1"


def test_without_a_cluster_a_config_is_what_it_is():
    config = Config((HOURLY,))

    assert of_host(config) is config
