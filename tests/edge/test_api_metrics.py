"""/metrics in both formats, read by the parsers of the Prometheus client library."""

import dataclasses
import re
import socket
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from supervisor.api import metrics
from supervisor.api.limits import ClientLimits
from supervisor.api.metrics import Snapshot
from supervisor.core import counters as tallies
from supervisor.core.cluster_hosts import ClusterHost
from supervisor.core.config_model import Cluster
from supervisor.core.counters import Counters
from supervisor.core.model import MissedRange, Reason, Run, State, Trigger, replace
from supervisor.core.views import Facts, Tick
from tests.channels import notify_slack
from tests.core.cluster_events import Leader
from tests.core.core_harness import Harness, job
from tests.edge.fixtures_api import ask, connect, read_all
from tests.waiting import until
from workers.protocol import Done, Metric

RULES = Path(__file__).parents[2] / "contrib" / "prometheus-alerts.yaml"
OPEN = "application/openmetrics-text; version=1.0.0"


def seen(harness: Harness, tally: Counters | None = None) -> Snapshot:
    facts = Facts(
        "1.2.3", 7, harness.wall, "/etc/jobs.yaml", harness.wall, Tick(harness.wall, 0.01)
    )
    return Snapshot(harness.scheduler, facts, tally or Counters(), harness.wall)


def text_of(found: Snapshot, accept: str) -> tuple[bytes, str]:
    pieces, kind = metrics.pieces(found, accept)
    return b"".join(pieces), kind


