"""Overlap: a slot or request that arrives while a run of the job is open."""

import pytest

from supervisor.core import control_requests
from supervisor.core.config_model import CatchUp, Overlap
from tests.core.core_harness import Harness, job

SKIP, QUEUE, REPLACE = Overlap.SKIP, Overlap.QUEUE, Overlap.REPLACE

# origin | overlap | state of the open run | outcome of the open run | of the new one
TABLE = """
slot     skip     running   running    skipped
slot     skip     retrying  retrying   skipped
slot     skip     pending   pending    skipped
slot     queue    running   running    pending
slot     queue    pending   pending    skipped
slot     replace  running   term       pending
slot     replace  retrying  cancelled  running
slot     replace  pending   cancelled  pending
request  skip     running   running    conflict
request  skip     retrying  retrying   conflict
request  skip     pending   pending    conflict
request  queue    running   running    pending
request  queue    pending   pending    conflict
request  replace  running   term       pending
request  replace  retrying  cancelled  running
request  replace  pending   cancelled  pending
dry      skip     running   running    conflict
dry      queue    running   running    pending
dry      queue    pending   pending    conflict
dry      replace  running   running    pending
dry      replace  retrying  retrying   pending
dry      replace  pending   pending    conflict
"""
ROWS = [tuple(line.split()) for line in TABLE.strip().splitlines()]


def open_run(overlap, state, worker=""):
    """Return a service at 02:30 with an open run of the 02:00 slot in this state."""
    harness = Harness(
        job("a", cron="0 2,3 * * *", worker=worker or None, overlap=Overlap(overlap), retries=1,
            retry_delay_s=7200, retry_max_delay_s=7200, exclusive="data", kill_grace_s=7200),
        job("hog", cron="0 1 * * *", exclusive="data"),
    )  # fmt: skip
    harness.at("01:30")
    if state != "pending":
        harness.ends("hog")
    harness.at("02:30")
    if state == "retrying":
        harness.ends("a", status=1)
    assert harness.states("a") == [state]
    return harness


@pytest.mark.parametrize(
    ("comes", "overlap", "state", "old", "new"),
    ROWS,
    ids=[f"{comes} {overlap} {state}" for comes, overlap, state, _, _ in ROWS],
)
def test_overlap_decides_about_the_open_run_and_the_new_one(comes, overlap, state, old, new):
    # Only a worker can show a plan.
    harness = open_run(overlap, state, "mine:a" if comes == "dry" else "")

    if comes == "slot":
        harness.at("03:00")
        answer = "ok"
    else:
        answer = harness.asks(control_requests.RunJobs(("a",), dry_run=comes == "dry")).answer

    if new == "conflict":
        assert answer == "conflict"
        assert len(harness.runs("a")) == 1
    else:
        assert harness.run("a").state == new
    if old == "term":
        assert harness.forces("a") == ["term"]
    else:
        assert harness.runs("a")[0].state == old
    if old == "running":
        assert harness.forces("a") == []


@pytest.mark.parametrize(
    ("overlap", "states"),
    [
        (SKIP, ["retrying", "skipped"]),
        (QUEUE, ["retrying", "pending"]),
        (REPLACE, ["cancelled", "running"]),
    ],
)
@pytest.mark.parametrize(("comes", "start"), [("catch_up", "02:30"), ("startup", "01:30")])
def test_overlap_decides_at_the_start_about_the_row_that_goes_on(comes, start, overlap, states):
    harness = Harness(job("a", cron="0 * * * *"))
    harness.at("01:00")
    harness.dies()

    is_startup = comes == "startup"
    harness.starts(start, job("a", cron="0 * * * *", overlap=overlap, run_on_startup=is_startup))

    assert harness.states("a") == states
    assert harness.run("a").trigger == comes


@pytest.mark.parametrize("overlap", [SKIP, QUEUE, REPLACE])
@pytest.mark.parametrize("comes", ["slot", "request"])
def test_while_only_leftovers_live_the_new_run_is_pending_and_never_refused(overlap, comes):
    harness = open_run(overlap, "running")
    harness.exits("a")

    if comes == "slot":
        harness.at("03:00")
    else:
        harness.asks(control_requests.RunJobs(("a",)))
    before = harness.run("a").state
    harness.empties("a")

    assert before == "pending"
    assert harness.states("a") == ["success", "running"]


def test_a_skipped_slot_names_the_run_that_blocked_it():
    harness = open_run("skip", "running")

    harness.at("03:00")

    skipped = harness.run("a")
    assert skipped.reason == "overlap"
    assert skipped.cause == f"run {harness.runs('a')[0].id} is still running"
    assert skipped.blocked_by == harness.runs("a")[0].id


def test_a_refused_request_names_the_run_that_is_open():
    harness = open_run("skip", "running")

    reply = harness.asks(control_requests.RunJobs(("a",)))

    assert reply.error == f"a: run {harness.run('a').id} is still running"
    assert "nightshift cancel a" in reply.hint


