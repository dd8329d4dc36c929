"""Measurements of doctor: real folders, ledger and sockets, and child processes that hang."""

import os
import signal
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from supervisor.core import effects, model
from supervisor.core.config_model import Config, Job
from supervisor.core.model import Attempt, Reason, Run, Trigger
from supervisor.doctor import databases, filesystem, host, network, schedules, service
from supervisor.doctor.context import DoctorContext
from supervisor.doctor.finding import Check, State, ok
from supervisor.doctor.isolation import examine
from supervisor.ledger.store import Store
from tests.channels import notify_slack
from tests.fix_postgres import needs_account

NOW = datetime.now(UTC)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def context(state: Path, *jobs: Job, **config: object) -> DoctorContext:
    return DoctorContext(
        file=state.parent / "jobs.yaml",
        config=Config(jobs, **config),  # type: ignore[arg-type]
        mistakes=0,
        no_file="",
        state=state,
        socket=state / "sock",
        environ={},
        version="1.0",
        running=None,
        silence="nobody",
        way_out="nightshift start",
    )


def _fields(context: DoctorContext) -> dict[str, object]:
    return {name: getattr(context, name) for name in DoctorContext.__slots__}


def job(worker: str, cwd: Path, **parameters: object) -> Job:
    given = msgspec.json.encode(parameters).decode()
    return Job(worker.replace(".", "-"), 0, worker=worker, cwd=str(cwd), params_json=given)


def remember(state: Path, *records: Run | Attempt) -> None:
    """Write these rows to a ledger."""
    store = Store(state)
    store.write([effects.Record(each) for each in records])
    store.close()


def run(number: int, job: str, ended: datetime, **fields: object) -> Run:
    made = Run(number, job, ended, Trigger.SCHEDULE, model.State.SUCCESS, slot=ended, attempt=1)
    return model.replace(made, ended_at=ended, **fields)


def runs(job: str, *took_s: float, **of_the_last: object) -> list[Run | Attempt]:
    """Return one run of one attempt each hour."""
    found: list[Run | Attempt] = []
    for number, seconds in enumerate(took_s, 1):
        end = NOW - timedelta(hours=len(took_s) - number)
        begun = end - timedelta(seconds=seconds)
        found += [run(number, job, end), Attempt(number, 1, begun, ended_at=end)]
    found[-1] = model.replace(found[-1], **of_the_last)
    return found


def test_the_findings_come_in_the_order_of_the_table_with_the_name_of_their_check(state):
    checks = [Check(name, lambda _: 7, lambda _: [ok("fine")]) for name in "abc"]

    found = list(examine(checks, context(state)))

    assert [each.check for each in found] == ["a", "b", "c"]


def test_a_check_that_hangs_is_killed_and_the_others_are_shown(state):
    read, write = os.pipe()
    hung = Check("hung", lambda _: os.read(read, 1), lambda _: [])
    fine = Check("fine", lambda _: 7, lambda seven: [ok(f"{seven}")])

    found = list(examine([hung, fine], context(state), limit_s=0.3))

    os.close(read)
    os.close(write)
    assert [(each.check, each.state) for each in found] == [
        ("hung", State.ERROR),
        ("fine", State.OK),
    ]
    assert "no answer for 0.3 s" in found[0].value


