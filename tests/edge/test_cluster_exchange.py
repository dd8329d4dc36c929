"""The leader's exchange with its hosts on a real PostgreSQL: assigned, held, taken back."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import msgspec
import pytest

from supervisor.cluster import assignment_rows, engine, glance, install, session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.assignment_rows import Worker
from supervisor.cluster.exchange import Exchange
from supervisor.cluster.messages import Began, Ended, Lost, Order, send
from supervisor.cluster.shared_ledger import DeposedError, Leadership, SharedLedger
from supervisor.core import events as ev
from supervisor.core.config_model import Cluster, Job
from supervisor.core.effects import Launch, Record
from supervisor.core.model import Run, State, Trigger
from tests.waiting import until

SCHEMA = "nightshift_test"
JOB = Job("a", 0, argv=("true",))
ON_DB = Job("b", 1, argv=("true",), runs_on=("db",))
AT = datetime(2026, 2, 9, 2, 0, tzinfo=UTC)


@pytest.fixture
def db(postgres):
    with session.connect(postgres, SCHEMA) as made:
        install.install(made, SCHEMA, None)
        made.execute(f'SET search_path = "{SCHEMA}"')
        made.execute("INSERT INTO configs (sha256, host) VALUES ('5e', 'a')")
        yield made


@pytest.fixture
def shared(postgres, db):
    worker = engine.register(db)
    (job,) = engine.fetch(db, [session.queue_of(SCHEMA, "leader")], worker, 1)
    return SharedLedger(postgres, SCHEMA, Leadership(job.id, worker, 0))


def exchange(shared, lease_s=60.0, config=1):
    cluster = Cluster("", "test", "a", lease_s=lease_s)
    return Exchange(shared, SCHEMA, cluster, (JOB, ON_DB), config)


def at(later_s=0.0):
    return ev.At(AT, time.monotonic() + later_s)


def run(number, job=JOB, state=State.RUNNING, **fields):
    return Run(number, job.name, AT, Trigger.SCHEDULE, state, attempt=1, **fields)


def joined(db, name, labels, config=1):
    """Let a host join; return its worker."""
    worker = engine.register(db)
    db.execute(
        "INSERT INTO hosts (name, uid, worker, version, labels, places, may_lead, config,"
        " fence_seconds) VALUES (%s, 'u', %s, '', %s, 3, false, %s, 40)",
        (name, worker, labels, config),
    )
    return worker


def happened(events):
    """Return the events without those that only list the hosts."""
    return [each for each in events if not isinstance(each, ev.HostsSeen)]


def begun(shared, *runs):
    """Record runs as the turn that launches them does."""
    shared.write([Record(each) for each in runs])


def fetched(db, number=1):
    """Let a host take the assignment of a run; return its worker."""
    worker = engine.register(db)
    (name,) = db.execute("SELECT name FROM queues ORDER BY name LIMIT 1").fetchone()
    (job,) = engine.fetch(db, [name], worker, 1)
    db.execute("UPDATE assignments SET host = 'b', worker = %s WHERE fence = %s", (worker, job.id))
    return worker


def test_an_attempt_is_handed_out_once_also_if_the_commit_was_not_confirmed(db, shared):
    leader = exchange(shared)
    begun(shared, run(1))
    leader.hand_out(Launch(run(1), JOB))
    leader.poll(at())
    leader.hand_out(Launch(run(1), JOB))

    leader.poll(at(1))

    assert db.execute("SELECT run, attempt FROM assignments").fetchall() == [(1, 1)]
    waiting = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"
    assert db.execute(waiting).fetchone() == (1,)


def test_a_new_leader_holds_what_was_handed_out_and_not_what_was_only_recorded(db, shared):
    before = exchange(shared)
    begun(shared, run(1), run(2, ON_DB))
    before.hand_out(Launch(run(1), JOB))
    before.poll(at())

    assert exchange(shared).held == {(1, 1)}


def test_an_end_that_nobody_has_recorded_is_held_until_its_report_is_read(db, shared):
    before = exchange(shared)
    begun(shared, run(1))
    before.hand_out(Launch(run(1), JOB))
    before.poll(at())
    fetched(db)
    db.execute("UPDATE assignments SET ended_at = now()")
    send(db, Ended(1, 1, "b", State.SUCCESS))

    after = exchange(shared)
    (judged,) = happened(after.poll(at(2)))

    assert (judged.run, judged.state, judged.host) == (1, "success", "b")


def test_reports_are_read_again_by_the_next_leader_until_a_turn_was_recorded(db, shared):
    leader = exchange(shared)
    begun(shared, run(1))
    leader.hand_out(Launch(run(1), JOB))
    leader.poll(at())
    send(db, Began(1, 1, "b", 99))
    shared.is_behind = True

    assert [type(each) for each in happened(leader.poll(at(2)))] == [ev.Started]
    assert happened(leader.poll(at(4))) == []
    assert [type(each) for each in happened(exchange(shared).poll(at(6)))] == [ev.Started]


def test_a_refusal_that_is_read_late_is_not_that_of_the_next_assignment(db, shared):
    before = exchange(shared)
    begun(shared, run(1))
    before.hand_out(Launch(run(1), JOB))
    before.poll(at())
    ((fence,),) = db.execute("DELETE FROM assignments RETURNING fence").fetchall()
    engine.end(db, fence)
    send(db, Ended(1, 1, "b", State.INTERRUPTED, is_begun=False, fence=fence))

    leader = exchange(shared)
    leader.hand_out(Launch(run(1), JOB))

    assert happened(leader.poll(at(2))) == []
    assert leader.held == {(1, 1)}


@pytest.mark.parametrize("text", ["a\0b", r"a\u0000b", "\\", '"', "\x1b\ufffd"])
def test_any_text_reaches_the_host_and_the_leader_as_it_was(db, shared, text):
    leader = exchange(shared)
    asked = run(1, set_json=msgspec.json.encode({"text": text}).decode())
    begun(shared, asked)
    leader.hand_out(Launch(asked, JOB))
    leader.poll(at())
    result = msgspec.json.encode({"text": text}).decode()
    send(db, Ended(1, 1, "b", State.FAILED, cause=text, result_json=result))

    (judged,) = happened(leader.poll(at(2)))

    (body,) = db.execute("SELECT body FROM assignments").fetchone()
    assert msgspec.json.decode(body, type=Order).set == {"text": text}
    assert (judged.cause, judged.result_json) == (text, result)


def test_an_assignment_that_postgresql_has_lost_ends_as_interrupted_at_the_next_look(db, shared):
    leader = exchange(shared)
    begun(shared, run(1), run(2))
    for number in (1, 2):
        leader.hand_out(Launch(run(number), JOB))
    leader.poll(at())
    db.execute("DELETE FROM assignments WHERE run = 2")

    assert happened(leader.poll(at(1))) == []
    (end,) = happened(leader.poll(at(6)))

    assert (end.run, end.state, end.reason) == (2, "interrupted", "lost")
    assert leader.held == {(1, 1)}
    assert happened(leader.poll(at(12))) == []


def test_what_is_handed_out_while_a_host_fetches_is_fetched_with_its_assignment(
    db, shared, postgres
):
    leader = exchange(shared)
    begun(shared, run(1))
    worker = Worker(engine.register(db), "b", ())
    host = session.connect(postgres, SCHEMA)
    db.execute("INSERT INTO queues VALUES (%s, '', 1)", (session.queue_of(SCHEMA, "", 1),))
    # From now on the statement knows the table, and is blocked within the engine's function.
    assert assignment_rows.fetch(host, worker, 1, 1) == []
    with ThreadPoolExecutor() as pool, shared.connection().transaction():
        shared.connection().execute("LOCK TABLE procrastinate_jobs IN ACCESS EXCLUSIVE MODE")
        fetching = pool.submit(assignment_rows.fetch, host, worker, 1, 1)
        blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s"
        pid = (host.info.backend_pid,)
        until(lambda: db.execute(blocked, pid).fetchone() == (1,))
        leader.hand_out(Launch(run(1), JOB))
        leader.poll(at())

    (found,) = fetching.result()
    host.close()

    assert (found.run, found.attempt) == (1, 1)
    assert db.execute("SELECT host FROM assignments").fetchall() == [("b",)]


def test_a_job_that_a_dead_worker_took_without_its_assignment_is_handed_out_again(db, shared):
    leader = exchange(shared, lease_s=60.0)
    begun(shared, run(1))
    leader.hand_out(Launch(run(1), JOB))
    leader.poll(at())
    worker = joined(db, "b", "host:b")
    (name,) = db.execute("SELECT name FROM queues").fetchone()
    engine.fetch(db, [name], worker, 1)

    # A silence counts only as far as it was looked at.
    looks = [happened(leader.poll(at(later_s))) for later_s in range(6, 120, 6)]

    assert [type(each) for events in looks for each in events] == [ev.NotBegun]
    assert leader.held == frozenset()


def test_a_lost_host_is_an_event_and_the_attempt_is_no_longer_held(db, shared):
    leader = exchange(shared)
    begun(shared, run(1))
    leader.hand_out(Launch(run(1), JOB))
    leader.poll(at())
    send(db, Lost(1, 1, "b"))

    (lost,) = happened(leader.poll(at(2)))

    assert (type(lost), lost.host, leader.held) == (ev.HostLost, "b", frozenset())


@pytest.mark.parametrize(
    ("labels", "is_taken_back"), [("host:c", True), ("db,host:c", False), (None, True)]
)
def test_only_what_no_host_may_run_is_taken_back(db, shared, labels, is_taken_back):
    leader = exchange(shared, lease_s=10)
    begun(shared, run(1, ON_DB))
    leader.hand_out(Launch(run(1, ON_DB), ON_DB))
    leader.poll(at())
    if labels is not None:
        joined(db, "c", labels)

    found = happened(leader.poll(at(11)))

    assert [type(each) for each in found] == ([ev.NotBegun] if is_taken_back else [])
    assert (leader.held == frozenset()) is is_taken_back


def test_a_leader_that_was_replaced_writes_nothing(db, shared):
    leader = exchange(shared)
    job, worker = shared.leadership.job, shared.leadership.worker
    engine.unregister(db, worker)
    engine.give_back(db, job)
    leader.hand_out(Launch(run(1), JOB))

    with pytest.raises(DeposedError):
        leader.poll(at())
    with pytest.raises(DeposedError):
        begun(shared, run(2))

    assert db.execute("SELECT count(*) FROM assignments").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_what_waits_under_an_older_text_is_handed_out_again_under_the_new_one(db, shared):
    before = exchange(shared)
    begun(shared, run(1), run(2))
    before.hand_out(Launch(run(1), JOB))
    before.poll(at())
    fetched(db)
    before.hand_out(Launch(run(2), JOB))
    before.poll(at(2))
    db.execute("INSERT INTO configs (sha256, host) VALUES ('6f', 'b')")

    after = exchange(shared, config=2)
    (taken_back,) = happened(after.poll(at(4)))

    assert (type(taken_back), taken_back.run, taken_back.error) == (ev.NotBegun, 2, "")
    assert after.held == {(1, 1)}


def test_only_the_worker_that_holds_a_job_ends_it(db, shared):
    leader = exchange(shared)
    begun(shared, run(1))
    leader.hand_out(Launch(run(1), JOB))
    leader.poll(at())
    before = fetched(db)
    ((fence,),) = db.execute("SELECT fence FROM assignments")
    engine.unregister(db, before)
    engine.give_back(db, fence)
    after = fetched(db)

    assert engine.finish_all(db, [fence], before) == set()
    assert engine.finish_all(db, [fence], after) == {fence}


def test_a_newer_text_of_jobs_yaml_ends_a_leader(db, shared):
    leader = exchange(shared)
    db.execute("INSERT INTO configs (sha256, host) VALUES ('6f', 'b')")

    with pytest.raises(DeposedError, match=r"another text of jobs\.yaml"):
        leader.poll(at())


def test_a_run_for_one_host_waits_in_the_queue_of_that_host_also_under_the_next_leader(db, shared):
    leader = exchange(shared, lease_s=10)
    for_b = run(1, ON_DB, on_host="b")
    begun(shared, for_b)
    leader.hand_out(Launch(for_b, ON_DB))
    leader.poll(at())
    assert db.execute("SELECT labels FROM queues").fetchall() == [("db,host:b",)]
    joined(db, "c", "db,host:c")

    (taken_back,) = happened(exchange(shared, lease_s=10).poll(at(11)))

    assert taken_back.error == "waited 10s for host b with db to take it"


def test_a_look_says_which_hosts_there_are(db, shared):
    leader = exchange(shared)
    worker = joined(db, "b", "host:b,db")
    joined(db, "c", "host:c", config=None)
    db.execute("UPDATE hosts SET worker = NULL WHERE name = 'c'")
    begun(shared, run(1))
    leader.hand_out(Launch(run(1), JOB))
    seen = [leader.poll(at())]
    db.execute("UPDATE assignments SET host = 'b', worker = %s", (worker,))

    seen += [leader.poll(at(6)), leader.poll(at(12))]

    hosts = [event.hosts for events in seen for event in events if type(event) is ev.HostsSeen]
    assert [(b.name, b.labels, b.places, b.is_alive, b.has_text) for b, _ in hosts] == [
        ("b", ("db", "host:b"), 3, True, True)
    ] * 3
    assert [b.runs for b, _ in hosts] == [(), (1,), (1,)]
    assert len({b.seen_mono for b, _ in hosts}) == 1  # it has been silent since
    assert {(c.is_alive, c.has_text) for _, c in hosts} == {(False, False)}


def test_a_server_that_does_not_answer_is_an_event_and_is_tried_again(db, shared):
    leader = exchange(shared)
    leader.poll(at())
    db.execute("ALTER TABLE reports RENAME TO away")
    (failed,) = leader.poll(at(2))
    db.execute("ALTER TABLE away RENAME TO reports")

    assert "reports" in failed.cause
    assert happened(leader.poll(at(4))) == []


def test_the_schema_of_an_older_version_gets_the_new_columns_and_keeps_its_rows(db, shared):
    begun(shared, run(1))
    for column in ("runs.on_host", "runs.incident", "control_requests.headers"):
        table, name = column.split(".")
        db.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    db.execute("UPDATE shared SET value = '6' WHERE key = 'ledger'")
    assert "its ledger is of version 6: nightshift cluster init DSN --upgrade" in install.check(db)

    added = install.upgrade(db, SCHEMA)

    assert sorted(added) == ["control_requests.headers", "runs.incident", "runs.on_host"]
    assert install.check(db) == ""
    assert db.execute("SELECT id, on_host, incident FROM runs").fetchall() == [(1, "", "")]
    begun(shared, run(2, on_host="b"))


@pytest.mark.parametrize("off_s", [0.0, 3600.0, -3600.0])
def test_a_glance_says_how_far_this_clock_is_off(db, monkeypatch, off_s):
    right = time.time
    monkeypatch.setattr("supervisor.cluster.glance.time.time", lambda: right() + off_s)
    settings = AgentSettings("", "/state", "", 1, Cluster("", "test", "a"))

    seen = glance.look(db, settings, leads=False)

    assert abs(seen.offset_s - off_s) < 60
    assert (seen.config, seen.sha256, seen.work, seen.requests) == (1, "5e", False, False)
    assert seen.leading is not None
