"""Ledger outage: nothing is launched without a record."""

from supervisor.core import control_requests, effects
from supervisor.core.model import Notify
from tests.core.core_harness import Ledger, Night, instant, job

A = job("a", cron="0 2 * * *")


def broken_at_two():
    """Return a Night whose ledger breaks before the slot of 02:00."""
    night = Night(A, job("long", cron="0 1 * * *"))
    night.at("01:00")
    night.breaks_ledger("disk full")
    night.at("02:00")
    return night


def test_a_run_that_cannot_be_recorded_is_not_launched():
    night = broken_at_two()

    assert night.living() == ["long"]


def test_it_stays_pending_with_that_cause():
    night = broken_at_two()

    shown = next(run for run in night.status().runs if run.job == "a")
    assert shown.state == "pending"
    assert shown.cause == "waits for the ledger: disk full"
    assert shown.attempt == 0


def test_later_slots_wait_with_the_same_cause():
    night = broken_at_two()
    night.reloads(A, job("long", cron="0 1 * * *"), job("b", cron="0 3 * * *"))

    night.at("03:00")

    shown = next(run for run in night.status().runs if run.job == "b")
    assert shown.cause == "waits for the ledger: disk full"


def test_the_incident_is_opened_once_and_closed_with_the_recovery():
    night = broken_at_two()
    night.at("05:00")

    night.mends_ledger()
    night.after(minutes=15)

    assert night.words() == ["ledger opened", "ledger recovered"]


def test_status_says_what_is_wrong_until_it_is_not():
    night = broken_at_two()
    said = night.status().ledger_error

    night.mends_ledger()

    assert said == "disk full"
    assert night.status().ledger_error == ""


def test_what_waited_begins_when_the_ledger_can_be_written_again():
    night = broken_at_two()
    night.at("02:30")

    night.mends_ledger()

    assert night.living() == ["long", "a"]
    assert night.run("a").attempt == 1
    assert night.run("a").slot == instant("2026-01-05 02:00")


def test_a_run_that_was_not_launched_has_not_started():
    night = broken_at_two()
    night.at("02:30")

    night.mends_ledger()

    assert night.run("a").started_at == instant("2026-01-05 02:30")


def test_the_end_of_a_living_run_is_held_back_and_written_first():
    night = broken_at_two()

    night.ends("long")
    held = night.run("long").state
    night.mends_ledger()

    assert held == "running"
    assert night.run("long").state == "success"


def test_a_request_is_refused_meanwhile():
    night = broken_at_two()

    reply = night.asks(control_requests.RunJobs(("a",)))

    assert reply.answer == "unavailable"
    assert reply.error == "the ledger cannot be written: disk full"


def test_a_place_that_was_not_used_is_free():
    night = Night(A, job("b", cron="1 2 * * *"), max_concurrent=1)
    night.breaks_ledger()

    night.at("02:01")

    assert night.status().pool.running == 0
    assert night.status().pool.pending == 2


def test_no_launch_is_asked_for_while_the_trouble_is_known():
    night = broken_at_two()
    before = len(night.actions)

    night.at("2026-01-06 03:00")

    later = night.actions[before:]
    assert not any(isinstance(action, effects.Launch) for action in later)


def test_a_retry_waits_for_the_ledger_too():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    night.at("02:00")
    night.breaks_ledger()
    night.ends("a", status=1)

    night.at("02:10")
    before = night.living()
    night.mends_ledger()

    assert before == []
    assert night.living() == ["a"]
    assert night.run("a").attempt == 2


def test_a_second_trouble_is_a_new_incident():
    night = broken_at_two()
    night.mends_ledger()

    night.breaks_ledger("locked")
    night.ends("a")

    assert night.status().ledger_error == "locked"


# --- a damaged ledger ---------------------------------------------------------------------

DAMAGE = "the ledger was damaged (malformed): it is kept as /state/old, a new one begins"


def damaged_at_two():
    """Return a Night whose ledger is found damaged at the slot of 02:00."""
    night = broken_at_two()
    night.ledger = Ledger()
    night.mends_ledger(damage=DAMAGE)
    return night


def test_a_damaged_ledger_is_an_incident_that_names_where_it_lies():
    night = Night(A, damage=DAMAGE)

    (found,) = night.incidents()
    assert (found.kind, found.severity, found.cause) == ("damage", "critical", DAMAGE)
    assert night.words() == ["damage opened"]


def test_the_next_start_ends_it():
    night = Night(A, damage=DAMAGE)
    night.stops()

    night.starts("02:30")

    assert night.incidents() == []
    assert night.words() == ["damage opened", "damage recovered"]


def test_a_person_who_has_seen_it_ends_it():
    night = Night(A, damage=DAMAGE)

    night.asks(control_requests.AckIncident(1, 3600.0, "looked at"))

    assert night.incidents() == []
    assert night.ledger.incidents[1].ack_reason == "looked at"


def test_a_success_or_another_trouble_of_the_ledger_does_not_end_it():
    night = Night(A, damage=DAMAGE)

    night.at("02:00")
    night.ends("a")
    night.breaks_ledger()
    night.at("2026-01-06 02:00")
    night.mends_ledger()

    assert [each.kind for each in night.incidents()] == ["damage"]


def test_damage_while_it_serves_is_told_in_the_new_ledger():
    night = damaged_at_two()

    assert [each.kind for each in night.incidents()] == ["damage"]
    assert night.living() == ["long", "a"]


def test_the_new_ledger_is_told_of_what_lives_and_what_was_seen():
    night = damaged_at_two()
    night.dies()

    night.starts("02:10")
    night.at("02:12")

    assert night.states("a") == ["running"]
    assert (night.run("a").attempt, night.run("a").interruptions) == (2, 1)
    assert night.ledger.attempts[1, 1].started_at == instant("2026-01-05 01:00")
    assert night.slots("long") == ["05 01:00"]


def test_the_new_ledger_is_told_of_pauses_and_of_what_dependents_ask():
    night = Night(A, job("b", cron="0 3 * * *", deps=["a"]))
    night.at("02:00")
    night.ends("a")
    night.asks(control_requests.PauseJob("", 3600.0))
    night.breaks_ledger("malformed")
    night.asks(control_requests.PauseJob("b", None))
    night.ledger = Ledger()
    night.mends_ledger(damage=DAMAGE)
    night.dies()

    night.starts("02:30")

    assert night.status().paused is not None
    assert night.states("a") == ["success"]
    assert "a" in night.world.last_success


def test_the_new_ledger_is_told_of_the_alerts_that_wait():
    night = Night(A, notify=Notify("http://127.0.0.1/slack"))
    night.at("02:00")
    night.ends("a", status=1)
    night.breaks_ledger("malformed")
    night.asks(control_requests.PauseJob("a", None))
    night.ledger = Ledger()

    night.mends_ledger(damage=DAMAGE)

    assert "exit opened" in night.words("a")
