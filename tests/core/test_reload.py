"""Reload: a new file applies from the last tick on; an invalid one changes nothing."""

import pytest

from supervisor.core import events as ev
from supervisor.core.model import Problem
from tests.core.core_harness import Night, instant, job

A = job("a", cron="0 2 * * *")


def test_a_new_job_begins_now():
    night = Night(A)
    night.at("12:30")

    night.reloads(A, job("b", cron="0 * * * *"))
    night.at("13:00")

    assert night.slots("b") == ["05 13:00"]


def test_a_new_calendar_holds_from_the_last_tick_on():
    night = Night(A)
    night.at("12:00:20")

    night.reloads(job("a", cron="*/10 12 * * *"))
    night.at("12:20")

    assert night.slots("a") == ["05 02:00", "05 12:10", "05 12:20"]


def test_a_slot_between_the_last_tick_and_the_new_calendar_comes():
    night = Night(A)
    night.at("12:00")

    night.wall = instant("2026-01-05 12:01:00")  # that minute's tick is still to come
    night.reloads(job("a", cron="1 12 * * *"))
    night.at("12:01:05")
    night.at("12:02")

    assert night.slots("a") == ["05 02:00", "05 12:01"]


def test_slots_of_the_old_calendar_do_not_come():
    night = Night(job("a", cron="0 * * * *"))
    night.at("00:30")

    night.reloads(job("a", cron="30 5 * * *"))
    night.at("05:30")

    assert night.slots("a") == ["05 05:30"]


def test_slots_of_the_new_calendar_that_lie_in_the_past_were_not_missed():
    night = Night(A)
    night.at("12:30")

    night.reloads(job("a", cron="0 * * * *"))
    night.at("12:59")

    assert night.slots("a") == ["05 02:00"]


def test_a_new_zone_is_a_new_calendar():
    night = Night(A)

    night.reloads(job("a", cron="0 2 * * *", timezone="Asia/Tokyo"))

    assert night.next_at("a") == instant("2026-01-05 17:00")


def test_a_slot_that_was_seen_is_not_opened_again_by_a_new_calendar():
    night = Night(A)
    night.at("02:00")
    night.ends("a")

    night.reloads(job("a", cron="0 3 * * *"))
    night.reloads(A)
    night.at("02:30")

    assert night.slots("a") == ["05 02:00"]


def test_a_living_attempt_keeps_its_definition():
    night = Night(job("a", cron="0 2 * * *", timeout_s=3600))
    night.at("02:00")

    night.reloads(job("a", cron="0 2 * * *", timeout_s=60))
    night.at("02:59:59")
    before = list(night.forces("a"))
    night.at("03:00")

    assert before == []
    assert night.forces("a") == ["term"]


def test_a_living_attempt_of_a_removed_job_finishes():
    night = Night(A, job("b"))
    night.at("02:00")

    night.reloads(job("b"))
    night.ends("a")

    assert night.states("a") == ["success"]


def test_a_failed_attempt_of_a_removed_job_is_not_tried_again():
    night = Night(job("a", cron="0 2 * * *", retries=3), job("b"))
    night.at("02:00")

    night.reloads(job("b"))
    night.ends("a", status=1)

    assert night.states("a") == ["failed"]


@pytest.mark.parametrize("state", ["pending", "retrying"])
def test_what_waits_for_a_removed_job_is_cancelled(state):
    night = Night(job("a", cron="0 2 * * *", retries=1), job("hog", cron="0 1 * * *"))
    night.at("01:00")
    night.reloads(*night.config.jobs, max_concurrent=1 if state == "pending" else 9)
    night.at("02:00")
    if state == "retrying":
        night.ends("a", status=1)

    night.reloads(job("hog", cron="0 1 * * *"))

    assert night.states("a") == ["cancelled"]
    assert (night.run("a").reason, night.run("a").cause) == ("removed", "removed from jobs.yaml")


