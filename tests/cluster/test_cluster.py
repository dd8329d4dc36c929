"""Three hosts with one jobs.yaml: the commands show the same cluster on each host."""

import json
from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest

from supervisor.cli.client import Client
from tests.cluster.hosts import TIMES, Host, answers, cluster, is_led, lines
from tests.waiting import until

JOBS = f"""
cluster: {{postgres: "${{DSN}}", host: "${{HOST}}", labels: "${{NIGHTSHIFT_LABELS}}", {TIMES}}}
max_concurrent: 4
jobs:
  hello: {{command: 'echo "on $NIGHTSHIFT_FENCE"'}}
  tells: {{command: 'echo begins; until [ -e rest ]; do sleep 0.05; done; cat rest'}}
  fails: {{command: 'exit 3', retries: 1, retry_delay: 0s}}
  slow: {{command: [sleep, '60'], kill_grace: 1s}}
  needs-db: {{command: 'echo $NIGHTSHIFT_RUN', runs_on: [db]}}
  nowhere: {{command: 'true', runs_on: [gpu]}}
  first: {{command: 'true'}}
  second: {{command: 'true', deps: [first]}}
  asked: {{worker: "own:asked"}}
  drilled: {{worker: "own:drilled"}}
  own: {{command: 'echo own >> own', runs_on: each}}
"""
OWN = """
from workers.report import WorkerError

def asked(params, report):
    report.log("works")
    return {"word": params["word"], "rows": 7}

def drilled(params, report):
    raise WorkerError("no copy", permanent=True, incident="drill")
"""

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def hosts(postgres_server: str) -> Iterator[dict[str, Host]]:
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute("CREATE DATABASE cluster_seen TEMPLATE template0")
    dsn = postgres_server.replace("dbname=postgres", "dbname=cluster_seen")
    # Each clock is wrong, but within the limit for a leader.
    off_s = {"a": 1.5, "b": -1.5, "c": 1.0}
    with cluster(dsn, JOBS, "abc", {"b": "db"}, {"own.py": OWN}, off_s) as hosts:
        yield hosts


def runs(host: Host, job: str) -> list[dict]:
    return json.loads(host.ask("history", job, "--json").stdout)["runs"]


def test_a_run_is_asked_for_on_any_host_and_seen_on_every_host(hosts):
    for host in hosts.values():
        done = host.ask("run", "hello", "--wait")
        assert done.returncode == 0, done.stderr

    seen = [runs(host, "hello") for host in hosts.values()]

    assert seen[0] == seen[1] == seen[2]
    assert [run["state"] for run in seen[0]] == ["success"] * 3
    assert all(run["cause"] in ("on a", "on b", "on c") for run in seen[0])


def test_the_output_is_shown_on_every_host_wherever_it_lies(hosts):
    hosts["a"].ask("run", "needs-db", "--wait")
    number = runs(hosts["a"], "needs-db")[0]["id"]

    outputs = {host.ask("logs", "needs-db").stdout for host in hosts.values()}

    assert outputs == {f"{number}\n"}


def test_the_leader_goes_by_the_clock_of_the_server(hosts):
    with psycopg.connect(hosts["a"].sandbox.environ["DSN"], autocommit=True) as db:
        (before,) = db.execute("SELECT clock_timestamp()").fetchone()
        hosts["c"].ask("run", "hello", "--wait")
        (after,) = db.execute("SELECT clock_timestamp()").fetchone()

    (run, *_) = runs(hosts["a"], "hello")

    assert before <= datetime.fromisoformat(run["due"]) <= after


def test_an_output_is_followed_on_every_host_until_its_run_ends(hosts):
    rest = hosts["a"].sandbox.root / "rest"
    hosts["a"].ask("run", "tells", "--on", "a")
    until(lambda: started(hosts["b"], "tells"))
    followers = [host.sandbox.begin("logs", "tells", "-f") for host in hosts.values()]
    first = [follower.stdout.readline() for follower in followers]

    rest.write_text("and the end\n")

    assert first == ["begins\n"] * 3
    assert [each.communicate(timeout=60)[0] for each in followers] == ["and the end\n"] * 3
    assert [each.returncode for each in followers] == [0] * 3


