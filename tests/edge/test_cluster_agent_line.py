"""The line between the agent and its supervisor, with a real bridge."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from supervisor.cluster.agent_line import AgentLine, HostBridge
from supervisor.cluster.agent_messages import Answer, Assign
from supervisor.cluster.local_host import HostLine
from supervisor.core import control_requests as req
from supervisor.core import events as ev
from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.views import Facts
from tests.core.core_harness import Harness, job
from tests.waiting import until

KEY = AssignmentKey(7, 1, 40, "schedule")
AT = datetime(2026, 2, 9, 2, 0, tzinfo=UTC)


class Host:
    """A supervisor without processes: the rules, the line, and an agent at the other end."""

    def __init__(self, folder: Path) -> None:
        self.rules = Harness(job("a"))
        self.rules.asks(req.ConfirmHost(60, 2))
        self.bridge = HostBridge(Facts("", 1, AT, "", AT))
        self.bridge.scheduler = self.rules.scheduler
        self.path = folder / "cluster" / "agent.sock"
        AgentLine(self.path, self.bridge)
        self.agent = HostLine(self.path)
        self.answers: list[Answer] = []

    def answer(self) -> None:
        """Answer the queued requests, as the loop does."""
        for call in self.bridge.take_requests():
            reply = self.rules.asks(call.what)
            self.bridge.answer(call.answer, reply, self.rules.scheduler)

    def goes_on(self, event: type[ev.AttemptEvent], *rest: object) -> None:
        run = self.rules.run("a")
        self.rules.send(event(self.rules.clocks(), run.id, run.attempt, *rest))
        self.bridge.scheduler = self.rules.scheduler

    def receives(self, count: int) -> list[Answer]:
        def received() -> bool:
            self.answer()
            self.answers += self.agent.drain()
            return len(self.answers) >= count

        until(received)
        taken, self.answers = self.answers, []
        return taken


@pytest.fixture
def host() -> Iterator[Host]:
    with TemporaryDirectory(prefix="nsl-", dir="/tmp") as folder:
        yield Host(Path(folder))


def test_an_attempt_is_answered_once_when_it_begins_and_when_its_processes_are_gone(host):
    host.agent.give([Assign("a", KEY, AT)])
    (opened,) = host.receives(1)
    host.goes_on(ev.Started, 99)
    (begun,) = host.receives(1)
    host.goes_on(ev.Exited, 0)
    (ended,) = host.receives(1)
    host.goes_on(ev.TreeEmpty)
    (over,) = host.receives(1)

    assert (opened.fence, opened.run.pid, opened.is_over) == (40, None, False)
    assert (begun.run.pid, begun.is_over) == (99, False)
    assert (ended.run.state, ended.is_over) == ("success", False)
    assert (over.run.state, over.is_over) == ("success", True)


def test_what_the_supervisor_refuses_is_answered_with_the_reason(host):
    host.agent.give([Assign("unknown", KEY, AT)])

    (refused,) = host.receives(1)

    assert (refused.run, refused.error) == (None, "no job unknown runs here")


def test_an_agent_that_connects_again_gets_the_same_run(host):
    host.agent.give([Assign("a", KEY, AT)])
    (before,) = host.receives(1)
    host.agent.close()
    host.agent = HostLine(host.path)

    host.agent.give([Assign("a", KEY, AT)])

    assert host.receives(1)[0].run.id == before.run.id


def test_the_line_serves_the_next_agent_after_an_error_of_its_own(host):
    host.agent.give([Assign("a", KEY, AT)])
    until(lambda: (calls := host.bridge.take_requests()) and answered_without_a_run(host, calls))

    host.agent = HostLine(host.path)
    host.agent.give([Assign("a", KEY, AT)])

    (opened,) = host.receives(1)
    assert (opened.fence, opened.error) == (40, "")


def answered_without_a_run(host, calls):
    """Answer requests in a way that the line does not expect."""
    for call in calls:
        host.bridge.answer(call.answer, req.Reply(1, req.ReplyStatus.OK), host.rules.scheduler)
    return True
