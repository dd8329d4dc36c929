"""Ledger outage: nothing is launched without a record."""

from supervisor.core import control_requests, effects
from tests.channels import notify_slack
from tests.core.core_harness import Harness, instant, job
from tests.core.simulated_ledger import Ledger

A = job("a", cron="0 2 * * *")


def broken_at_two():
    """Return a service whose ledger breaks before the slot of 02:00."""
    harness = Harness(A, job("long", cron="0 1 * * *"))
    harness.at("01:00")
    harness.breaks_ledger("disk full")
    harness.at("02:00")
    return harness


def test_a_run_that_cannot_be_recorded_is_not_launched():
    harness = broken_at_two()

    assert harness.live() == ["long"]


def test_it_stays_pending_with_that_cause():
    harness = broken_at_two()

    shown = next(run for run in harness.status().runs if run.job == "a")
    assert shown.state == "pending"
    assert shown.cause == "waits for the ledger: disk full"
    assert shown.attempt == 0


def test_later_slots_wait_with_the_same_cause():
    harness = broken_at_two()
    harness.reloads(A, job("long", cron="0 1 * * *"), job("b", cron="0 3 * * *"))

    harness.at("03:00")

    shown = next(run for run in harness.status().runs if run.job == "b")
    assert shown.cause == "waits for the ledger: disk full"


def test_the_incident_is_opened_once_and_closed_with_the_recovery():
    harness = broken_at_two()
    harness.at("05:00")

    harness.fixes_ledger()
    harness.after(minutes=15)

    assert harness.words() == ["ledger opened", "ledger recovered"]


def test_status_says_what_is_wrong_until_it_is_not():
    harness = broken_at_two()
    said = harness.status().ledger_error

    harness.fixes_ledger()

    assert said == "disk full"
    assert harness.status().ledger_error == ""


def test_what_waited_begins_when_the_ledger_can_be_written_again():
    harness = broken_at_two()
    harness.at("02:30")

    harness.fixes_ledger()

    assert harness.live() == ["long", "a"]
    assert harness.run("a").attempt == 1
    assert harness.run("a").slot == instant("2026-01-05 02:00")


def test_a_run_that_was_not_launched_has_not_started():
    harness = broken_at_two()
    harness.at("02:30")

    harness.fixes_ledger()

    assert harness.run("a").started_at == instant("2026-01-05 02:30")


def test_the_end_of_a_living_run_is_held_back_and_written_first():
    harness = broken_at_two()

    harness.ends("long")
    held = harness.run("long").state
    harness.fixes_ledger()

    assert held == "running"
    assert harness.run("long").state == "success"


def test_a_request_is_refused_meanwhile():
    harness = broken_at_two()

    reply = harness.asks(control_requests.RunJobs(("a",)))

    assert reply.answer == "unavailable"
    assert reply.error == "the ledger cannot be written: disk full"


def test_a_place_that_was_not_used_is_free():
    harness = Harness(A, job("b", cron="1 2 * * *"), max_concurrent=1)
    harness.breaks_ledger()

    harness.at("02:01")

    assert harness.status().pool.running == 0
    assert harness.status().pool.pending == 2


def test_no_launch_is_asked_for_while_the_problem_is_known():
    harness = broken_at_two()
    before = len(harness.actions)

    harness.at("2026-01-06 03:00")

    later = harness.actions[before:]
    assert not any(isinstance(action, effects.Launch) for action in later)


def test_a_retry_waits_for_the_ledger_too():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.breaks_ledger()
    harness.ends("a", status=1)

    harness.at("02:10")
    before = harness.live()
    harness.fixes_ledger()

    assert before == []
    assert harness.live() == ["a"]
    assert harness.run("a").attempt == 2


def test_a_second_problem_is_a_new_incident():
    harness = broken_at_two()
    harness.fixes_ledger()

    harness.breaks_ledger("locked")
    harness.ends("a")

    assert harness.status().ledger_error == "locked"


# --- a damaged ledger ---------------------------------------------------------------------

DAMAGE = "the ledger was damaged (malformed): it is kept as /state/old, a new one begins"


def damaged_at_two():
    """Return a service whose ledger is found damaged at the slot of 02:00."""
    harness = broken_at_two()
    harness.ledger = Ledger()
    harness.fixes_ledger(damage=DAMAGE)
    return harness


def test_a_damaged_ledger_is_an_incident_that_names_where_it_lies():
    harness = Harness(A, damage=DAMAGE)

    (found,) = harness.incidents()
    assert (found.kind, found.severity, found.cause) == ("damage", "critical", DAMAGE)
    assert harness.words() == ["damage opened"]


def test_the_next_start_ends_it():
    harness = Harness(A, damage=DAMAGE)
    harness.stops()

    harness.starts("02:30")

    assert harness.incidents() == []
    assert harness.words() == ["damage opened", "damage recovered"]


def test_a_person_who_has_seen_it_ends_it():
    harness = Harness(A, damage=DAMAGE)

    harness.asks(control_requests.AckIncident(1, 3600.0, "looked at"))

    assert harness.incidents() == []
    assert harness.ledger.incidents[1].ack_reason == "looked at"


def test_a_success_or_another_problem_of_the_ledger_does_not_end_it():
    harness = Harness(A, damage=DAMAGE)

    harness.at("02:00")
    harness.ends("a")
    harness.breaks_ledger()
    harness.at("2026-01-06 02:00")
    harness.fixes_ledger()

    assert [each.kind for each in harness.incidents()] == ["damage"]


def test_damage_while_it_serves_is_reported_in_the_new_ledger():
    harness = damaged_at_two()

    assert [each.kind for each in harness.incidents()] == ["damage"]
    assert harness.live() == ["long", "a"]


def test_the_new_ledger_gets_what_lives_and_what_was_seen():
    harness = damaged_at_two()
    harness.dies()

    harness.starts("02:10")
    harness.at("02:12")

    assert harness.states("a") == ["running"]
    assert (harness.run("a").attempt, harness.run("a").interruptions) == (2, 1)
    assert harness.ledger.attempts[1, 1].started_at == instant("2026-01-05 01:00")
    assert harness.slots("long") == ["05 01:00"]


def test_the_new_ledger_gets_pauses_and_what_dependents_ask_for():
    harness = Harness(A, job("b", cron="0 3 * * *", deps=["a"]))
    harness.at("02:00")
    harness.ends("a")
    harness.asks(control_requests.PauseJob("", 3600.0))
    harness.breaks_ledger("malformed")
    harness.asks(control_requests.PauseJob("b", None))
    harness.ledger = Ledger()
    harness.fixes_ledger(damage=DAMAGE)
    harness.dies()

    harness.starts("02:30")

    assert harness.status().paused is not None
    assert harness.states("a") == ["success"]
    assert "a" in harness.scheduler.last_success


def test_the_new_ledger_gets_the_alerts_that_wait():
    harness = Harness(A, notify=notify_slack("http://127.0.0.1/slack"))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.breaks_ledger("malformed")
    harness.asks(control_requests.PauseJob("a", None))
    harness.ledger = Ledger()

    harness.fixes_ledger(damage=DAMAGE)

    assert "exit opened" in harness.words("a")
