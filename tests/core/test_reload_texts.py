"""The texts of jobs.yaml in the ledger: each with its outcome and what it changed, once."""

import pytest

from supervisor.core import config_diff
from supervisor.core import events as ev
from supervisor.core.config_diff import MOST_CHANGES
from supervisor.core.config_model import Problem
from supervisor.core.model import replace
from tests.core.core_harness import Harness, in_file, job

A = job("a", cron="0 2 * * *")


def outcomes(harness):
    return [(text.sha256, text.accepted) for text in harness.ledger.texts]


def takes(harness, sha256):
    harness.send(ev.Reloaded(harness.clocks(), harness.config, sha256))


def refuses(harness, sha256, *messages):
    problems = tuple(Problem(1, 2, "jobs", message) for message in messages)
    harness.send(ev.ReloadRefused(harness.clocks(), problems, sha256=sha256))


def test_each_text_is_recorded_with_its_outcome():
    harness = Harness(A)

    takes(harness, "first")
    refuses(harness, "second", "bad", "worse")
    takes(harness, "first")

    assert outcomes(harness) == [("first", True), ("second", False), ("first", True)]
    assert [text.said for text in harness.ledger.texts] == [
        "1 job",
        "jobs.yaml:1:2: jobs: bad (and 1 more)",
        "1 job",
    ]


def test_a_text_that_is_read_again_is_recorded_once():
    harness = Harness(A)
    takes(harness, "first")
    takes(harness, "first")

    for _ in range(5):
        refuses(harness, "second", "bad")
        harness.after(minutes=1)

    assert outcomes(harness) == [("first", True), ("second", False)]


def test_another_reason_for_the_same_text_is_another_outcome():
    harness = Harness(A)

    refuses(harness, "first", "no module")
    refuses(harness, "first", "no function")

    assert outcomes(harness) == [("first", False), ("first", False)]


def test_a_fault_of_the_system_is_no_outcome_of_a_text():
    harness = Harness(A)

    harness.send(ev.ReloadRefused(harness.clocks(), (), "the process that read it was killed"))

    assert harness.ledger.texts == []


@pytest.mark.parametrize("end", ["stops", "dies"])
def test_a_restart_knows_which_text_was_the_newest(end):
    harness = Harness(A)
    takes(harness, "first")
    getattr(harness, end)()
    harness.starts("00:10")

    takes(harness, "first")
    refuses(harness, "second", "bad")

    assert outcomes(harness) == [("first", True), ("second", False)]


@pytest.mark.parametrize("problems", [(), (Problem(1, 2, "jobs", "bad"),)])
def test_a_start_records_the_text_that_it_found(problems):
    harness = Harness(A)

    for _ in range(2):
        event = ev.Restored(harness.clocks(), harness.config, ev.Memory(), sha256="first")
        actions = harness.send(replace(event, problems=problems, memory=harness.ledger.memory()))

    assert outcomes(harness) == [("first", not problems)]
    assert actions


def test_a_new_ledger_begins_with_the_newest_text():
    harness = Harness(A)
    takes(harness, "first")
    harness.breaks_ledger()
    harness.after(minutes=1)
    harness.ledger.texts.clear()

    harness.fixes_ledger(damage="it was damaged")

    assert outcomes(harness) == [("first", True)]


def reads(harness, *jobs, sha256="text", **settings):
    config = replace(harness.config, jobs=in_file(jobs), **settings)
    harness.config = config
    harness.send(ev.Reloaded(harness.clocks(), config, sha256))


def test_what_a_text_changes_is_in_its_row():
    harness = Harness(A)

    reads(harness, job("a", cron="0 3 * * *"), job("b"))

    [entry] = harness.ledger.texts
    assert config_diff.change_words(entry) == "added b; changed a (cron)"


def test_many_changes_are_counted():
    harness = Harness(A)
    names = [job(f"job-{n:03}") for n in range(MOST_CHANGES + 7)]

    reads(harness, A, *names)

    [entry] = harness.ledger.texts
    assert (len(entry.changes), entry.changes_left_out) == (MOST_CHANGES, 7)


def test_the_same_text_is_recorded_again_only_if_it_changes_jobs():
    harness = Harness(A)
    reads(harness, A)
    reads(harness, A)
    once = len(harness.ledger.texts)
    reads(harness, job("a", cron="0 2 * * *", env=(("X", "1"),)))
    reads(harness, job("a", cron="0 2 * * *", env=(("X", "1"),)))

    assert once == 1
    assert [config_diff.change_words(each) for each in harness.ledger.texts] == [
        "",
        "changed a (env)",
    ]


def test_what_waits_for_the_next_start_is_recorded_once():
    harness = Harness(A)
    for _ in range(3):
        reads(harness, A, metrics="127.0.0.1:9187")

    assert [config_diff.change_words(each) for each in harness.ledger.texts] == [
        "changed metrics of the file"
    ]