@pytest.mark.parametrize("state", ["pending", "retrying"])
def test_what_waits_for_a_disabled_job_is_cancelled(state):
    night = Night(job("a", cron="0 2 * * *", retries=1), job("hog", cron="0 1 * * *"))
    night.at("01:00")
    night.reloads(*night.config.jobs, max_concurrent=1 if state == "pending" else 9)
    night.at("02:00")
    if state == "retrying":
        night.ends("a", status=1)

    night.reloads(job("a", cron="0 2 * * *", enabled=False), job("hog", cron="0 1 * * *"))

    assert night.states("a") == ["cancelled"]
    assert (night.run("a").reason, night.run("a").cause) == ("disabled", "disabled in jobs.yaml")


def test_a_living_attempt_of_a_disabled_job_finishes():
    night = Night(A)
    night.at("02:00")

    night.reloads(job("a", cron="0 2 * * *", enabled=False))
    night.ends("a")

    assert night.states("a") == ["success"]


def test_a_failed_attempt_of_a_disabled_job_is_not_tried_again():
    night = Night(job("a", cron="0 2 * * *", retries=1))
    night.at("02:00")

    night.reloads(job("a", cron="0 2 * * *", retries=1, enabled=False))
    night.ends("a", status=1)

    assert night.states("a") == ["failed"]


def test_an_interrupted_attempt_of_a_disabled_job_is_not_begun_again():
    night = Night(A)
    night.at("02:00")
    night.reloads(job("a", cron="0 2 * * *", enabled=False))

    night.loses("a")
    night.at("04:00")

    assert night.living() == []


def test_an_interrupted_attempt_of_a_removed_job_is_not_begun_again():
    night = Night(A, job("b"))
    night.at("02:00")
    night.reloads(job("b"))

    night.loses("a")
    night.at("04:00")

    assert night.states("a") == ["interrupted"]
    assert night.living() == []


def test_a_slot_of_a_disabled_job_is_skipped():
    night = Night(job("a", cron="0 2 * * *", enabled=False))

    night.at("02:00")

    assert night.states("a") == ["skipped"]
    assert (night.run("a").reason, night.run("a").cause) == ("disabled", "enabled: false")


def test_a_job_that_is_enabled_again_runs_at_its_next_slot():
    night = Night(job("a", cron="0 * * * *", enabled=False))
    night.at("01:30")

    night.reloads(job("a", cron="0 * * * *"))
    night.at("02:00")

    assert night.states("a") == ["skipped", "running"]


def test_a_job_that_comes_back_has_missed_nothing():
    night = Night(job("a", cron="0 * * * *"), job("b"))
    night.reloads(job("b"))
    night.at("05:30")

    night.reloads(job("a", cron="0 * * * *"), job("b"))
    night.at("06:00")

    assert night.slots("a") == ["05 06:00"]


def test_a_removed_job_has_no_slots():
    night = Night(job("a", cron="0 * * * *"), job("b"))

    night.reloads(job("b"))
    night.at("05:00")

    assert night.runs("a") == []
    assert [each.name for each in night.status().jobs] == ["b"]


def test_a_rename_is_remove_and_add():
    night = Night(job("a", cron="0 * * * *"), job("hog", cron="59 0 * * *"), max_concurrent=1)
    night.at("01:00")

    night.reloads(job("new", cron="0 * * * *"), job("hog", cron="59 0 * * *"))
    night.ends("hog")
    night.at("02:00")

    assert night.states("a") == ["cancelled"]
    assert night.slots("new") == ["05 02:00"]


def test_a_job_that_loses_its_cron_keeps_to_requests():
    night = Night(A)

    night.reloads(job("a"))
    night.at("12:00")

    assert night.runs("a") == []
    assert night.next_at("a") is None


