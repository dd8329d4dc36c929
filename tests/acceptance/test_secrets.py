"""Secrets in every encoding, through every way in which text leaves the service."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.secret_forms import FORMS, SECRETS, leaks
from tests.waiting import until
from tests.webhook import Webhook

JOBS = """
timezone: UTC
notify: {slack: "${HOOK}"}
jobs:
  leak: {worker: "leaking:leak"}
  fail: {worker: "leaking:fail"}
  missing: {command: ["${FILE_TOKEN}"]}
  given: {worker: "leaking:given"}
"""
# Prints each secret of its environment in the encodings of FORMS.
WORKERS = """
import json, os
def texts():
    return json.loads(os.environ["TEXTS"])
def leak(params, report):
    for text in texts():
        print(text)
        report.log(text)
        report.progress(1, 2, text)
        report.metric(text[:60], 7)
    return {f"said {number} {text[:40]}": text[:200] for number, text in enumerate(texts())}
def fail(params, report):
    print("\\n".join(texts()))
    report.fail("; ".join(texts())[:6000])
def given(params, report):
    print("given", params["token"], params["api_key"])
    report.fail(f"{params['token']} and {params['api_key']}")
"""
NUMBER = 271828
BAD = "jobs: {a: {command: x, timeout: '${A_TOKEN}', retries: '${B_TOKEN}', cron: '${C_TOKEN}'}}"


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture(scope="module")
def sandbox(hook: Webhook) -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        texts = [form(secret) for secret in SECRETS for form in FORMS.values()]
        named = {f"SECRET_{number}": secret for number, secret in enumerate(SECRETS)}
        sandbox.environ |= {"HOOK": hook.url, "FILE_TOKEN": f"/nowhere/{SECRETS[0]}", **named}
        sandbox.environ["TEXTS"] = json.dumps(texts)
        Path(sandbox.root, "leaking.py").write_text(WORKERS)
        with supervised(sandbox):
            for job in ("leak", "fail", "missing"):
                sandbox.ask("run", job, "--wait")
            sandbox.ask(
                "run", "given", "--set", f"token={NUMBER}", "--set", "api_key=swordfish-42"
            )
            until(lambda: len(sandbox.json("history")["runs"]) == 4)
            until(lambda: not sandbox.json("status")["runs"], within_s=20)
            until(lambda: len(hook.calls) >= 3, within_s=20)
            yield sandbox


def has_none(text: str) -> None:
    """Fail if the text contains one of the secrets."""
    for secret in (*SECRETS, str(NUMBER), "swordfish-42"):
        assert not leaks(text, secret), secret


# These answers have no text that a secret was put into.
WITHOUT_TEXTS = (["history", "--actions", "--json"], ["show", "leak", "--json"], ["check"])


@pytest.mark.parametrize(
    "words",
    [
        ["status"], ["status", "--json"], ["history"], ["history", "--json"],
        ["history", "--actions", "--json"], ["explain", "fail"], ["explain", "missing"],
        ["explain", "given"], ["logs", "leak"], ["logs", "fail"], ["logs", "given"],
        ["incidents"], ["incidents", "--json"], ["jobs"], ["jobs", "--json"],
        ["show", "missing"], ["show", "leak", "--json"], ["check"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_answer_gives_a_secret_away(sandbox, words):
    said = sandbox.ask(*words)

    assert ("***" in said.stdout) == (words not in WITHOUT_TEXTS), said.stdout
    has_none(said.stdout + said.stderr)


def test_the_log_of_the_service_gives_none_away(sandbox):
    has_none((sandbox.root / "log").read_text())


def test_metrics_give_none_away(sandbox):
    connection = http.client.HTTPConnection("nightshift")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(sandbox.socket))
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()

    assert "nightshift_" in text
    has_none(text)


def test_alerts_give_none_away(sandbox, hook):
    bodies = [call.body for call in hook.calls]

    assert any("***" in body for body in bodies)
    for body in bodies:
        has_none(body)


def test_no_file_at_rest_gives_one_away(sandbox):
    """Except the raw output of runs and the definitions, as docs/security.md says."""
    found = [path for path in sandbox.state.rglob("*") if path.is_file()]
    kept = [path for path in found if path.parent.name not in ("runs", "cache", "tmp")]

    assert any(path.name.startswith("ledger") for path in kept)
    for path in kept:
        has_none(path.read_bytes().decode(errors="replace"))


def test_a_mistake_quotes_no_secret(sandbox):
    file = sandbox.root / "bad.yaml"
    file.write_text(BAD)

    tokens = {"A_TOKEN": SECRETS[0] * 3, "B_TOKEN": SECRETS[1], "C_TOKEN": "k" * 99}
    said = sandbox.ask("check", str(file), **tokens)

    assert said.returncode == 2
    assert "***" in said.stderr + said.stdout
    has_none(said.stdout + said.stderr)
    assert "kkkkkkkkkkkk" not in said.stdout + said.stderr
