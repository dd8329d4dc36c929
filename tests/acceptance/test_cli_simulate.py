"""`nightshift simulate`, and the differences that an edit of jobs.yaml makes."""

import json

import pytest

from tests.acceptance.daemon import Sandbox, supervised

JOBS = """
timezone: Europe/Berlin
max_concurrent: 1
jobs:
  load: {command: "true", cron: "0 2 * * *"}
  report: {command: "true", cron: "0 2 * * *", deps: [load]}
  hello: {command: "true", cron: "30 * * * *"}
"""
COPIES = """
timezone: UTC
jobs:
  copy:
    worker: backup.run
    cron: "0 0 * * *"
    with: {database: shop.sqlite3, directory: copies}
  thin:
    worker: rotation.run
    cron: "0 1 * * *"
    deps: [copy]
    with: {directory: copies, keep_last: 2, keep_daily: 3, keep_weekly: 0, keep_monthly: 0}
"""
BERLIN = ("--from", "2026-03-28T12:00")


def test_the_coming_days_are_reported_without_a_supervisor_or_a_ledger():
    with Sandbox(JOBS) as sandbox:
        said = sandbox.says("simulate", "--days", "2", *BERLIN)
        found = sandbox.json("simulate", "--days", "2", *BERLIN)

    assert "2 days from Sat 2026-03-28 12:00 CET to Mon 2026-03-30 13:00 CEST" in said
    assert "there is no ledger in" in said
    assert "10s is assumed for 3 jobs without a success" in said
    assert "load: 2026-03-29 02:00 does not exist in Europe/Berlin: it runs at 03:00" in said
    assert "report  load (dependency)" in said
    counts = {job["job"]: (job["runs"], job["success"]) for job in found["forecast"]["jobs"]}
    assert counts == {"load": (2, 2), "report": (2, 2), "hello": (48, 48)}


def test_nothing_is_written_and_nothing_is_run():
    with Sandbox(JOBS.replace('"true"', "touch it")) as sandbox:
        sandbox.says("simulate")

        assert sorted(path.name for path in sandbox.root.iterdir()) == ["jobs.yaml"]


def test_durations_and_dependencies_come_from_the_ledger():
    with Sandbox(JOBS) as sandbox:
        sandbox.says("run", "load", "--local")

        found = sandbox.json("simulate", "--days", "1")

    habits = found["habits"]
    assert (habits["load"]["seen"], habits["hello"]["seen"]) == (1, 0)
    assert 0 < habits["load"]["usual_seconds"] < 10 == habits["hello"]["usual_seconds"]
    assert "the ledger in" in found["durations"]


def test_a_damaged_ledger_is_said_and_not_used():
    with Sandbox(JOBS) as sandbox:
        sandbox.state.mkdir()
        (sandbox.state / "ledger.sqlite3").write_text("this is no database" * 100)

        found = sandbox.json("simulate", "--days", "1")

    assert "the ledger cannot be read (file is not a database)" in found["durations"]


def test_failures_by_chance_skip_what_depends_on_them():
    with Sandbox(JOBS) as sandbox:
        said = sandbox.says("simulate", *BERLIN, "--fail", "load=1")
        rows = [line.split()[:5] for line in said.splitlines()]
        one, two = (
            sandbox.json("simulate", "--fail", "hello=0.5", "--from", "2026-01-01", "--seed", seed)
            for seed in ("1", "2")
        )

    assert ["load", "7", "0", "7", "0"] in rows
    assert ["report", "7", "0", "0", "7"] in rows
    assert "dependency load failed at" in said
    assert one["forecast"]["jobs"] != two["forecast"]["jobs"]


