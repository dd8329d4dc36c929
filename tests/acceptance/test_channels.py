"""The real service with several channels; one that is down delays and loses no other alert."""

import json
import socket
from collections.abc import Iterator

import pytest
from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook as Verifier

from tests.acceptance import raw_client
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.ledger_reader import rows
from tests.waiting import until
from tests.webhook import Webhook, nobody

KEY = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
JOBS = """
timezone: UTC
notify:
  min_severity: error
  channels:
    ops: {slack: "${OPS}"}
    hook: {webhook: "${HOOK}", secret: "${KEY}", jobs: [flaky]}
    dead: {discord: "${DEAD}"}
    phone: {apprise: "${PHONE}", min_severity: critical}
    post: {smtp: "${MAIL}", starttls: false, from: cron@example.org, to: ops@example.org}
    off: {teams: "${NOTHING:-}"}
jobs:
  flaky: {command: "exit 1"}
  other: {command: "exit 2"}
"""


EMPTY = dict.fromkeys(("ops", "hook", "dead", "phone", "post"), 0)


class Inbox:
    """SMTP handler that keeps the mails it receives."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server, session, envelope) -> str:  # type: ignore[no-untyped-def] # noqa: N802
        self.mails.append(envelope.content)
        return "250 OK"


@pytest.fixture
def ops() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def sandbox(ops: Webhook, hook: Webhook, inbox: Inbox) -> Iterator[Sandbox]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    with Sandbox(JOBS) as sandbox:
        sandbox.environ |= {"OPS": ops.url, "HOOK": hook.url, "DEAD": nobody(), "KEY": KEY}
        sandbox.environ |= {
            "MAIL": f"smtp://127.0.0.1:{port}",
            "PHONE": "json://127.0.0.1:1/tok3n",
        }
        yield sandbox
    server.stop()


def channels(sandbox: Sandbox) -> dict[str, dict[str, object]]:
    return {each["name"]: each for each in raw_client.status(sandbox)["alerts"]["channels"]}


def waiting(sandbox: Sandbox) -> dict[str, object]:
    return {name: each["waiting"] for name, each in channels(sandbox).items()}


def test_each_channel_gets_its_alerts_and_a_dead_one_delays_none(
    sandbox: Sandbox, ops: Webhook, hook: Webhook, inbox: Inbox
) -> None:
    with supervised(sandbox):
        sandbox.ask("run", "flaky", "--wait")
        sandbox.ask("run", "other", "--wait")
        until(lambda: len(ops.calls) == 2 and len(hook.calls) == 1 and len(inbox.mails) == 2)
        until(lambda: waiting(sandbox) == {**EMPTY, "dead": 2})
        until(lambda: channels(sandbox)["dead"]["error"])
        shown = sandbox.says("status")
        judged = sandbox.ask("doctor").stdout

    assert "ALERTS  2 alerts not delivered to dead: call 127.0.0.1: Connection refused" in shown
    assert "2 alerts wait for dead" in judged
    [call] = hook.calls
    names = {name.lower(): text for name, text in call.headers.items()}
    assert Verifier(KEY).verify(call.body, names)["data"]["job"] == "flaky"
    withheld = dict(rows(sandbox, "SELECT channel, withheld FROM outbox WHERE withheld != ''"))
    assert withheld == {
        "hook": "channel hook is not for other",
        "phone": "error is below critical",
    }


def test_what_waits_for_a_dead_channel_is_sent_by_the_next_service(sandbox: Sandbox) -> None:
    with supervised(sandbox):
        sandbox.ask("run", "flaky", "--wait")
        until(lambda: channels(sandbox)["dead"]["error"])
    with Webhook() as fixed:
        sandbox.environ["DEAD"] = fixed.url
        with supervised(sandbox):
            until(lambda: len(fixed.calls) == 1)
            until(lambda: channels(sandbox)["dead"]["waiting"] == 0)


def test_one_channel_or_all_can_be_tested(sandbox: Sandbox, ops: Webhook, hook: Webhook) -> None:
    with supervised(sandbox):
        one = sandbox.json("notify", "--test", "hook")
        status, said = sandbox.refuses("notify", "--test")
        unknown = sandbox.refuses("notify", "--test", "opps")

    assert one == {"delivered": "hook"}
    assert status == 1
    assert "the test alert did not arrive: dead: call 127.0.0.1: Connection refused" in said
    assert "phone: apprise: " in said
    assert len(ops.calls) == 1
    assert unknown[0] == 2
    assert 'no channel is called "opps"' in unknown[1]
    assert "tok3n" not in said


def test_no_secret_of_a_channel_is_shown(sandbox: Sandbox) -> None:
    with supervised(sandbox):
        sandbox.ask("run", "flaky", "--wait")
        until(lambda: channels(sandbox)["dead"]["error"])
        shown = [
            sandbox.says("status"),
            sandbox.says("check"),
            json.dumps(raw_client.status(sandbox)),
        ]
        shown.append(sandbox.ask("notify", "--test").stderr)
        shown.append(sandbox.ask("doctor").stdout)
    shown.append((sandbox.root / "log").read_text())

    for text in shown:
        assert "sesame" not in text
        assert KEY not in text
        assert "C2FVsBQIhrsc" not in text
        assert "tok3n" not in text
