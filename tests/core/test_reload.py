"""Reload: a new file applies from the last tick on; an invalid one changes nothing."""

import pytest

from supervisor.core import config_diff
from supervisor.core import events as ev
from supervisor.core.config_diff import MOST_CHANGES
from supervisor.core.config_model import Problem
from supervisor.core.model import replace
from tests.core.core_harness import Harness, in_file, instant, job

A = job("a", cron="0 2 * * *")


def test_a_new_job_begins_now():
    harness = Harness(A)
    harness.at("12:30")

    harness.reloads(A, job("b", cron="0 * * * *"))
    harness.at("13:00")

    assert harness.slots("b") == ["05 13:00"]


def test_a_new_calendar_holds_from_the_last_tick_on():
    harness = Harness(A)
    harness.at("12:00:20")

    harness.reloads(job("a", cron="*/10 12 * * *"))
    harness.at("12:20")

    assert harness.slots("a") == ["05 02:00", "05 12:10", "05 12:20"]


def test_a_slot_between_the_last_tick_and_the_new_calendar_comes():
    harness = Harness(A)
    harness.at("12:00")

    harness.wall = instant("2026-01-05 12:01:00")  # that minute's tick is still to come
    harness.reloads(job("a", cron="1 12 * * *"))
    harness.at("12:01:05")
    harness.at("12:02")

    assert harness.slots("a") == ["05 02:00", "05 12:01"]


def test_slots_of_the_old_calendar_do_not_come():
    harness = Harness(job("a", cron="0 * * * *"))
    harness.at("00:30")

    harness.reloads(job("a", cron="30 5 * * *"))
    harness.at("05:30")

    assert harness.slots("a") == ["05 05:30"]


def test_slots_of_the_new_calendar_that_lie_in_the_past_were_not_missed():
    harness = Harness(A)
    harness.at("12:30")

    harness.reloads(job("a", cron="0 * * * *"))
    harness.at("12:59")

    assert harness.slots("a") == ["05 02:00"]


def test_a_new_zone_is_a_new_calendar():
    harness = Harness(A)

    harness.reloads(job("a", cron="0 2 * * *", timezone="Asia/Tokyo"))

    assert harness.next_at("a") == instant("2026-01-05 17:00")


def test_a_slot_that_was_seen_is_not_opened_again_by_a_new_calendar():
    harness = Harness(A)
    harness.at("02:00")
    harness.ends("a")

    harness.reloads(job("a", cron="0 3 * * *"))
    harness.reloads(A)
    harness.at("02:30")

    assert harness.slots("a") == ["05 02:00"]


def test_a_living_attempt_keeps_its_definition():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=3600))
    harness.at("02:00")

    harness.reloads(job("a", cron="0 2 * * *", timeout_s=60))
    harness.at("02:59:59")
    before = list(harness.forces("a"))
    harness.at("03:00")

    assert before == []
    assert harness.forces("a") == ["term"]


def test_a_living_attempt_of_a_removed_job_finishes():
    harness = Harness(A, job("b"))
    harness.at("02:00")

    harness.reloads(job("b"))
    harness.ends("a")

    assert harness.states("a") == ["success"]


def test_a_failed_attempt_of_a_removed_job_is_not_tried_again():
    harness = Harness(job("a", cron="0 2 * * *", retries=3), job("b"))
    harness.at("02:00")

    harness.reloads(job("b"))
    harness.ends("a", status=1)

    assert harness.states("a") == ["failed"]


@pytest.mark.parametrize("state", ["pending", "retrying"])
def test_what_waits_for_a_removed_job_is_cancelled(state):
    harness = Harness(job("a", cron="0 2 * * *", retries=1), job("hog", cron="0 1 * * *"))
    harness.at("01:00")
    harness.reloads(*harness.config.jobs, max_concurrent=1 if state == "pending" else 9)
    harness.at("02:00")
    if state == "retrying":
        harness.ends("a", status=1)

    harness.reloads(job("hog", cron="0 1 * * *"))

    assert harness.states("a") == ["cancelled"]
    assert (harness.run("a").reason, harness.run("a").cause) == (
        "removed",
        "removed from jobs.yaml",
    )


