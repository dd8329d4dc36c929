"""Ledger purge: protected rows stay, and rows beyond the limits go in the end."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from supervisor.core import effects
from supervisor.core.alert_model import Incident
from supervisor.core.config_model import History, Severity
from supervisor.core.model import OPEN, Attempt, ReloadEntry, State, replace
from supervisor.ledger import purge
from supervisor.ledger.errors import LedgerUnavailableError
from supervisor.ledger.queries import History as Reader
from supervisor.ledger.queries import RunFilter
from tests.edge.fixtures_ledger import AT, alert, run

HOUR = timedelta(hours=1)


def purged(store, keep, now=AT):
    """Purge until nothing is left to do; return the removed runs."""
    gone = []
    for _ in range(1000):
        step = store.purge(keep, now)
        gone += step.runs
        if step.is_done:
            return gone
    raise AssertionError("the purge does not end")


def write(store, rows):
    store.write([effects.Record(row) for row in rows])


def kept(tmp_path, **wanted):
    with closing(Reader(tmp_path)) as reader:
        return [row.id for row in reader.runs(RunFilter(limit=1000, **wanted))][::-1]


def incident(number, **changes):
    made = Incident(number, f"job-{number}", "exit", Severity.ERROR, AT, AT, "exit status 1")
    return replace(made, **changes)


def test_old_alerts_are_purged_but_none_that_waits(store):
    old = {"delivered_at": AT}, {}, {"withheld": "no channel is configured"}, {}
    store.write([effects.Record(alert(number, **how)) for number, how in enumerate(old, 1)])

    purged(store, History(days=90), AT + timedelta(days=400))

    assert [each.id for each in store.memory().outbox] == [2, 4]
    assert store.memory().next_alert == 5


def test_an_ack_in_force_outlasts_the_history(store):
    old, now = AT, AT + timedelta(days=10)
    acked = incident(1, closed_at=old, acked_until=now)
    rows = [acked, incident(2, closed_at=old), incident(3)]
    store.write([effects.Record(row) for row in rows])

    purged(store, History(days=5), now)

    assert store.memory().incidents == (acked, incident(3))


def test_old_texts_are_purged_but_never_the_newest(store, tmp_path):
    texts = [ReloadEntry(AT + timedelta(days=n), f"{n}", True, "1 job") for n in range(3)]
    store.write([effects.Record(text) for text in texts])

    purged(store, History(days=1), AT + timedelta(days=400))

    assert Reader(tmp_path).reloads() == texts[-1:]
    assert store.memory().last_reload == texts[-1]


def test_at_most_a_thousand_texts_are_kept(store, tmp_path):
    texts = [ReloadEntry(AT, f"{n}", True, "1 job") for n in range(purge.MOST_RELOADS + 5)]
    store.write([effects.Record(text) for text in texts])

    purged(store, History(), AT)

    assert Reader(tmp_path).reloads(2000) == texts[-1:4:-1]


def test_history_is_purged_but_never_what_a_person_needs(store):
    old = datetime.now(UTC) - timedelta(days=400)
    rows = [
        run(1, due=old, slot=old),
        run(2, due=old, slot=None, state=State.FAILED),
        run(3, due=old, slot=None, state=State.RETRYING),
        run(4, due=old, slot=None, state=State.SKIPPED),
        run(5, due=old, slot=None, state=State.SKIPPED),
    ]
    store.write([effects.Record(each) for each in rows])

    gone = purged(store, History(days=90), datetime.now(UTC))

    assert gone == [4]
    assert [each.id for each in store.memory().runs] == [1, 2, 3, 5]


def test_history_keeps_only_so_many_runs_of_a_job(store):
    store.write([effects.Record(run(number)) for number in range(1, 21)])

    gone = purged(store, History(days=10**5, runs=5), AT)

    assert gone == list(range(1, 16))


def test_the_oldest_logs_go_first_when_there_are_too_many_bytes(store):
    rows = [run(number, log_bytes=100) for number in range(1, 11)]
    store.write([effects.Record(each) for each in [*rows, run(11, state=State.RETRYING)]])

    gone = store.purge_logs(350, AT).runs

    assert gone == (1, 2, 3, 4, 5, 6, 7)
    assert store.purge_logs(350, AT).runs == ()


def test_a_purge_goes_on_until_it_is_done(store, tmp_path, monkeypatch):
    write(store, [run(number) for number in range(1, 1001)])
    monkeypatch.setattr(purge, "STEP_S", 0.0)

    first = store.purge(History(days=10**5, runs=5), AT)
    gone = purged(store, History(days=10**5, runs=5))

    assert not first.is_done
    assert [*first.runs, *gone] == list(range(1, 996))
    assert kept(tmp_path) == list(range(996, 1001))


def test_each_minute_takes_what_has_come_since(store, tmp_path):
    keep = History(days=10**5, runs=10)
    for minute in range(20):
        write(store, [run(n) for n in range(50 * minute + 1, 50 * minute + 51)])
        purged(store, keep, AT + timedelta(minutes=minute))

        assert kept(tmp_path) == list(range(50 * minute + 41, 50 * minute + 51))


def test_a_lower_limit_holds_for_every_job(store, tmp_path):
    rows = [run(n, job=f"job-{n % 3}", slot=None) for n in range(1, 31)]
    write(store, rows)
    purged(store, History(days=10**5, runs=10))

    gone = purged(store, History(days=10**5, runs=2))

    assert len(gone) == 24
    assert kept(tmp_path) == list(range(25, 31))


def test_attempts_go_with_their_runs(store, tmp_path):
    write(store, [run(1), run(2), Attempt(1, 1, AT), Attempt(2, 1, AT)])

    purged(store, History(days=10**5, runs=1))

    with closing(Reader(tmp_path)) as reader:
        assert (reader.attempts(1), len(reader.attempts(2))) == ([], 1)


@pytest.mark.parametrize("state", sorted(OPEN))
def test_an_open_run_stays_until_it_has_ended(store, tmp_path, state):
    write(store, [run(1, state=state), *(run(n) for n in range(2, 6))])
    keep = History(days=10**5, runs=2)
    purged(store, keep)
    open_still = kept(tmp_path)

    write(store, [run(1), run(6)])
    purged(store, keep)

    assert open_still == [1, 4, 5]
    assert kept(tmp_path) == [5, 6]


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILED])
def test_the_newest_of_its_kind_goes_when_there_is_a_newer_one(store, tmp_path, state):
    other = State.SUCCESS if state is State.FAILED else State.FAILED
    write(store, [run(1, state=state), *(run(n, state=other) for n in range(2, 6))])
    keep = History(days=10**5, runs=2)
    purged(store, keep)
    alone = kept(tmp_path)

    write(store, [run(6, state=state)])
    purged(store, keep)

    assert alone == [1, 4, 5]
    assert kept(tmp_path) == [5, 6]


def test_what_becomes_too_old_goes_within_the_hour(store, tmp_path):
    write(store, [run(n) for n in range(1, 61)])
    keep, later = History(days=1), AT + timedelta(days=1, minutes=30)

    purged(store, keep, later)
    at_once = kept(tmp_path)
    purged(store, keep, later + HOUR)

    assert at_once == list(range(30, 61))
    assert kept(tmp_path) == [60]


def test_a_clock_that_was_put_back_does_not_stop_the_purge(store, tmp_path):
    write(store, [run(n) for n in range(1, 11)])
    keep = History(days=1)
    purged(store, keep, AT)

    purged(store, keep, AT - timedelta(days=300))
    purged(store, keep, AT + timedelta(days=2))

    assert kept(tmp_path) == [10]


def test_a_purge_that_failed_begins_again(store, tmp_path):
    write(store, [run(number) for number in range(1, 21)])
    keep = History(days=10**5, runs=5)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailableError, match="locked"):
            store.purge(keep, AT)
        other.execute("ROLLBACK")

    assert purged(store, keep) == list(range(1, 16))


def test_the_sum_of_the_output_follows_what_comes_and_goes(store):
    write(store, [run(n, log_bytes=100) for n in range(1, 11)])
    assert store.purge_logs(1000, AT).runs == ()

    purged(store, History(days=10**5, runs=5))
    write(store, [run(n, log_bytes=100) for n in range(11, 16)])
    within = store.purge_logs(1000, AT + timedelta(minutes=1))
    write(store, [run(16, log_bytes=150)])
    beyond = store.purge_logs(1000, AT + timedelta(minutes=2))

    assert within.runs == ()
    assert beyond.runs == (6, 7)


def test_the_output_of_an_open_run_is_counted_as_it_grows(store):
    write(store, [run(1, log_bytes=100), run(2, state=State.RETRYING, log_bytes=100)])
    assert store.purge_logs(300, AT).runs == ()

    write(store, [run(2, state=State.RETRYING, log_bytes=250)])

    assert store.purge_logs(300, AT).runs == (1,)


def test_more_output_than_one_step_removes_goes_in_the_next(store):
    write(store, [run(n, log_bytes=1) for n in range(1, 451)])
    steps = [store.purge_logs(0, AT) for _ in range(4)]

    assert [len(step.runs) for step in steps] == [200, 200, 50, 0]
    assert [step.is_done for step in steps] == [False, False, True, True]
