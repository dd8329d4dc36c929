"""One host becomes a cluster and a single host again, and keeps its state."""

import json

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.cluster.hosts import TIMES
from tests.waiting import until

JOBS = """
jobs:
  hello: {command: 'echo "said by $NIGHTSHIFT_RUN"'}
  fails: {command: 'exit 3'}
  daily: {command: 'true', cron: '0 2 * * *'}
"""

pytestmark = pytest.mark.timeout(180)


def history(sandbox: Sandbox) -> list[tuple[int, str, str]]:
    runs = sandbox.json("history")["runs"]
    return [(run["id"], run["job"], run["state"]) for run in runs]


def paused(sandbox: Sandbox) -> list[str]:
    return [job["name"] for job in sandbox.json("status")["jobs"] if job["is_paused"]]


def test_history_pauses_incidents_and_outputs_go_along_and_come_back(postgres):
    member = f"cluster: {{postgres: '{postgres}', {TIMES}}}\n{JOBS}"
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            sandbox.ask("run", "hello", "--wait")
            sandbox.ask("run", "fails", "--wait")
            sandbox.says("pause", "daily", "--for", "9h")
        alone = [(2, "fails", "failed"), (1, "hello", "success")]

        taken = sandbox.says("cluster", "init", postgres, "--take")
        assert "took 2 runs" in taken
        sandbox.config.write_text(member)
        with supervised(sandbox):
            until((sandbox.state / "cluster.sock").exists)
            until(lambda: sandbox.ask("status").returncode == 0, within_s=40)
            assert history(sandbox) == alone
            assert paused(sandbox) == ["daily"]
            assert [each["kind"] for each in incidents(sandbox)] == ["exit"]
            assert sandbox.says("logs", "1") == "said by 1\n"
            assert sandbox.ask("run", "hello", "--wait").returncode == 0
            assert sandbox.says("logs", "3") == "said by 3\n"

        until(lambda: sandbox.ask("cluster", "leave").returncode == 0, within_s=40)
        sandbox.config.write_text(JOBS)
        with supervised(sandbox):
            assert history(sandbox) == [(3, "hello", "success"), *alone]
            assert paused(sandbox) == ["daily"]
            assert sandbox.says("logs", "3") == "said by 3\n"
            assert sandbox.says("logs", "1") == "said by 1\n"
            assert sandbox.ask("run", "hello", "--wait").returncode == 0
            assert history(sandbox)[0] == (4, "hello", "success")


def test_a_running_host_is_not_taken(postgres):
    with Sandbox(JOBS) as sandbox, supervised(sandbox):
        assert (
            "is held by another supervisor"
            in sandbox.refuses("cluster", "init", postgres, "--take")[1]
        )


def test_a_cluster_with_runs_accepts_no_transfer(postgres):
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            sandbox.ask("run", "hello", "--wait")
        sandbox.says("cluster", "init", postgres, "--take")

        status, said = sandbox.refuses("cluster", "init", postgres, "--take")

    assert (status, "the cluster has runs already" in said) == (1, True)


def test_a_single_host_has_no_files_of_a_cluster():
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            sandbox.ask("run", "hello", "--wait")
        names = {path.name for path in sandbox.state.iterdir()}

    assert not {name for name in names if "cluster" in name}


def incidents(sandbox: Sandbox) -> list[dict]:
    return json.loads(sandbox.says("incidents", "--json"))["incidents"]