def test_a_part_of_an_output_is_what_was_asked_for_wherever_it_lies(hosts):
    hosts["a"].ask("run", "needs-db", "--wait")
    number = runs(hosts["a"], "needs-db")[0]["id"]

    for host in hosts.values():
        client = Client(host.sandbox.state / "cluster.sock")
        newest = client.newest("v1", "runs", str(number), "log", most_bytes=2)

        assert newest == (f"{number}\n".encode()[-2:], len(f"{number}\n"))


def test_changes_are_streamed_on_every_host(hosts):
    streams = [
        Client(host.sandbox.state / "cluster.sock").stream("v1", "events")
        for host in hosts.values()
    ]
    begins = [next(stream) for stream in streams]
    assert all(begin.startswith(b": changes follow") for begin in begins)

    hosts["b"].ask("run", "hello", "--wait")

    for stream in streams:
        seen = b""
        while b'"state":"success"' not in seen:
            seen += next(stream)
        assert b"event: run" in seen
        stream.close()


def test_a_failure_and_its_retry_are_one_run_and_one_incident(hosts):
    done = hosts["c"].ask("run", "fails", "--wait")

    assert done.returncode == 1
    (run,) = runs(hosts["a"], "fails")
    assert (run["state"], run["attempt"], run["exit_status"]) == ("failed", 2, 3)
    assert run["cause"].startswith("exit status 3 (on ")
    open_ones = json.loads(hosts["b"].ask("incidents", "--json").stdout)["incidents"]
    assert [each["kind"] for each in open_ones if each["job"] == "fails"] == ["exit"]
    for host in hosts.values():
        own = host.ask("incidents", "--json", "--socket", str(host.sandbox.socket))
        assert json.loads(own.stdout)["incidents"] == []


def test_a_job_runs_only_where_its_labels_are(hosts):
    done = hosts["a"].ask("run", "needs-db", "--wait")

    assert done.returncode == 0
    assert runs(hosts["a"], "needs-db")[0]["cause"] == "on b"


def test_a_run_that_is_asked_for_on_one_host_runs_there(hosts):
    for name in hosts:
        done = hosts["a"].ask("run", "hello", "--on", name, "--wait")
        assert done.returncode == 0, done.stderr

        (run, *_) = runs(hosts["b"], "hello")

        assert (run["on_host"], run["cause"]) == (name, f"on {name}")
        said = hosts["c"].ask("explain", "hello").stdout
        assert f"was asked for at {run['due'][:10]}" in said
        assert f"to run on host {name}." in said


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("hello", "--on", "d"), 2, 'no host is called "d"; hosts: a, b, c'),
        (("needs-db", "--on", "a"), 1, "a has no label db: needs-db has runs_on db"),
        (("own", "--on", "b"), 1, "own is a job of each host, which runs it for itself"),
    ],
)
def test_a_host_that_cannot_run_it_is_refused(hosts, words, status, said):
    refused = hosts["c"].ask("run", *words)

    assert (refused.returncode, said in refused.stderr) == (status, True), refused.stderr


def test_the_coming_days_are_those_of_the_hosts_that_are_alive(hosts):
    found = json.loads(hosts["c"].ask("simulate", "--days", "1", "--json").stdout)["forecast"]

    assert [(each["name"], each["max_concurrent"]) for each in found["hosts"]] == [
        ("a", 4),
        ("b", 4),
        ("c", 4),
    ]
    assert found["unplaced"] == ["nowhere needs gpu, and no host has it"]


def test_the_metrics_of_the_cluster_tell_of_each_host(hosts):
    for host in hosts.values():
        text = Client(host.sandbox.state / "cluster.sock").get("metrics").decode()

        assert all(f'nightshift_cluster_host_up{{host="{name}"}} 1.0' in text for name in hosts)
        assert "nightshift_pool_places 12.0" in text


def test_the_pool_is_that_of_all_hosts(hosts):
    assert status(hosts["b"])["pool"]["max"] == 12
    assert "of 12 places taken" in hosts["c"].ask("status").stdout


def test_a_kind_of_incident_travels_with_the_report(hosts):
    assert hosts["a"].ask("run", "drilled", "--wait").returncode == 1

    open_ones = json.loads(hosts["b"].ask("incidents", "--json").stdout)["incidents"]

    assert [each["kind"] for each in open_ones if each["job"] == "drilled"] == ["drill"]


