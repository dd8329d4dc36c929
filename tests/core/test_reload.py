"""Reload: a new text of jobs.yaml applies from the last tick on."""

from tests.core.core_harness import Harness, instant, job

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


def test_a_listener_that_moves_is_said_to_move_at_the_next_start():
    harness = Harness(job("a"))

    harness.reloads(job("a"), metrics="127.0.0.1:9187")
    harness.reloads(job("a", retries=1), metrics="127.0.0.1:9187")
    harness.reloads(job("a"), metrics=None)

    # Noted only when a setting differs from the running one; going back needs no restart.
    assert harness.notes().count("metrics of jobs.yaml takes effect at the next start") == 2