@pytest.mark.parametrize("state", ["pending", "retrying"])
def test_what_waits_for_a_disabled_job_is_cancelled(state):
    harness = Harness(job("a", cron="0 2 * * *", retries=1), job("hog", cron="0 1 * * *"))
    harness.at("01:00")
    harness.reloads(*harness.config.jobs, max_concurrent=1 if state == "pending" else 9)
    harness.at("02:00")
    if state == "retrying":
        harness.ends("a", status=1)

    harness.reloads(job("a", cron="0 2 * * *", enabled=False), job("hog", cron="0 1 * * *"))

    assert harness.states("a") == ["cancelled"]
    assert (harness.run("a").reason, harness.run("a").cause) == (
        "disabled",
        "disabled in jobs.yaml",
    )


def test_a_living_attempt_of_a_disabled_job_finishes():
    harness = Harness(A)
    harness.at("02:00")

    harness.reloads(job("a", cron="0 2 * * *", enabled=False))
    harness.ends("a")

    assert harness.states("a") == ["success"]


def test_a_failed_attempt_of_a_disabled_job_is_not_tried_again():
    harness = Harness(job("a", cron="0 2 * * *", retries=1))
    harness.at("02:00")

    harness.reloads(job("a", cron="0 2 * * *", retries=1, enabled=False))
    harness.ends("a", status=1)

    assert harness.states("a") == ["failed"]


def test_an_interrupted_attempt_of_a_disabled_job_is_not_begun_again():
    harness = Harness(A)
    harness.at("02:00")
    harness.reloads(job("a", cron="0 2 * * *", enabled=False))

    harness.loses("a")
    harness.at("04:00")

    assert harness.live() == []


def test_an_interrupted_attempt_of_a_removed_job_is_not_begun_again():
    harness = Harness(A, job("b"))
    harness.at("02:00")
    harness.reloads(job("b"))

    harness.loses("a")
    harness.at("04:00")

    assert harness.states("a") == ["interrupted"]
    assert harness.live() == []


def test_a_slot_of_a_disabled_job_is_skipped():
    harness = Harness(job("a", cron="0 2 * * *", enabled=False))

    harness.at("02:00")

    assert harness.states("a") == ["skipped"]
    assert (harness.run("a").reason, harness.run("a").cause) == ("disabled", "enabled: false")


def test_a_job_that_is_enabled_again_runs_at_its_next_slot():
    harness = Harness(job("a", cron="0 * * * *", enabled=False))
    harness.at("01:30")

    harness.reloads(job("a", cron="0 * * * *"))
    harness.at("02:00")

    assert harness.states("a") == ["skipped", "running"]


def test_a_job_that_comes_back_has_missed_nothing():
    harness = Harness(job("a", cron="0 * * * *"), job("b"))
    harness.reloads(job("b"))
    harness.at("05:30")

    harness.reloads(job("a", cron="0 * * * *"), job("b"))
    harness.at("06:00")

    assert harness.slots("a") == ["05 06:00"]


def test_a_removed_job_has_no_slots():
    harness = Harness(job("a", cron="0 * * * *"), job("b"))

    harness.reloads(job("b"))
    harness.at("05:00")

    assert harness.runs("a") == []
    assert [each.name for each in harness.status().jobs] == ["b"]


def test_a_rename_is_remove_and_add():
    harness = Harness(job("a", cron="0 * * * *"), job("hog", cron="59 0 * * *"), max_concurrent=1)
    harness.at("01:00")

    harness.reloads(job("new", cron="0 * * * *"), job("hog", cron="59 0 * * *"))
    harness.ends("hog")
    harness.at("02:00")

    assert harness.states("a") == ["cancelled"]
    assert harness.slots("new") == ["05 02:00"]


def test_a_job_that_loses_its_cron_keeps_to_requests():
    harness = Harness(A)

    harness.reloads(job("a"))
    harness.at("12:00")

    assert harness.runs("a") == []
    assert harness.next_at("a") is None


