"""A clock set back by an hour or less: behaviour of cron(8), and the notes about it."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core import control_requests
from supervisor.core.model import Severity
from tests.core.core_harness import Night, instant, job

MINUTELY = job("a", cron="* * * * *")


def lives_until(text, *jobs):
    """Return a service whose runs end at once, run until an instant."""
    night = Night(*jobs)
    goes_on(night, text)
    return night


def goes_on(night, text):
    until = instant(text) if len(text) > 8 else night.when(text)
    while night.wall < until:
        night.after(minutes=1)
        for name in night.living():
            night.ends(name)


def due(night, name, after=0):
    """Return `05:30` for each run of a job, from index `after` on."""
    return [f"{run.due:%H:%M}" for run in night.runs(name)[after:]]


def test_what_is_interval_like_goes_on_at_once_by_the_new_time():
    jobs = [MINUTELY, job("b", cron="*/10 * * * *"), job("c", cron="20 * * * *")]
    night = lives_until("06:00", *jobs)
    before = {each.name: len(night.runs(each.name)) for each in jobs}

    night.clock_is_set_to("2026-01-05 05:17:30")
    goes_on(night, "05:31:30")

    assert due(night, "a", before["a"])[:3] == ["05:18", "05:19", "05:20"]
    assert due(night, "b", before["b"]) == ["05:20", "05:30"]
    assert due(night, "c", before["c"]) == ["05:20"]


def test_fixed_times_are_not_repeated_and_go_on_with_the_next_one():
    night = lives_until("06:00", job("a", cron="30,50 5,6 * * *"))

    night.clock_is_set_to("2026-01-05 05:17")
    goes_on(night, "06:40")

    assert due(night, "a") == ["05:30", "05:50", "06:30"]


def test_of_a_job_with_both_only_the_fixed_times_are_done():
    night = lives_until("06:00", job("a", cron=("*/20 * * * *", "30 5 * * *", "15 6 * * *")))
    before = len(night.runs("a"))

    night.clock_is_set_to("2026-01-05 05:17")
    coming = night.next_at("a")
    goes_on(night, "06:20")

    assert coming == instant("2026-01-05 05:20")
    assert due(night, "a", before) == ["05:20", "05:40", "06:00", "06:15", "06:20"]


def test_a_fixed_time_that_an_absence_hides_is_not_repeated_either():
    night = lives_until("06:00", job("a", cron=("*/20 * * * *", "30 5 * * *")))
    before = len(night.runs("a"))
    night.clock_is_set_to("2026-01-05 05:17")
    night.dies()

    night.starts("05:50")

    assert due(night, "a", before) == ["05:40", "05:20"]


def test_a_warning_says_until_when_and_so_does_status():
    night = lives_until("06:00", MINUTELY, job("b", cron="50 5 * * *"))

    night.clock_is_set_to("2026-01-05 05:40")
    [incident] = night.incidents()
    notes = night.status().notes
    goes_on(night, "06:00")

    assert (incident.kind, incident.severity) == ("clock", "warning")
    assert incident.cause.startswith(
        "the clock was put back by 20m: until 2026-01-05 06:00 UTC fixed times"
    )
    assert notes == (incident.cause,)
    assert night.incidents() == []
    assert night.status().notes == ()


def test_a_warning_is_no_alert_where_only_errors_are_wanted():
    night = lives_until("06:00", MINUTELY)

    night.clock_is_set_to("2026-01-05 05:40")

    assert [each.severity for each in night.ledger.alerts] == [Severity.WARNING]


@pytest.mark.parametrize(
    ("set_to", "kinds"),
    [("05:59:10", []), ("05:59:00", ["clock"]), ("05:00:00", ["clock"])],
    ids=["less than a minute", "a minute", "an hour"],
)
def test_only_a_correction_of_less_than_a_minute_is_nothing_to_speak_of(set_to, kinds):
    night = lives_until("06:00", MINUTELY)

    night.clock_is_set_to(f"2026-01-05 {set_to}")

    assert [each.kind for each in night.incidents()] == kinds


def test_a_small_correction_repeats_no_minute():
    night = lives_until("06:00", MINUTELY)

    night.clock_is_set_to("2026-01-05 05:59:50")
    goes_on(night, "06:02:50")

    assert due(night, "a")[-3:] == ["06:00", "06:01", "06:02"]


def test_small_steps_add_up():
    night = lives_until("06:00", MINUTELY)

    night.clock_is_set_to("2026-01-05 05:59:30")
    night.clock_is_set_to("2026-01-05 05:58:50")

    assert [each.severity for each in night.incidents()] == ["warning"]


def test_steps_that_add_up_to_more_than_an_hour_are_critical():
    night = lives_until("07:30", job("a", cron="25 7 * * *"))
    for text in ("07:00", "06:30", "06:00"):
        night.clock_is_set_to(f"2026-01-05 {text}")

    [incident] = night.incidents()
    assert incident.severity == "critical"
    assert "2026-01-05 07:25 UTC" in incident.cause


def test_what_became_critical_is_told_though_the_warning_was_open():
    night = lives_until("06:00", MINUTELY)
    night.clock_is_set_to("2026-01-05 05:40")

    night.clock_is_set_to("2026-01-05 02:00")

    assert [each.severity for each in night.incidents()] == ["critical"]
    assert night.words()[-1] == "clock opened"


@pytest.mark.parametrize("back", [40, 90], ids=["40 minutes", "90 minutes"])
def test_a_clock_put_back_far_says_so_if_a_slot_is_silent_for_less_than_an_hour(back):
    night = lives_until("06:30", job("a", cron="0 6 * * *"), job("b", cron="0 * * * *"))

    night.clock_is_set_to((instant("2026-01-05 06:30") - timedelta(minutes=back)).isoformat()[:19])
    goes_on(night, "06:10")

    assert [each.kind for each in night.ledger.incidents.values()] == ["clock"]
    assert due(night, "a") == ["06:00"]
    assert due(night, "b")[-1] == "06:00"


def test_a_clock_put_back_while_no_service_lived_is_found_at_the_start():
    night = lives_until("06:00", MINUTELY, job("b", cron="50 5 * * *"))
    night.stops()
    night.wall = instant("2026-01-05 05:40")

    night.starts("05:40:30")
    goes_on(night, "05:52:30")

    assert [each.severity for each in night.incidents()] == ["warning"]
    assert due(night, "a")[-1] == "05:52"
    assert due(night, "b") == ["05:50"]


def test_a_restart_meanwhile_keeps_the_warning_and_ends_it_in_time():
    night = lives_until("06:00", job("b", cron="50 5 * * *"))
    night.clock_is_set_to("2026-01-05 05:40")
    night.dies()

    night.starts("05:45")
    kept = [each.severity for each in night.incidents()]
    goes_on(night, "06:01")

    assert kept == ["warning"]
    assert night.incidents() == []
    assert len(night.ledger.incidents) == 1


def test_a_job_that_becomes_interval_like_meanwhile_goes_on_from_then():
    night = lives_until("06:00", job("a", cron="50 5 * * *"))
    night.clock_is_set_to("2026-01-05 05:17")

    night.reloads(job("a", cron="*/10 * * * *"))
    goes_on(night, "05:31")

    assert due(night, "a") == ["05:50", "05:20", "05:30"]


def test_resume_from_now_lets_fixed_times_come_again():
    night = lives_until("06:00", job("a", cron=("*/20 * * * *", "30 5 * * *")))
    before = len(night.runs("a"))
    night.clock_is_set_to("2026-01-05 05:17")

    night.asks(control_requests.ResumeJob("", from_now=True))
    notes = night.status().notes
    goes_on(night, "05:41")

    assert notes == ()
    assert due(night, "a", before) == ["05:20", "05:30", "05:40"]


def test_a_clock_put_forward_and_back_again_repeats_no_fixed_time():
    night = lives_until("05:00", MINUTELY, job("b", cron="30 5 * * *"))
    night.clock_is_set_to("2026-01-05 05:45")
    for name in night.living():
        night.ends(name)

    night.clock_is_set_to("2026-01-05 05:01")
    goes_on(night, "05:50")

    assert due(night, "b") == ["05:30"]
    assert due(night, "a")[-1] == "05:50"


# --- invariants ---------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.integers(1, 90), st.integers(0, 59), st.sampled_from(["", "dies", "stops"])),
    min_size=1,
    max_size=6,
)


@given(steps=STEPS)
@settings(deadline=None, max_examples=60)
def test_no_fixed_time_runs_twice_and_nothing_interval_like_is_silent(steps):
    night = lives_until("03:00", MINUTELY, job("b", cron=("7,41 * * * *", "13 3,4 * * *")))
    fixed = job("c", cron=("13 3,4,5 * * *", "40 2 * * *"))
    night.reloads(MINUTELY, night.world.jobs["b"], fixed)
    highest = night.wall
    for minutes, back, end in steps:
        for _ in range(minutes):
            night.after(minutes=1)
            for name in night.living():
                night.ends(name)
            assert night.run("a").due == night.wall.replace(second=0)
        highest = max(highest, night.wall)
        if end:
            getattr(night, end)()
            night.starts((night.wall + timedelta(seconds=1)).isoformat()[:19])
        # The total setback stays within the hour that is not critical.
        room = timedelta(hours=1) - (highest - night.wall)
        step = min(timedelta(minutes=back), room).total_seconds() // 60 * 60
        night.clock_is_set_to((night.wall - timedelta(seconds=step)).isoformat()[:19])

    done = [run.due for run in night.runs("c")]
    assert len(done) == len(set(done))
    assert {each.severity for each in night.ledger.incidents.values()} <= {"warning"}