def test_in_a_queue_one_waits_and_a_further_one_is_skipped():
    harness = Harness(job("a", cron="* * * * *", overlap=QUEUE))

    harness.at("00:03")

    assert harness.states("a") == ["running", "pending", "skipped"]
    assert harness.run("a").cause == f"run {harness.runs('a')[1].id} already waits"


def test_the_one_that_waits_begins_when_the_tree_before_it_is_empty():
    harness = Harness(job("a", cron="* * * * *", overlap=QUEUE))
    harness.at("00:02")

    harness.ends("a")

    assert harness.states("a") == ["success", "running"]


def test_a_queued_run_waits_for_the_one_that_is_retrying():
    harness = open_run("queue", "retrying")

    harness.at("03:00")

    assert harness.states("a") == ["retrying", "pending"]


def test_in_a_queue_no_more_than_two_runs_are_open_though_each_is_retrying():
    harness = Harness(job("a", cron="* * * * *", overlap=QUEUE, retries=1, retry_delay_s=3600))

    for _ in range(10):
        harness.after(minutes=1)
        for name in harness.live():
            harness.ends(name, status=1)

    assert len([state for state in harness.states("a") if state in ("retrying", "pending")]) <= 2


def test_a_replaced_run_gets_term_then_kill_and_the_new_one_waits_for_an_empty_tree():
    harness = Harness(job("a", cron="0,5 2 * * *", overlap=REPLACE, kill_grace_s=10))
    harness.at("02:05")

    harness.after(seconds=10)
    forces, state = harness.forces("a"), harness.run("a").state
    harness.ends("a", signal=9)

    assert forces == ["term", "kill"]
    assert state == "pending"
    assert harness.states("a") == ["cancelled", "running"]


def test_a_replaced_run_says_by_which_and_opens_no_incident():
    harness = Harness(job("a", cron="0,5 2 * * *", overlap=REPLACE))
    harness.at("02:05")

    harness.ends("a", signal=15)

    replaced, by = harness.runs("a")
    assert (replaced.reason, replaced.cause) == ("replaced", f"replaced by run {by.id}")
    assert harness.words("a") == []


def test_of_many_replacements_the_newest_runs():
    harness = Harness(job("a", cron="* * * * *", overlap=REPLACE, kill_grace_s=3600))
    harness.at("00:04")

    harness.ends("a", signal=15)

    assert harness.states("a") == ["cancelled", "cancelled", "cancelled", "running"]


def test_a_retry_that_is_open_at_the_next_slot_is_an_overlap():
    harness = Harness(job("a", cron="* * * * *", retries=1, retry_delay_s=90))
    harness.at("00:01")
    harness.ends("a", status=1)

    harness.at("00:02")

    assert harness.states("a") == ["retrying", "skipped"]


def test_a_startup_run_is_skipped_while_a_caught_up_one_is_open():
    harness = Harness(job("a", cron="0 * * * *", run_on_startup=True))
    harness.ends("a")
    harness.stops()

    harness.starts("01:30")

    caught_up, startup = harness.runs("a")[1:]
    assert (caught_up.trigger, caught_up.state) == ("catch_up", "running")
    assert (startup.trigger, startup.state) == ("startup", "skipped")
    assert startup.reason == "overlap"


def test_a_slot_that_comes_while_a_manual_run_is_open_is_skipped():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.asks(control_requests.RunJobs(("a",)))

    harness.at("02:00")

    assert harness.states("a") == ["running", "skipped"]


def test_a_slot_caught_up_while_a_resumed_row_is_open_is_an_overlap():
    harness = Harness(job("a", cron="0 * * * *"))
    harness.at("01:00")
    harness.dies()

    harness.starts("02:30")
    harness.at("02:31")

    assert harness.states("a") == ["running", "skipped"]
    assert harness.run("a").trigger == "catch_up"


def test_slots_before_one_that_is_an_overlap_are_covered_by_the_run_that_is_open():
    harness = Harness(job("a", cron="0 * * * *"))
    harness.at("01:00")
    harness.dies()

    harness.starts("04:30")

    covered = [run for run in harness.runs("a") if run.state == "missed"]
    assert len(covered) == 2
    assert all(run.cause.endswith("covered by run 1") for run in covered)


def test_two_attempts_of_one_job_never_live_together_over_a_retry():
    harness = Harness(job("a", cron="* * * * *", overlap=REPLACE, retries=3, retry_delay_s=5))
    harness.at("00:01")
    harness.exits("a", status=1)

    harness.after(seconds=8)

    assert harness.run("a").state == "pending"
    assert harness.waits("a") == "waits for the processes of run 1 to end"


def test_a_job_without_catch_up_overlaps_like_any_other():
    harness = Harness(job("a", cron="* * * * *", catch_up=CatchUp.NONE))

    harness.at("00:02")

    assert harness.states("a") == ["running", "skipped"]