def test_a_check_that_crashes_says_so(state):
    raising = Check("raising", lambda _: 1 // 0, lambda _: [])
    dying = Check("dying", lambda _: os.kill(os.getpid(), 9), lambda _: [])

    one, other = examine([raising, dying], context(state))

    assert "ZeroDivisionError" in one.value
    assert (other.state, "died" in other.value) == (State.ERROR, True)


def test_a_check_dies_with_its_command(state):
    read, write = os.pipe()
    never, _ = os.pipe()
    hung = Check("hung", lambda _: os.write(write, b"begun") and os.read(never, 1), lambda _: [])
    asker = os.fork()
    if asker == 0:
        list(examine([hung], context(state), limit_s=1000))
        os._exit(0)
    os.close(write)
    assert os.read(read, 5) == b"begun"

    os.kill(asker, signal.SIGKILL)

    assert os.read(read, 1) == b""  # the other end of the pipe is closed
    os.waitpid(asker, 0)


def test_what_a_check_prints_goes_nowhere(state, capfd):
    list(examine([Check("loud", lambda _: os.write(1, b"noise"), lambda _: [])], context(state)))

    assert capfd.readouterr() == ("", "")


def test_a_state_folder_that_is_not_there_yet_can_be_made(state):
    (place,) = filesystem.state(context(state / "deep" / "er"))

    assert (place.exists, place.writable, place.made_by_us) == (False, True, True)


def test_nothing_is_left_in_a_folder_that_is_looked_at(state):
    for measure in (filesystem.state, filesystem.user, filesystem.disks, host.clock, service.init):
        measure(context(state))

    assert list(state.iterdir()) == []


def test_a_second_copys_folder_is_never_said_to_be_made(state):
    backup = job("backup.run", state, database="d", directory="b", copies=["/nonexistent/nas"])

    first, second = filesystem.backups(context(state, backup))

    assert (first.path, first.made_by_us) == (state / "b", True)
    assert (second.path, second.made_by_us) == (Path("/nonexistent/nas"), False)


def test_growth_is_what_backups_and_output_were_in_the_ledger(state):
    backup = job("backup.run", state, database="d", directory="b")
    made = {"result_json": '{"size_bytes": 5000000}', "log_bytes": 100}
    days = [NOW - timedelta(days=10), NOW - timedelta(days=5)]
    remember(state, *(run(n, backup.name, at, **made) for n, at in enumerate(days, 1)))

    (volume,) = filesystem.disks(context(state, backup))

    assert volume.written_a_day == pytest.approx(1_000_020, rel=0.01)


def test_a_file_that_is_no_mount_point_is_known_as_such(state):
    a_mount_point = Path("/proc")
    mounted = DoctorContext(**{**_fields(context(state)), "file": a_mount_point})

    assert not filesystem.mount(context(state)).is_mount_point
    assert filesystem.mount(mounted).is_mount_point


def test_the_usual_time_of_a_job_is_that_of_its_attempts(state):
    slow = Job("slow", 0, timeout_s=60.0)
    remember(state, *runs("slow", *range(50, 60), 60, reason=Reason.TIMEOUT))

    (found,) = schedules.usual(context(state, slow))

    assert (found.p95_s, found.runs, found.timed_out) == (60.0, 11, 1)


def test_four_runs_are_too_few_for_a_usual_time(state):
    remember(state, *runs("slow", 59, 59, 59, 59))

    assert schedules.usual(context(state, Job("slow", 0, timeout_s=60.0))) == []


def test_a_ledger_of_the_future_shows_that_the_clock_went_back(state):
    remember(state, run(1, "a", datetime.now(UTC) + timedelta(hours=2)))

    found = host.clock(context(state))

    assert found.ledger_ahead_s is not None
    assert 0 < found.ledger_ahead_s <= 7200
    assert [each.state for each in host.judge_clock(found)] == [State.ERROR]


def test_without_a_ledger_nothing_of_the_past_is_judged(state):
    assert host.clock(context(state)).ledger_ahead_s is None
    assert schedules.usual(context(state, Job("a", 0))) == []


def test_a_database_is_looked_at_as_its_worker_would(state):
    path = state / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (a)")
    fine = job("health.run", state, database="shop.db")
    missing = job("integrity.run", state, database="no.db")
    made = job("sync.missing_sets", state, database="new.db")
    (state / "text.db").write_text("no database, but a text of some length")
    foreign = job("cleanup.run", state, database="text.db")

    one, two, three, four = databases.sources(context(state, fine, missing, made, foreign))

    assert (one.path, one.error) == (path, "")
    assert (two.exists, two.made_by, two.error) == (False, "", "does not exist")
    assert (three.exists, three.made_by) == (False, made.name)
    assert four.error == "is no SQLite database"


def test_a_folder_without_a_copy_has_none_that_is_new_enough(state):
    backup = job("backup.run", state, database="shop.db", directory="gone")

    (found,) = databases.copies(context(state, backup))

    assert (found.age_s, found.is_new) == (None, True)
    assert "gone" in found.why


def test_a_webhook_is_connected_to_and_sent_nothing(state):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reported = notify_slack(f"http://127.0.0.1:{port}/services/secret")

        (webhook,) = network.webhooks(context(state, notify=reported))

        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b""
    assert webhook == network.Webhook(f"127.0.0.1:{port}", "")


def test_a_webhook_where_nobody_listens_is_named_without_its_path(state):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    reported = notify_slack(f"http://127.0.0.1:{port}/services/secret")

    (webhook,) = network.webhooks(context(state, notify=reported))

    assert "refused" in webhook.error
    assert "secret" not in repr(webhook)


@needs_account
def test_each_postgres_is_asked_once_also_where_nobody_listens(state):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    dsn = f"host=127.0.0.1 port={port} password=hunter2secret"
    one = job("health.run", state, database="d", postgres=dsn)
    other = Job("second", 1, worker="health.run", cwd=str(state), params_json=one.params_json)

    (found,) = network.servers(context(state, one, other))

    assert found.jobs == (one.name, "second")
    assert "refused" in found.error
    assert "hunter2secret" not in found.error


def test_a_dsn_that_is_none_is_not_repeated(state):
    (found,) = network.servers(
        context(state, job("health.run", state, database="d", postgres="hunter2secret"))
    )

    assert found.error.startswith("its DSN is none")
    assert "hunter2secret" not in found.error


def test_the_rights_of_a_role_are_those_that_postgres_knows(state, postgres):
    psycopg = pytest.importorskip("psycopg")
    target = job("replication.run", state, database="d", postgres=postgres, schema="catalogue")
    (owner,) = network.servers(context(state, target))
    role = f"poor_{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f'CREATE ROLE "{role}" LOGIN')
        try:
            poor = psycopg.conninfo.make_conninfo(postgres, user=role)
            target = job("replication.run", state, database="d", postgres=poor, schema="catalogue")
            (outsider,) = network.servers(context(state, target))
            (reported,) = network.judge_servers([outsider])
            admin.execute(reported.expected)
            (granted,) = network.servers(context(state, target))
        finally:
            admin.execute(f'DROP OWNED BY "{role}"')
            admin.execute(f'DROP ROLE "{role}"')

    assert [each.state for each in network.judge_servers([owner])] == [State.OK]
    assert reported.expected == f'CREATE SCHEMA "catalogue" AUTHORIZATION "{role}"'
    assert [each.state for each in network.judge_servers([granted])] == [State.OK]


def test_a_dead_child_that_nobody_asked_for_is_counted():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    found = service.zombies(os.getpid())

    os.waitpid(pid, 0)
    assert found >= 1
