"""A clock set back by an hour or less: behaviour of cron(8), and the messages about it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core import control_requests
from supervisor.core.config_model import Severity
from tests.core.core_harness import Harness, instant, job

MINUTELY = job("a", cron="* * * * *")


def lives_until(text, *jobs):
    """Return a service whose runs end at once, run for the hour before an instant."""
    begin = instant(f"2026-01-05 {text}") - timedelta(hours=1)
    harness = Harness(*jobs, start=f"{begin:%Y-%m-%d %H:%M}")
    goes_on(harness, text)
    return harness


def goes_on(harness, text):
    until = instant(text) if len(text) > 8 else harness.when(text)
    while harness.wall < until:
        harness.after(minutes=1)
        for name in harness.live():
            harness.ends(name)


def due(harness, name, after=0):
    """Return `05:30` for each run of a job, from index `after` on."""
    return [f"{run.due:%H:%M}" for run in harness.runs(name)[after:]]


def test_what_is_interval_like_goes_on_at_once_by_the_new_time():
    jobs = [MINUTELY, job("b", cron="*/10 * * * *"), job("c", cron="20 * * * *")]
    harness = lives_until("06:00", *jobs)
    before = {each.name: len(harness.runs(each.name)) for each in jobs}

    harness.clock_is_set_to("2026-01-05 05:17:30")
    goes_on(harness, "05:31:30")

    assert due(harness, "a", before["a"])[:3] == ["05:18", "05:19", "05:20"]
    assert due(harness, "b", before["b"]) == ["05:20", "05:30"]
    assert due(harness, "c", before["c"]) == ["05:20"]


def test_fixed_times_are_not_repeated_and_go_on_with_the_next_one():
    harness = lives_until("06:00", job("a", cron="30,50 5,6 * * *"))

    harness.clock_is_set_to("2026-01-05 05:17")
    goes_on(harness, "06:40")

    assert due(harness, "a") == ["05:30", "05:50", "06:30"]


def test_of_a_job_with_both_only_the_fixed_times_are_done():
    harness = lives_until("06:00", job("a", cron=("*/20 * * * *", "30 5 * * *", "15 6 * * *")))
    before = len(harness.runs("a"))

    harness.clock_is_set_to("2026-01-05 05:17")
    coming = harness.next_at("a")
    goes_on(harness, "06:20")

    assert coming == instant("2026-01-05 05:20")
    assert due(harness, "a", before) == ["05:20", "05:40", "06:00", "06:15", "06:20"]


def test_a_fixed_time_that_an_absence_hides_is_not_repeated_either():
    harness = lives_until("06:00", job("a", cron=("*/20 * * * *", "30 5 * * *")))
    before = len(harness.runs("a"))
    harness.clock_is_set_to("2026-01-05 05:17")
    harness.dies()

    harness.starts("05:50")

    assert due(harness, "a", before) == ["05:40", "05:20"]


def test_a_warning_says_until_when_and_so_does_status():
    harness = lives_until("06:00", MINUTELY, job("b", cron="50 5 * * *"))

    harness.clock_is_set_to("2026-01-05 05:40")
    [incident] = harness.incidents()
    notes = harness.status().notes
    goes_on(harness, "06:00")

    assert (incident.kind, incident.severity) == ("clock", "warning")
    assert incident.cause.startswith(
        "the clock was put back by 20m: until 2026-01-05 06:00 UTC fixed times"
    )
    assert notes == (incident.cause,)
    assert harness.incidents() == []
    assert harness.status().notes == ()


def test_a_warning_is_no_alert_where_only_errors_are_wanted():
    harness = lives_until("06:00", MINUTELY)

    harness.clock_is_set_to("2026-01-05 05:40")

    assert [each.severity for each in harness.alerts] == [Severity.WARNING]


@pytest.mark.parametrize(
    ("set_to", "kinds"),
    [("05:59:10", []), ("05:59:00", ["clock"]), ("05:00:00", ["clock"])],
    ids=["less than a minute", "a minute", "an hour"],
)
def test_only_a_correction_of_less_than_a_minute_is_nothing_to_speak_of(set_to, kinds):
    harness = lives_until("06:00", MINUTELY)

    harness.clock_is_set_to(f"2026-01-05 {set_to}")

    assert [each.kind for each in harness.incidents()] == kinds


def test_a_small_correction_repeats_no_minute():
    harness = lives_until("06:00", MINUTELY)

    harness.clock_is_set_to("2026-01-05 05:59:50")
    goes_on(harness, "06:02:50")

    assert due(harness, "a")[-3:] == ["06:00", "06:01", "06:02"]


def test_small_steps_add_up():
    harness = lives_until("06:00", MINUTELY)

    harness.clock_is_set_to("2026-01-05 05:59:30")
    harness.clock_is_set_to("2026-01-05 05:58:50")

    assert [each.severity for each in harness.incidents()] == ["warning"]


def test_steps_that_add_up_to_more_than_an_hour_are_critical():
    harness = lives_until("07:30", job("a", cron="25 7 * * *"))
    for text in ("07:00", "06:30", "06:00"):
        harness.clock_is_set_to(f"2026-01-05 {text}")

    [incident] = harness.incidents()
    assert incident.severity == "critical"
    assert "2026-01-05 07:25 UTC" in incident.cause


def test_what_became_critical_is_reported_though_the_warning_was_open():
    harness = lives_until("06:00", MINUTELY)
    harness.clock_is_set_to("2026-01-05 05:40")

    harness.clock_is_set_to("2026-01-05 02:00")

    assert [each.severity for each in harness.incidents()] == ["critical"]
    assert harness.words()[-1] == "clock opened"


@pytest.mark.parametrize("back", [40, 90], ids=["40 minutes", "90 minutes"])
def test_a_clock_put_back_far_says_so_if_a_slot_is_silent_for_less_than_an_hour(back):
    harness = lives_until("06:30", job("a", cron="0 6 * * *"), job("b", cron="0 * * * *"))

    harness.clock_is_set_to(
        (instant("2026-01-05 06:30") - timedelta(minutes=back)).isoformat()[:19]
    )
    goes_on(harness, "06:10")

    assert [each.kind for each in harness.ledger.incidents.values()] == ["clock"]
    assert due(harness, "a") == ["06:00"]
    assert due(harness, "b")[-1] == "06:00"


def test_a_clock_put_back_while_no_service_lived_is_found_at_the_start():
    harness = lives_until("06:00", MINUTELY, job("b", cron="50 5 * * *"))
    harness.stops()
    harness.wall = instant("2026-01-05 05:40")

    harness.starts("05:40:30")
    goes_on(harness, "05:52:30")

    assert [each.severity for each in harness.incidents()] == ["warning"]
    assert due(harness, "a")[-1] == "05:52"
    assert due(harness, "b") == ["05:50"]


def test_a_restart_meanwhile_keeps_the_warning_and_ends_it_in_time():
    harness = lives_until("06:00", job("b", cron="50 5 * * *"))
    harness.clock_is_set_to("2026-01-05 05:40")
    harness.dies()

    harness.starts("05:45")
    kept = [each.severity for each in harness.incidents()]
    goes_on(harness, "06:01")

    assert kept == ["warning"]
    assert harness.incidents() == []
    assert len(harness.ledger.incidents) == 1


def test_a_job_that_becomes_interval_like_meanwhile_goes_on_from_then():
    harness = lives_until("06:00", job("a", cron="50 5 * * *"))
    harness.clock_is_set_to("2026-01-05 05:17")

    harness.reloads(job("a", cron="*/10 * * * *"))
    goes_on(harness, "05:31")

    assert due(harness, "a") == ["05:50", "05:20", "05:30"]


def test_resume_from_now_lets_fixed_times_come_again():
    harness = lives_until("06:00", job("a", cron=("*/20 * * * *", "30 5 * * *")))
    before = len(harness.runs("a"))
    harness.clock_is_set_to("2026-01-05 05:17")

    harness.asks(control_requests.ResumeJob("", from_now=True))
    notes = harness.status().notes
    goes_on(harness, "05:41")

    assert notes == ()
    assert due(harness, "a", before) == ["05:20", "05:30", "05:40"]


def test_a_clock_put_forward_and_back_again_repeats_no_fixed_time():
    harness = lives_until("05:00", MINUTELY, job("b", cron="30 5 * * *"))
    harness.clock_is_set_to("2026-01-05 05:45")
    for name in harness.live():
        harness.ends(name)

    harness.clock_is_set_to("2026-01-05 05:01")
    goes_on(harness, "05:50")

    assert due(harness, "b") == ["05:30"]
    assert due(harness, "a")[-1] == "05:50"


# --- invariants ---------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.integers(1, 70), st.integers(0, 59), st.sampled_from(["", "dies", "stops"])),
    min_size=1,
    max_size=4,
)


@given(steps=STEPS)
def test_no_fixed_time_runs_twice_and_nothing_interval_like_is_silent(steps):
    harness = lives_until("03:00", MINUTELY, job("b", cron=("7,41 * * * *", "13 3,4 * * *")))
    fixed = job("c", cron=("13 3,4,5 * * *", "40 2 * * *"))
    harness.reloads(MINUTELY, harness.scheduler.jobs["b"], fixed)
    highest = harness.wall
    for minutes, back, end in steps:
        for _ in range(minutes):
            harness.after(minutes=1)
            for name in harness.live():
                harness.ends(name)
            assert harness.run("a").due == harness.wall.replace(second=0)
        highest = max(highest, harness.wall)
        if end:
            getattr(harness, end)()
            harness.starts((harness.wall + timedelta(seconds=1)).isoformat()[:19])
        # The total setback stays within the hour that is not critical.
        room = timedelta(hours=1) - (highest - harness.wall)
        step = min(timedelta(minutes=back), room).total_seconds() // 60 * 60
        harness.clock_is_set_to((harness.wall - timedelta(seconds=step)).isoformat()[:19])

    done = [run.due for run in harness.runs("c")]
    assert len(done) == len(set(done))
    assert {each.severity for each in harness.ledger.incidents.values()} <= {"warning"}