def test_dependencies_of_the_new_text_are_heeded_by_what_waits():
    night = Night(
        job("a"), job("b", cron="0 2 * * *"), job("hog", cron="0 1 * * *"), max_concurrent=1
    )
    night.at("02:00")

    night.reloads(job("a"), job("b", cron="0 2 * * *", deps=["a"]), job("hog", cron="0 1 * * *"))
    night.ends("hog")

    assert night.run("b").cause == "a has not run yet"


# --- a bad text --------------------------------------------------------------------------


def test_a_bad_text_changes_nothing_and_opens_an_incident():
    night = Night(A)

    night.refuses('expected a duration such as "5m", got "5 parsecs"')
    night.at("02:00")

    assert night.living() == ["a"]
    assert night.words() == ["reload opened"]
    assert night.incidents()[0].cause == (
        'jobs.yaml was refused: jobs.yaml:14:5: jobs.a: expected a duration such as "5m", '
        'got "5 parsecs"'
    )


def test_a_text_that_cannot_be_read_is_named_without_a_key():
    night = Night(A)

    night.send(ev.ReloadRefused(night.clocks(), (Problem(1, 1, "", "no such file"),)))

    assert night.incidents()[0].cause == "jobs.yaml was refused: jobs.yaml:1:1: no such file"
    assert night.status().config.error == "no such file"


def test_a_bad_text_stands_in_status_until_it_is_mended():
    night = Night(A)
    night.refuses("no")
    said = night.status().config.error

    night.reloads(A)
    night.after(minutes=15)

    assert said == "jobs.a: no"
    assert night.status().config.error == ""
    assert night.words() == ["reload opened", "reload recovered"]


def test_another_zone_moves_the_slots_and_is_said_for_a_day():
    night = Night(job("a", cron="0 12 * * *", timezone="UTC"))

    night.reloads(job("a", cron="0 12 * * *", timezone="Asia/Tokyo"), timezone="Asia/Tokyo")
    notes = night.status().notes
    night.at("03:00")
    night.after(hours=24)

    [note] = notes
    assert note.startswith("the time zone changed from UTC to Asia/Tokyo")
    assert note in night.notes()
    assert night.slots("a")[0] == "05 03:00"
    assert night.status().notes == ()


def test_the_same_bad_text_is_told_of_once():
    night = Night(A)

    for _ in range(10):
        night.refuses("no")
        night.after(minutes=1)

    assert night.incidents()[0].count == 1


def test_a_text_with_many_mistakes_names_the_first_and_counts_the_others():
    night = Night(A)
    problems = tuple(Problem(line, 1, "jobs", "bad") for line in (3, 4, 5))

    night.send(ev.ReloadRefused(night.clocks(), problems))

    assert night.incidents()[0].cause.endswith("jobs.yaml:3:1: jobs: bad (and 2 more)")


def test_a_start_with_a_good_text_closes_the_incident_of_the_bad_one():
    night = Night(A)
    night.refuses("no")
    night.stops()

    night.starts("01:00")
    night.at("01:15")

    assert night.words() == ["reload opened", "reload recovered"]


def test_a_listener_that_moves_is_said_to_move_at_the_next_start():
    night = Night(job("a"))

    night.reloads(job("a"), metrics="127.0.0.1:9187")
    night.reloads(job("a", retries=1), metrics="127.0.0.1:9187")
    night.reloads(job("a"), metrics=None)

    # Noted only when a setting differs from the running one; going back needs no restart.
    assert night.notes().count("metrics of jobs.yaml takes effect at the next start") == 2


def test_a_file_that_could_not_be_read_here_is_not_called_refused():
    night = Night(job("a", cron="0 2 * * *"))

    night.send(ev.ReloadRefused(night.clocks(), (), "the state folder /s is read-only"))

    (trouble,) = night.incidents("")
    assert trouble.cause == (
        "jobs.yaml could not be read again: the state folder /s is read-only; "
        "the text in force stays"
    )
    assert night.world.problems == ()