def test_a_worker_gets_what_was_asked_for_and_its_result_comes_back(hosts):
    done = hosts["b"].ask("run", "asked", "--set", "word=hi", "--wait")

    assert done.returncode == 0, done.stderr + done.stdout
    assert runs(hosts["c"], "asked")[0]["result"] == {"word": "hi", "rows": 7}


def test_dependencies_hold_across_hosts(hosts):
    done = hosts["a"].ask("run", "second", "--with-deps", "--wait")

    assert done.returncode == 0, done.stderr
    (first,), (second,) = runs(hosts["a"], "first"), runs(hosts["a"], "second")
    assert first["ended_at"] <= second["started_at"]


def test_a_run_is_cancelled_from_any_host(hosts):
    hosts["a"].ask("run", "slow")
    until(lambda: any(run["pid"] for run in status(hosts["c"])["runs"] if run["job"] == "slow"))

    assert hosts["c"].ask("cancel", "slow").returncode == 0

    until(lambda: runs(hosts["b"], "slow")[0]["state"] == "cancelled")
    for host in hosts.values():
        until(lambda host=host: not own_status(host)["runs"])


def test_a_pause_holds_on_every_host(hosts):
    assert hosts["a"].ask("pause", "hello", "--for", "1h").returncode == 0

    shown = [job for job in status(hosts["b"])["jobs"] if job["name"] == "hello"]

    assert shown[0]["is_paused"]
    hosts["c"].ask("resume", "hello")
    assert not any(job["is_paused"] for job in status(hosts["a"])["jobs"])


def test_a_job_of_each_host_is_the_hosts_own(hosts):
    assert "own" not in [job["name"] for job in status(hosts["a"])["jobs"]]

    for host in hosts.values():
        own = host.ask("run", "own", "--wait", "--socket", str(host.sandbox.socket))
        assert own.returncode == 0, own.stderr

    assert [lines(host.sandbox.root / "own") for host in hosts.values()] == [[["own"]]] * 3


def test_what_no_host_may_run_waits_with_an_incident_and_is_cancelled(hosts):
    hosts["a"].ask("run", "nowhere")

    until(lambda: "no_host" in hosts["b"].ask("incidents").stdout, within_s=40)

    assert "a host with gpu" in hosts["b"].ask("incidents").stdout
    assert hosts["c"].ask("cancel", "nowhere").returncode == 0
    until(lambda: runs(hosts["a"], "nowhere")[0]["state"] == "cancelled")


def test_requests_are_kept_with_who_asked_on_which_host(hosts):
    hosts["b"].ask("run", "hello", "--wait")

    with psycopg.connect(hosts["b"].sandbox.environ["DSN"]) as db:
        rows = db.execute(
            "SELECT peer FROM nightshift_main.actions WHERE verb = 'run' ORDER BY id DESC LIMIT 1"
        ).fetchall()
    assert " on b" in rows[0][0]


def test_doctor_examines_the_cluster(hosts):
    found = json.loads(hosts["a"].ask("doctor", "--json").stdout)["findings"]

    shown = [(each["state"], each["value"]) for each in found if each["check"] == "cluster"]
    assert shown == [
        ("ok", "main: 3 hosts"),
        ("warning", "no host has the labels of nowhere"),
    ]


def test_the_leadership_moves_when_it_is_asked_to(hosts):
    before = json.loads(hosts["a"].ask("cluster", "status", "--json").stdout)

    assert hosts["a"].ask("cluster", "stand-down").returncode == 0

    def moved() -> bool:
        now = json.loads(hosts["a"].ask("cluster", "status", "--json").stdout or "{}")
        return now.get("epoch", 0) > before["epoch"] and bool(now["leader"])

    until(moved, within_s=40)
    until(lambda: answers(hosts["a"]), within_s=40)
    assert hosts["a"].ask("run", "hello", "--wait").returncode == 0
    assert is_led(hosts["b"])


def started(host: Host, job: str) -> bool:
    return any(run["pid"] for run in status(host)["runs"] if run["job"] == job)


def status(host: Host) -> dict:
    return json.loads(host.ask("status", "--json").stdout)


def own_status(host: Host) -> dict:
    answer = host.ask("status", "--json", "--socket", str(host.sandbox.socket))
    return json.loads(answer.stdout)