def samples(found: Snapshot, accept: str = "") -> dict[tuple, float]:
    """Return (name, labels …) -> value, as the parser reads it."""
    text, _ = text_of(found, accept)
    families = (parse_open if accept else parse)(text.decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def busy_service() -> Harness:
    """Return a service with a finished backup, a failed job, a running one, and one never run."""
    harness = Harness(
        job("backup", cron="0 1 * * *", worker="backup.run"),
        job("check", cron="0 1 * * *", worker="health.run"),
        job("odd", cron="0 2 * * *"),
        job("asleep", enabled=False, cron="0 3 * * *"),
        notify=notify_slack("http://127.0.0.1/slack"),
    )
    harness.at("01:00")
    harness.says("backup", Done({"size_bytes": 4096, "file": "x"}))
    harness.ends("backup")
    harness.says("check", Metric("health_score", 65))
    harness.says("check", Metric("replication_lag_seconds", 7200))
    harness.says("check", Metric('läg of "x"\n', 1))
    harness.ends("check", status=1)
    harness.at("02:00")
    return harness


def final(state=State.SUCCESS, reason=None, lasted_s=3.0):
    harness = Harness(job("backup"))
    return Run(
        1,
        "backup",
        harness.wall,
        Trigger.MANUAL,
        state,
        reason=reason,
        started_at=harness.wall,
        ended_at=harness.wall + timedelta(seconds=lasted_s),
    )


@pytest.mark.parametrize("accept", ["", OPEN], ids=["text", "openmetrics"])
def test_both_formats_hold_the_same_facts(accept):
    found = samples(seen(busy_service()), accept)

    assert found["nightshift_info", ("version", "1.2.3")] == 1
    assert found["nightshift_pool_running",] == 1
    assert found["nightshift_pool_places",] == 10
    assert found["nightshift_ledger_writable",] == 1
    assert found["nightshift_alerts_undelivered",] == 1
    assert found["nightshift_channel_alerts_pending", ("channel", "slack")] == 1
    assert found["nightshift_channel_failures", ("channel", "slack")] == 0
    assert found["nightshift_strays_killed_total",] == 0


def test_the_format_is_the_one_that_the_reader_asks_for():
    assert text_of(seen(busy_service()), "")[1].startswith("text/plain")
    assert text_of(seen(busy_service()), OPEN)[1].startswith("application/openmetrics-text")


def test_jobs_have_their_last_success_and_next_slot():
    harness = busy_service()
    found = samples(seen(harness))

    name = "nightshift_job_last_success_timestamp_seconds"
    assert found[name, ("job", "backup")] == harness.when("2026-01-05 01:00").timestamp()
    assert (name, ("job", "check")) not in found
    assert found["nightshift_job_last_run_failed", ("job", "check")] == 1
    slots = {key[1][1] for key in found if key[0] == "nightshift_job_next_slot_timestamp_seconds"}
    assert slots == {"backup", "check", "odd"}


def test_what_workers_measured_is_there_by_its_own_name_and_by_ours():
    found = samples(seen(busy_service()))

    assert found["nightshift_backup_size_bytes", ("job", "backup")] == 4096
    assert found["nightshift_backup_age_seconds", ("job", "backup")] == 3600
    assert found["nightshift_health_score", ("job", "check")] == 65
    assert found["nightshift_replication_lag_seconds", ("job", "check")] == 7200
    name = "nightshift_worker_metric"
    assert found[name, ("job", "backup"), ("name", "size_bytes")] == 4096
    assert found[name, ("job", "check"), ("name", 'läg of "x"\n')] == 1


def test_open_incidents_are_counted_by_severity():
    found = samples(seen(busy_service()))

    assert found["nightshift_incidents_open", ("severity", "error")] == 1
    assert found["nightshift_incidents_open", ("severity", "critical")] == 0
    labels = (("job", "check"), ("kind", "protocol"), ("severity", "error"))
    assert found["nightshift_incident_failures", *labels] == 1


def test_what_was_counted_is_there_with_cumulative_buckets():
    harness = busy_service()
    runs = [final(), replace(final(lasted_s=90), id=2), final(State.FAILED, Reason.TIMEOUT, 300)]
    gap = MissedRange("odd", harness.wall, harness.wall, 600, "away")
    tally = tallies.tick(tallies.count(Counters(), runs, [gap], harness.scheduler), 0.02)

    found = samples(seen(harness, tally))

    ended = ("nightshift_runs_total", ("job", "backup"))
    assert found[(*ended, ("reason", ""), ("state", "success"))] == 2
    assert found[(*ended, ("reason", "timeout"), ("state", "failed"))] == 1
    buckets = [
        found["nightshift_run_duration_seconds_bucket", ("job", "backup"), ("le", bound)]
        for bound in ("1.0", "5.0", "60.0", "300.0", "+Inf")
    ]
    assert buckets == [0, 1, 1, 3, 3]
    assert found["nightshift_run_duration_seconds_count", ("job", "backup")] == 3
    assert found["nightshift_run_duration_seconds_sum", ("job", "backup")] == 393
    assert found["nightshift_slots_missed_total", ("job", "odd")] == 600
    assert found["nightshift_tick_lateness_seconds_bucket", ("le", "0.05")] == 1


def test_every_family_says_what_it_is_and_is_named_as_prometheus_wants_it():
    text, _ = text_of(seen(busy_service()), "")
    units = ("_seconds", "_bytes", "_ratio", "_total", "_info")
    counts = re.compile("places|running|pending|open|failures|failed|writable|problems|score")

    for family in parse(text.decode()):
        assert family.documentation.endswith("."), family.name
        assert family.name.startswith("nightshift")
        plain = ("nightshift_alerts_undelivered", "nightshift_worker_metric")
        if family.type == "gauge" and family.name not in plain:
            assert family.name.endswith(units) or counts.search(family.name), family.name


def test_labels_stay_bounded_whatever_workers_call_their_numbers():
    harness = Harness(job("a", cron="0 1 * * *", worker="w.f"))
    harness.at("01:00")
    for number in range(500):
        harness.says("a", Metric(f"n{number}" + "x" * 150, number))

    found = samples(seen(harness))

    names = [key[2][1] for key in found if key[0] == "nightshift_worker_metric"]
    assert len(set(names)) == 100
    assert max(map(len, names)) == 120


NAMES = [
    *("a b", "a-b", "a_b", "größe", "grösse", "дата", "行数", "👨‍👩‍👧", "{job=}", "", " "),
    *('say "no"', "back\\slash", "two\nlines", "a\tb", "a\u2028b"),
    *("a\rb", "\x1b[31mred", "nul\0", "caf\udce9", "caf\udcea", "x" * 500, "x" * 500 + "y"),
]


@pytest.mark.parametrize("accept", ["", OPEN], ids=["text", "openmetrics"])
def test_each_name_of_a_worker_is_a_series_of_its_own_and_reads_as_it_was_written(accept):
    harness = Harness(job("a", cron="0 1 * * *", worker="w.f"))
    harness.at("01:00")
    for number, name in enumerate(NAMES):
        harness.says("a", Metric(name, number))

    text, _ = text_of(seen(harness), accept)

    read = parse_open if accept else parse
    found = {
        sample.labels["name"]: sample.value
        for family in read(text.decode())
        for sample in family.samples
        if sample.name == "nightshift_worker_metric"
    }
    assert sorted(found.values()) == list(range(len(NAMES)))
    plain = [
        name
        for name in NAMES
        if len(name) < 100 and not re.search("[\0\r\x1b\ud800-\udfff]", name)
    ]
    assert {name: found[name] for name in plain} == {name: NAMES.index(name) for name in plain}


@pytest.mark.parametrize("accept", ["", OPEN], ids=["text", "openmetrics"])
def test_what_is_written_in_pieces_is_whole(accept):
    harness = Harness(*(job(f"job-{number}", cron="0 1 * * *") for number in range(500)))
    runs = [replace(final(), id=number, job=f"job-{number}") for number in range(500)]
    tally = tallies.count(Counters(), runs, [], harness.scheduler)

    text, _ = text_of(seen(harness, tally), accept)

    found = samples(seen(harness, tally), accept)
    counts = [key for key in found if key[0] == "nightshift_run_duration_seconds_count"]
    assert len(counts) == 500
    assert text.count(b"# TYPE nightshift_run_duration_seconds histogram\n") == 1
    assert text.count(b"# EOF") == (1 if accept else 0)


def test_alert_rules_name_only_what_there_is():
    harness = busy_service()
    tally = tallies.count(Counters(), [final()], [], harness.scheduler)
    text, _ = text_of(seen(harness, tally), "")
    there = set(re.findall(r"^# TYPE (\S+)", text.decode(), re.M))
    there |= {f"{name}_{part}" for name in there for part in ("sum", "count", "bucket")}
    rules = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]

    named = {name for rule in rules for name in re.findall(r"nightshift_\w+", rule["expr"])}

    assert len(rules) == len({rule["alert"] for rule in rules}) > 10
    of_leader = {name for name, *_ in samples(led(), "")}
    assert named - there - of_leader == set()