def test_what_rotation_keeps_is_reported_copy_by_copy():
    words = ("simulate", "--days", "10", "--from", "2026-02-01T12:00")
    with Sandbox(COPIES) as sandbox:
        said = sandbox.says(*words)
        [rotation] = sandbox.json(*words)["rotation"]

    assert (rotation["made"], rotation["removed"], rotation["refusals"]) == (10, 7, 0)
    assert [copy["taken_at"][:10] for copy in rotation["kept"]] == [
        f"2026-02-{day:02}" for day in (11, 10, 9)
    ]
    assert "thin leaves 3 copies in" in said
    assert "newest verified, daily 1/3, last 1/2" in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--days", "0"), "0 is not in the range"),
        (("--days", "many"), "not a valid integer"),
        (("--from", "soon"), "expected a time such as"),
        (("--from", "9999-12-30", "--days", "7"), "leave the years 1 to 9999"),
        (("--from", "0001-01-01", "--utc"), "leave the years 1 to 9999"),
        (("--seed", str(2**64)), "is not in the range"),
        (("--fail", "laod=1"), 'there is no job "laod": did you mean "load"?'),
        (("--fail", "load"), "expected a probability"),
        (("--fail", "load=nan"), 'got "nan"'),
        (("--fail", "load=2"), "expected a probability from 0 to 1"),
        (("--config", "none.yaml"), "none.yaml"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_bad_input_exits_2_with_a_reason(words, complaint):
    with Sandbox(JOBS) as sandbox:
        status, said = sandbox.refuses("simulate", *words)

    assert status == 2
    assert complaint in said


def test_check_tells_what_an_edit_changes_today_and_in_the_coming_days():
    with Sandbox(JOBS) as sandbox, supervised(sandbox):
        same = sandbox.says("check", "--simulate", "3")
        sandbox.config.write_text(JOBS.replace("30 * * * *", "59 23 * * *"))

        said = sandbox.says("check", "--simulate", "3")
        found = sandbox.json("check", "--simulate", "3")

    assert "nothing would change" in same
    assert "no job would fare otherwise" in same
    assert "rescheduled  hello: next slot" in said
    assert "In the coming 3 days, through the rules themselves:" in said
    [fares] = found["fares"]
    assert (fares["job"], fares["before"]["runs"], fares["after"]["runs"]) == ("hello", 72, 3)
    assert [moved["job"] for moved in found["difference"]["rescheduled"]] == ["hello"]
    assert {slot["job"] for slot in found["difference"]["dropped_slots"]} == {"hello"}


def test_check_simulates_the_hosts_of_a_cluster():
    cluster = 'cluster: {name: main, postgres: "host=/nonexistent connect_timeout=2"}\n'
    with Sandbox(JOBS) as sandbox, supervised(sandbox):
        on_gpu = JOBS.replace("hello: {", "hello: {runs_on: [gpu], ")
        sandbox.config.write_text(cluster + on_gpu)

        found = sandbox.json("check", "--simulate", "3")

    [fares] = found["fares"]
    counted = [fares[when]["success"] for when in ("before", "after")]
    assert (fares["job"], counted) == ("hello", [72, 0])


def test_check_cannot_compare_days_without_a_supervisor():
    with Sandbox(JOBS) as sandbox:
        status, said = sandbox.refuses("check", "--simulate", "3")

        assert json.loads(sandbox.ask("check", "--json").stdout)["fares"] is None
    assert status == 3
    assert "nightshift simulate tells" in said


PLACED = """
timezone: UTC
max_concurrent: 2
jobs:
  shared: {command: "true", cron: "0 2 * * *"}
  on-db: {command: "true", cron: "0 2 * * *", runs_on: [db]}
  on-gpu: {command: "true", cron: "0 2 * * *", runs_on: [gpu]}
  own: {command: "true", cron: "0 3 * * *", runs_on: each}
"""


def test_a_cluster_is_simulated_host_by_host():
    hosts = ("--host", "a:db,web", "--host", "b")
    with Sandbox(PLACED) as sandbox:
        said = sandbox.says("simulate", "--days", "1", *hosts)
        found = sandbox.json("simulate", "--days", "1", *hosts)["forecast"]

    assert "hosts: as given, each with max_concurrent places" in said
    assert "NO HOST on-gpu needs gpu, and no host has it" in said
    assert "own (on b)" in said
    assert "a: at most 2 of 2 places taken, all of them for 10s in all (db host:a web)" in said
    counts = {(job["job"], job["host"]): job["success"] for job in found["jobs"]}
    assert counts == {
        ("shared", ""): 1,
        ("on-db", ""): 1,
        ("on-gpu", ""): 0,
        ("own", "a"): 1,
        ("own", "b"): 1,
    }


def test_a_member_whose_cluster_does_not_answer_simulates_itself():
    cluster = "cluster: {postgres: 'host=/nowhere', host: a, labels: [db]}\n"
    with Sandbox(cluster + PLACED) as sandbox:
        said = sandbox.says("simulate", "--days", "1")

    assert "hosts: this one alone (" in said
    assert "a: at most 2 of 2 places taken" in said
    assert "NO HOST on-gpu needs gpu" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--host", "a b"), "expected a name of at most 58 of A-Z, a-z, 0-9"),
        (("--host", "a:d b"), "expected a label of at most 63"),
        (("--host", "a:each"), '"each" is no label of a host'),
        (("--host", ":db"), 'expected NAME or NAME:LABEL,LABEL, got ":db"'),
        (("--host", "a", "--host", "a:db"), '"a" is given twice'),
    ],
)
def test_a_mistake_in_a_host_is_named(given, said):
    with Sandbox(PLACED) as sandbox:
        status, error = sandbox.refuses("simulate", *given)

    assert (status, said in error) == (2, True)