def test_dependencies_of_the_new_text_are_heeded_by_what_waits():
    harness = Harness(
        job("a"), job("b", cron="0 2 * * *"), job("hog", cron="0 1 * * *"), max_concurrent=1
    )
    harness.at("02:00")

    harness.reloads(job("a"), job("b", cron="0 2 * * *", deps=["a"]), job("hog", cron="0 1 * * *"))
    harness.ends("hog")

    assert harness.run("b").cause == "a has not run yet"


# --- a bad text --------------------------------------------------------------------------


def test_a_bad_text_changes_nothing_and_opens_an_incident():
    harness = Harness(A)

    harness.refuses('expected a duration such as "5m", got "5 parsecs"')
    harness.at("02:00")

    assert harness.live() == ["a"]
    assert harness.words() == ["reload opened"]
    assert harness.incidents()[0].cause == (
        'jobs.yaml was refused: jobs.yaml:14:5: jobs.a: expected a duration such as "5m", '
        'got "5 parsecs"'
    )


def test_a_text_that_cannot_be_read_is_named_without_a_key():
    harness = Harness(A)

    harness.send(ev.ReloadRefused(harness.clocks(), (Problem(1, 1, "", "no such file"),)))

    assert harness.incidents()[0].cause == "jobs.yaml was refused: jobs.yaml:1:1: no such file"
    assert harness.status().config.error == "no such file"


def test_a_bad_text_stands_in_status_until_it_is_fixed():
    harness = Harness(A)
    harness.refuses("no")
    said = harness.status().config.error

    harness.reloads(A)
    harness.after(minutes=15)

    assert said == "jobs.a: no"
    assert harness.status().config.error == ""
    assert harness.words() == ["reload opened", "reload recovered"]


def test_another_zone_moves_the_slots_and_is_said_for_a_day():
    harness = Harness(job("a", cron="0 12 * * *", timezone="UTC"))

    harness.reloads(job("a", cron="0 12 * * *", timezone="Asia/Tokyo"), timezone="Asia/Tokyo")
    notes = harness.status().notes
    harness.at("03:00")
    harness.after(hours=24)

    [note] = notes
    assert note.startswith("the time zone changed from UTC to Asia/Tokyo")
    assert note in harness.notes()
    assert harness.slots("a")[0] == "05 03:00"
    assert harness.status().notes == ()


def test_the_same_bad_text_is_reported_once():
    harness = Harness(A)

    for _ in range(10):
        harness.refuses("no")
        harness.after(minutes=1)

    assert harness.incidents()[0].count == 1


def test_a_text_with_many_mistakes_names_the_first_and_counts_the_others():
    harness = Harness(A)
    problems = tuple(Problem(line, 1, "jobs", "bad") for line in (3, 4, 5))

    harness.send(ev.ReloadRefused(harness.clocks(), problems))

    assert harness.incidents()[0].cause.endswith("jobs.yaml:3:1: jobs: bad (and 2 more)")


def test_a_start_with_a_good_text_closes_the_incident_of_the_bad_one():
    harness = Harness(A)
    harness.refuses("no")
    harness.stops()

    harness.starts("01:00")
    harness.at("01:15")

    assert harness.words() == ["reload opened", "reload recovered"]


def test_a_listener_that_moves_is_said_to_move_at_the_next_start():
    harness = Harness(job("a"))

    harness.reloads(job("a"), metrics="127.0.0.1:9187")
    harness.reloads(job("a", retries=1), metrics="127.0.0.1:9187")
    harness.reloads(job("a"), metrics=None)

    # Noted only when a setting differs from the running one; going back needs no restart.
    assert harness.notes().count("metrics of jobs.yaml takes effect at the next start") == 2


def test_a_file_that_could_not_be_read_here_is_not_called_refused():
    harness = Harness(job("a", cron="0 2 * * *"))

    harness.send(ev.ReloadRefused(harness.clocks(), (), "the state folder /s is read-only"))

    (problem,) = harness.incidents("")
    assert problem.cause == (
        "jobs.yaml could not be read again: the state folder /s is read-only; "
        "the text in force stays"
    )
    assert harness.scheduler.problems == ()


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