def led() -> Snapshot:
    """Return a leader with two hosts: one is dead, one has a run."""
    leader = Leader(job("a", cron="0 1 * * *"), cluster=Cluster("dsn", host="a"))
    leader.sees(
        ClusterHost("a", ("host:a",), 4, runs=(7,), seen_mono=leader.mono),
        ClusterHost("b", ("host:b",), 2, is_alive=False, has_text=False),
    )
    leader.at("01:00")
    return dataclasses.replace(seen(leader), mono=leader.mono + 3)


def test_a_leader_tells_of_each_host():
    found = {
        (name.removeprefix("nightshift_cluster_"), *(value for _, value in labels)): number
        for (name, *labels), number in samples(led()).items()
        if name.startswith("nightshift_cluster_")
    }

    age = found.pop(("host_heartbeat_age_seconds", "a"))
    assert age >= 3
    assert found == {
        ("attempts_waiting",): 1,
        ("host_up", "a"): 1,
        ("host_up", "b"): 0,
        ("host_leads", "a"): 1,
        ("host_leads", "b"): 0,
        ("host_outdated", "a"): 0,
        ("host_outdated", "b"): 1,
        ("host_running", "a"): 1,
        ("host_running", "b"): 0,
        ("host_places", "a"): 4,
        ("host_places", "b"): 2,
    }
    assert samples(led())[("nightshift_pool_places",)] == 4


def test_a_single_host_has_no_series_of_a_cluster():
    text, _ = text_of(seen(busy_service()), "")

    assert b"cluster" not in text


@pytest.fixture
def limits():
    return ClientLimits(request_s=0.5)


def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(number, what):
    with socket.create_connection(("127.0.0.1", number), timeout=10) as client:
        client.sendall(f"GET {what} HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n".encode())
        return int(read_all(client).split()[1])


def test_the_socket_serves_metrics_in_the_format_that_is_asked_for(folder, api):
    api.start()

    status, text = ask(folder / "s", "/metrics", headers=f"Accept: {OPEN}\r\n")

    assert status == 200
    found = {family.name: family for family in parse_open(text.decode())}
    (memory,) = found["nightshift_resident_memory_bytes"].samples
    assert memory.value > 1024 * 1024


def test_by_tcp_there_are_metrics_and_health_and_nothing_else(api):
    number = port()
    api.open_metrics(f"127.0.0.1:{number}")
    api.start()

    found = {what: get(number, what) for what in ("/metrics", "/healthz", "/v1/status")}

    assert found == {"/metrics": 200, "/healthz": 503, "/v1/status": 404}


def test_an_address_in_use_is_an_error_that_says_so(api):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            api.open_metrics(f"127.0.0.1:{taken.getsockname()[1]}")


def test_localhost_is_an_address_and_another_name_is_not(api):
    api.open_metrics(f"localhost:{port()}")

    with pytest.raises(OSError, match=r'got "metrics\.invalid"'):
        api.open_metrics("metrics.invalid:9187")


def test_many_tcp_clients_do_not_block_the_socket(folder, api):
    number = port()
    api.open_metrics(f"127.0.0.1:{number}")
    api.start()
    kept = connect(folder / "s")
    crowd = [socket.create_connection(("127.0.0.1", number)) for _ in range(200)]

    kept.sendall(b"GET /v1/status HTTP/1.1\r\nHost: nightshift\r\nConnection: close\r\n\r\n")
    assert read_all(kept).startswith(b"HTTP/1.1 200")
    until(lambda: get(number, "/metrics") == 200)

    for client in (kept, *crowd):
        client.close()
