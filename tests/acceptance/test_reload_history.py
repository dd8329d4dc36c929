"""The history of jobs.yaml: each text that was read, once, with its outcome."""

import signal
from typing import Any

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.waiting import until

GOOD = 'jobs:\n  a: {command: "true"}\n'
BETTER = GOOD + '  b: {command: "true"}\n'
SECRET = "hunter2-swordfish"
BAD = f"""jobs:
  a:
    command: "true"
    env: {{API_TOKEN: {SECRET}}}
    timeout: {SECRET}
"""


def texts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the history of texts, oldest first."""
    return list(reversed(sandbox.json("history", "--reloads")["reloads"]))


def outcomes(sandbox: Sandbox) -> list[bool]:
    return [text["accepted"] for text in texts(sandbox)]


def test_start_reload_and_signal_record_each_text_once() -> None:
    with Sandbox(GOOD) as sandbox:
        with supervised(sandbox) as supervisor:
            sandbox.says("reload")
            sandbox.config.write_text(BETTER)
            supervisor.send_signal(signal.SIGHUP)
            until(lambda: len(texts(sandbox)) == 2)
            sandbox.config.write_text(BAD)
            for _ in range(3):
                assert sandbox.ask("reload").returncode == 2
            sandbox.config.write_text(BETTER)
            sandbox.says("reload")
            shown = sandbox.says("history", "--reloads").splitlines()

        with supervised(sandbox):
            after_a_restart = texts(sandbox)

    assert [text["accepted"] for text in after_a_restart] == [True, True, False, True]
    digests = [text["sha256"] for text in after_a_restart]
    assert digests[1] == digests[3]
    assert len({*digests}) == 3
    assert [text["said"] for text in after_a_restart if text["accepted"]] == [
        "1 job",
        "2 jobs",
        "2 jobs",
    ]
    assert [text["changes"] for text in after_a_restart] == [
        [],
        [{"job": "b", "what": "added", "keys": []}],
        [],
        [],
    ]
    assert [line.split()[-3:] for line in shown[1:2]] == [["accepted", "2", "jobs"]]
    assert "2 jobs; added b" in " ".join(shown[3].split())
    assert "refused" in shown[2]


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_refused_text_is_named_without_its_secrets(words: tuple[str, ...]) -> None:
    with Sandbox(GOOD) as sandbox, supervised(sandbox):
        sandbox.config.write_text(BAD)
        sandbox.ask("reload")

        said = sandbox.says("history", "--reloads", *words)

        assert "jobs.yaml:5:14: jobs.a.timeout" in said
        assert SECRET not in said
        assert SECRET.encode() not in b"".join(
            path.read_bytes() for path in sandbox.state.glob("ledger.sqlite3*")
        )


def test_a_start_with_a_refused_text_records_it_once() -> None:
    with Sandbox(GOOD) as sandbox:
        with supervised(sandbox):
            pass
        sandbox.config.write_text(BAD)
        for _ in range(2):
            with supervised(sandbox):
                found = outcomes(sandbox)

    assert found == [True, False]


def test_a_file_that_is_missing_is_recorded_without_a_digest() -> None:
    with Sandbox(GOOD) as sandbox, supervised(sandbox):
        sandbox.config.unlink()

        assert sandbox.ask("reload").returncode == 2
        assert texts(sandbox)[-1]["sha256"] == ""
        assert "-" in sandbox.says("history", "--reloads").splitlines()[1].split()
