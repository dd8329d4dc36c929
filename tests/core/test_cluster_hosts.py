"""Runs requested on one host, and a leader's knowledge of its hosts."""

import pytest

from supervisor.core import control_requests as req
from supervisor.core import explain, schedule
from supervisor.core.build_views import why_waiting_of
from supervisor.core.cluster_hosts import ClusterHost, in_words, labels_for
from supervisor.core.config_model import Cluster
from supervisor.core.control_requests import ReplyStatus
from supervisor.core.effects import Launch
from supervisor.core.model import Reason, State, replace
from supervisor.core.views import HostView
from tests.core.cluster_events import Leader
from tests.core.core_harness import Harness, job

A = ClusterHost("a", ("host:a",), 4)
B = ClusterHost("b", ("db", "host:b"), 2)
BETA = ClusterHost("beta", ("host:beta",), 3)
UTC = schedule.zone("UTC")


def leader(*jobs, sees=(A, B), **settings):
    """Return a leader that has seen its hosts."""
    settings.setdefault("cluster", Cluster("dsn", host="a"))
    made = Leader(*(jobs or (job("a", retries=1, retry_delay_s=1),)), **settings)
    made.sees(*sees)
    return made


def explained(made, name):
    run = made.scheduler.runs[made.run(name).id]
    return " ".join(explain.run(run, (), why_waiting_of(made.scheduler, run), UTC))


def test_each_attempt_of_a_run_stays_on_the_host_that_was_asked_for():
    made = leader()
    made.asks(req.RunJobs(("a",), on_host="b"))
    made.judges("a", State.FAILED, Reason.EXIT)
    made.after(seconds=2)
    made.loses_host("a")
    made.after(seconds=2)

    launched = [each.run for each in made.actions if isinstance(each, Launch)]

    assert [(run.attempt, run.on_host) for run in launched] == [(1, "b"), (2, "b"), (3, "b")]


def test_the_status_shows_each_host():
    made = leader(sees=(A, replace(B, is_alive=False, has_text=False)))
    made.sees(replace(A, seen_mono=made.mono - 3.0, runs=(7,)), made.scheduler.hosts[1])

    assert made.status().hosts == (
        HostView("a", "alive", True, True, ("host:a",), (7,), 4, 3.0),
        HostView("b", "lost", False, False, ("db", "host:b"), (), 2, None),
    )


def test_a_host_without_a_heartbeat_for_a_while_is_shown_as_silent():
    made = leader()
    made.sees(replace(A, seen_mono=made.mono - 16.0))

    assert [each.state for each in made.status().hosts] == ["silent"]


def test_a_single_host_shows_no_hosts():
    assert Harness(job("a")).status().hosts == ()


def test_a_dependency_of_it_runs_anywhere():
    made = leader(job("a"), job("b", deps=["a"]))

    made.asks(req.RunJobs(("b",), with_deps=True, on_host="b"))

    assert [made.run(name).on_host for name in "ab"] == ["", "b"]


@pytest.mark.parametrize(
    ("on_host", "answer", "error", "hint"),
    [
        ("bta", "unknown", 'no host is called "bta"; hosts: a, b, beta', 'did you mean "beta"?'),
        ("zzz", "unknown", "hosts: a, b, beta", "nightshift cluster status shows them"),
        ("a", "conflict", "a has no label db: d has runs_on db", "hosts that have: b"),
    ],
)
def test_a_host_that_cannot_run_it_is_refused(on_host, answer, error, hint):
    made = leader(job("d", runs_on=("db",)), sees=(A, B, BETA))

    reply = made.asks(req.RunJobs(("d",), on_host=on_host))

    assert (reply.answer, reply.hint) == (answer, hint)
    assert error in reply.error
    assert made.runs("d") == []


def test_a_host_that_is_away_is_waited_for():
    made = leader(sees=(A, replace(B, is_alive=False)))

    assert made.asks(req.RunJobs(("a",), on_host="b")).answer is ReplyStatus.OK

    assert made.waits("a") == "waits for host b, which was asked for and is away"


def test_what_it_waits_for_is_said_until_the_host_begins_it():
    made = leader()
    made.asks(req.RunJobs(("a",), on_host="b"))
    assert "to run on host b. It waits for host b, which was asked for." in explained(made, "a")

    made.sees(A)

    assert made.waits("a").endswith("; no host b is known; hosts: a")


def test_who_asked_for_it_is_recorded_with_the_host():
    made = leader()

    made.asks(req.RunJobs(("a",), on_host="b"))

    assert [(each.verb, each.what) for each in made.ledger.askings] == [("run", "a on b")]


def test_a_leader_that_has_not_looked_yet_says_so():
    reply = leader(sees=()).asks(req.RunJobs(("a",), on_host="b"))

    assert (reply.answer, "has not seen the hosts yet" in reply.error) == ("unavailable", True)


def test_without_a_cluster_there_is_no_other_host():
    reply = Harness(job("a")).asks(req.RunJobs(("a",), on_host="b"))

    assert (reply.answer, reply.error) == ("bad", "jobs.yaml has no cluster")
    assert "leave out --on" in reply.hint


def test_a_job_of_each_host_is_asked_for_on_that_host():
    own = job("own", runs_on=("each",))
    host = Harness(own, cluster=Cluster("dsn", host="a"))

    refused = host.asks(req.RunJobs(("own",), on_host="b"))

    assert (refused.answer, "this one is a, not b" in refused.error) == ("conflict", True)
    assert host.asks(req.RunJobs(("own",), on_host="a")).answer is ReplyStatus.OK
    led = leader(job("a"), on_each=("own",)).asks(req.RunJobs(("own",), on_host="b"))
    assert (led.answer, "own is a job of each host" in led.error) == ("conflict", True)


def test_the_pool_of_a_cluster_is_what_its_living_hosts_have():
    made = leader(sees=(A, B, replace(BETA, is_alive=False)), max_concurrent=100_000)
    assert made.status().pool.max == 6

    limited = leader(max_concurrent=5)

    assert limited.status().pool.max == 5


def test_the_kind_of_incident_that_a_worker_gave_is_that_of_the_run():
    made = leader(job("a", worker="backup.drill"))
    made.asks(req.RunJobs(("a",)))

    made.judges("a", State.FAILED, Reason.PERMANENT, cause="no copy", incident="drill")

    assert [each.kind for each in made.incidents("a")] == ["drill"]
    assert made.run("a").incident == "drill"


def test_a_kind_that_no_worker_may_give_is_not_taken_from_a_host():
    made = leader()
    made.asks(req.RunJobs(("a",)))
    for _ in range(2):
        made.judges("a", State.FAILED, Reason.EXIT, incident="ledger")
        made.after(seconds=2)

    assert [each.kind for each in made.incidents("a")] == ["exit"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ((), "a host"),
        (("db", "ssd"), "a host with db and ssd"),
        (("host:b",), "host b"),
        (("db", "host:b"), "host b with db"),
    ],
)
def test_labels_in_words(labels, words):
    assert in_words(labels) == words


def test_a_run_on_a_host_needs_its_label_and_those_of_the_job():
    assert labels_for(job("a", runs_on=("ssd", "db")), "b") == ("db", "host:b", "ssd")
    assert labels_for(None, "") == ()
