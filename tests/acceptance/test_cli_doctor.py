"""`nightshift doctor`: exit status, findings, and that it changes nothing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox, living

JOBS = """
jobs:
  hello: {command: [/bin/echo, hi], cron: "0 4 * * *"}
"""
BAD = "jobs: {hello: {command: [], croon: 7}}"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with living(JOBS) as sandbox:
        yield sandbox


def findings(
    sandbox: Sandbox, *words: str, **environ: str
) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit status and the last finding of each check."""
    said = sandbox.ask("doctor", *words, "--json", **environ)
    assert said.stderr == ""
    found = json.loads(said.stdout)
    assert found["ok"] == (said.returncode == 0)
    return said.returncode, {each["check"]: each for each in found["findings"]}


def files(sandbox: Sandbox) -> set[Path]:
    return {path for path in sandbox.root.rglob("*") if path.name != "log"}


def test_a_living_service_has_nothing_to_fix(sandbox: Sandbox) -> None:
    before = files(sandbox)

    status, found = findings(sandbox)

    assert [each for each in found.values() if each["state"] == "error"] == []
    assert status == 0
    assert found["supervisor"]["value"] == f"answers at {sandbox.socket}"
    assert files(sandbox) == before


def test_each_thing_to_fix_is_said_with_what_is_expected_and_how(sandbox: Sandbox) -> None:
    said = sandbox.ask("doctor", "--config", "/nonexistent/jobs.yaml")

    assert (said.returncode, said.stderr) == (1, "")
    assert "error    jobs.yaml" in said.stdout
    assert "fix: nightshift check /nonexistent/jobs.yaml" in said.stdout
    assert "\n1 error, " in said.stdout


def test_a_service_that_is_gone_is_to_be_fixed(sandbox: Sandbox) -> None:
    status, found = findings(sandbox, "--socket", "/nonexistent/sock")

    assert (status, found["supervisor"]["state"]) == (1, "error")
    assert "nightshift start" in found["supervisor"]["fix"]


def test_before_the_first_start_it_says_what_will_be() -> None:
    with Sandbox(JOBS) as sandbox:
        status, found = findings(sandbox)

        assert (status, found["supervisor"]["state"]) == (0, "info")
        assert not sandbox.state.exists()


def test_a_bad_jobs_yaml_is_counted_and_the_rest_is_looked_at() -> None:
    with Sandbox(BAD) as sandbox:
        status, found = findings(sandbox)

    assert (status, "2 mistakes" in found["jobs.yaml"]["value"]) == (1, True)
    assert found["kernel"]["state"] == "ok"


def test_without_any_jobs_yaml_it_says_how_to_make_one() -> None:
    with Sandbox() as sandbox:
        _, found = findings(sandbox)

    assert (found["jobs.yaml"]["state"], found["jobs.yaml"]["fix"]) == ("error", "nightshift init")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to run as another user")
def test_another_user_reads_that_it_is_another_one(sandbox: Sandbox) -> None:
    sandbox.root.chmod(0o755)
    said = sandbox.ask("doctor", "--json", uid=65534)

    found = {each["check"]: each for each in json.loads(said.stdout)["findings"]}
    assert said.returncode == 1
    assert "uid 65534 may not" in found["supervisor"]["value"]


def test_no_secret_is_shown(sandbox: Sandbox) -> None:
    secret = "hunter2secret"
    text = JOBS + f"notify: {{slack: 'http://127.0.0.1:1/services/{secret}'}}\n"
    other = sandbox.root / "other.yaml"
    other.write_text(text)

    said = sandbox.ask("doctor", "--config", str(other), MY_TOKEN=secret)

    assert "webhooks" in said.stdout
    assert secret not in said.stdout + said.stderr


@pytest.mark.parametrize("words", [("extra",), ("--jsn",), ("--json", "x")], ids=" ".join)
def test_what_it_does_not_take_is_a_usage_error(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    status, _ = sandbox.refuses("doctor", *words)

    assert status == 2
