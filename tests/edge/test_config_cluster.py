"""`cluster`, `runs_on` and `if_lost` in jobs.yaml: valid values, and each mistake."""

from pathlib import Path

import pytest

from supervisor import config
from supervisor.core.config_model import Cluster, Config, IfLost

DSN = "postgresql://me:opensesame@db.example/ops"


def parsed(text: str):
    return config.parse(text.encode(), Path("/srv/jobs.yaml"), {"TZ": "UTC", "LABELS": "db, ssd"})


def read(cluster: str, jobs: str = "{a: {command: x}}") -> Config:
    found = parsed(f"cluster: {cluster}\njobs: {jobs}")
    assert found.problems == ()
    assert found.config is not None
    return found.config


def mistakes(cluster: str, jobs: str = "{a: {command: x}}") -> str:
    found = parsed(f"cluster: {cluster}\njobs: {jobs}").problems
    return "\n".join(config.format_problem(each, "jobs.yaml") for each in found)


def test_a_membership_names_its_server_its_host_and_its_labels():
    found = read(f"{{postgres: '{DSN}', name: prod, host: a, labels: '${{LABELS}}', lead: false}}")

    assert found.cluster == Cluster(DSN, "prod", "a", ("db", "ssd"), lead=False)
    assert "opensesame" in found.secrets


def test_an_empty_mapping_says_what_it_needs():
    assert "cluster.postgres: is required" in mistakes("{}")


@pytest.mark.parametrize("text", ["~", ""])
def test_an_empty_value_is_no_membership(text):
    assert read(text).cluster is None


def test_a_host_without_a_name_has_that_of_its_machine():
    found = read(f"{{postgres: '{DSN}'}}").cluster

    assert found is not None
    assert found.host


def test_a_job_says_where_it_runs_and_what_happens_when_its_host_is_lost():
    jobs = (
        "{a: {command: x, runs_on: [db, 'zone:a'], if_lost: never},"
        " b: {command: x, runs_on: each}}"
    )

    a, b = read(f"{{postgres: '{DSN}'}}", jobs).jobs

    assert (a.runs_on, a.if_lost, a.is_on_each) == (("db", "zone:a"), IfLost.NEVER, False)
    assert b.is_on_each


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("name: Prod", "cluster.name: expected a name of at most 31"),
        ("name: 'a b'", "cluster.name: expected a name of at most 31"),
        ("host: 'a b'", "cluster.host: expected a name of at most 58"),
        ("labels: [each]", '"each" is no label of a host'),
        ("labels: ['a b']", "expected a label of at most 63"),
        ("lease: 40s", "cluster.lease: expected at least 50s for this fence"),
        ("fence: 60s", "cluster.lease: expected at least 1m40s for this fence"),
        ("heartbeat: 10s", "cluster.fence: expected at least four heartbeats, 40s"),
        ("heartbeat: 0", "cluster.heartbeat: expected a duration above 0"),
        ("max_concurrent: 0", "cluster.max_concurrent: expected"),
        ("labls: db", 'did you mean "labels"'),
    ],
)
def test_each_mistake_names_its_key(keys, said):
    assert said in mistakes(f"{{postgres: '{DSN}', {keys}}}")


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ("{a: {command: x, runs_on: [each, db]}}", 'expected "each" alone'),
        (
            "{a: {command: x, exclusive: nas}, b: {command: x, exclusive: nas, runs_on: each}}",
            "the group nas has jobs with runs_on: each and others",
        ),
        ("{a: {command: x, if_lost: retry}}", "expected again, never or wait"),
    ],
)
def test_each_mistake_in_a_job_is_reported(jobs, said):
    assert said in mistakes(f"{{postgres: '{DSN}'}}", jobs)


def test_no_message_shows_the_server():
    assert "sesame" not in mistakes(f"{{postgres: '{DSN}', name: 7, lease: 1s}}")
