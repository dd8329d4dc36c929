"""Exceptions in the rules: reported, the run fails, the service goes on."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.api.bridge import Reload
from supervisor.core import control_requests
from supervisor.core import events as ev
from supervisor.core.decide import decide
from supervisor.core.model import Peer, Run, State
from supervisor.ledger.queries import History, RunFilter
from supervisor.service import Service, Settings
from tests.acceptance.daemon import Sandbox

JOBS = """
max_concurrent: 20
jobs:
  good: {command: [echo, hello]}
  worker: {worker: "mine:run"}
  missing: {command: [/no/such/program]}
  long: {command: [sleep, "60"], kill_grace: 1s, retries: 3, retry_delay: 0s}
"""
ME = Peer(0, 1)
FOLDER: dict[int, Path] = {}


class DefectError(Exception):
    """An exception that no rule handles."""


class Rules:
    """The real rules, which raise at the first events of one kind."""

    def __init__(self, kind: type, times: int = 1) -> None:
        self.kind, self.left = kind, times

    def __call__(self, scheduler: Any, event: ev.Event) -> Any:
        is_group = isinstance(event, ev.AttemptEvents)
        events = event.events if is_group else (event,)
        if any(isinstance(each, self.kind) for each in events) and self.left > 0:
            self.left -= not is_group  # each event of the batch is decided again, alone
            raise DefectError("injected")
        return decide(scheduler, event)


@pytest.fixture
def begin() -> Iterator[Callable[..., Service]]:
    """Return a function that starts a service with given rules; it is closed at the end."""
    begun: list[Service] = []
    umask = os.umask(0o022)
    with Sandbox(JOBS) as sandbox:
        (sandbox.root / "mine.py").write_text("def run(params, report): report.log('hello')")

        def make(rules: Any) -> Service:
            service = Service(
                Settings(sandbox.config, sandbox.state, sandbox.socket, log_level="error"), rules
            )
            begun.append(service)
            FOLDER[id(service)] = sandbox.state
            return service

        yield make
        for service in begun:
            service.close()
    # A service sets the umask of its process, which here runs all later tests.
    os.umask(umask)


def ask(service: Service, request: Any) -> Any:
    answer = service.bridge.submit(ME, request)
    until(service, answer.done)
    return answer


def until(service: Service, condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        service.bridge.wake()
        service.loop.once()


def last_of(service: Service, job: str) -> Run:
    """Wait until the newest run of a job has ended with all its processes, and return it."""
    until(service, lambda: job not in service.loop.scheduler.by_job)
    service.loop.flush()
    return runs(service, job)[0]


def runs(service: Service, job: str) -> list[Run]:
    history = History(FOLDER[id(service)])
    found = history.runs(RunFilter(job=job))
    history.close()
    return found


def incidents(service: Service) -> list[tuple[str, str]]:
    return [(each.job, each.severity) for each in service.loop.scheduler.incidents.values()
            if each.kind == "internal"]  # fmt: skip


def works(service: Service) -> bool:
    """Return whether a run can be requested and succeeds."""
    answer = ask(service, control_requests.RunJobs(("good",)))
    assert answer.result().answer is control_requests.ReplyStatus.OK
    return last_of(service, "good").state is State.SUCCESS


OF_A_RUN = [
    (ev.Started, "good"),
    (ev.Exited, "good"),
    (ev.TreeEmpty, "good"),
    (ev.MessageReceived, "worker"),
    (ev.Started, "worker"),
    (ev.Exited, "worker"),
    (ev.LaunchFailed, "missing"),
]


@pytest.mark.parametrize(
    ("kind", "job"), OF_A_RUN, ids=lambda part: getattr(part, "__name__", part)
)
def test_the_run_concerned_fails_and_leaves_its_place(begin, kind, job):
    service = begin(Rules(kind))

    ask(service, control_requests.RunJobs((job,)))
    last = last_of(service, job)

    # The verdict is settled when the process ends, before its tree is empty.
    ended = (State.SUCCESS, None) if kind is ev.TreeEmpty else (State.FAILED, "internal")
    assert (last.state, last.reason) == ended
    assert [severity for _, severity in incidents(service)] == ["critical"]
    assert works(service)
    assert not service.loop.scheduler.live_attempts


def test_a_run_whose_process_lives_is_killed(begin):
    service = begin(Rules(ev.Started))

    ask(service, control_requests.RunJobs(("long",)))
    last = last_of(service, "long")

    assert (last.state, last.reason, last.attempt) == (State.FAILED, "internal", 1)
    assert "DefectError: injected (test_internal_errors.py:" in last.cause


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (ev.TimePassed, lambda at: ev.TimePassed(at)),
        (ev.LedgerRecovered, lambda at: ev.LedgerRecovered(at)),
        (ev.LedgerWriteFailed, lambda at: ev.LedgerWriteFailed(at, (), "full")),
        (ev.Delivered, lambda at: ev.Delivered(at, (), "slack")),
        (ev.Undelivered, lambda at: ev.Undelivered(at, "down", "slack")),
        (ev.LedgerDamaged, lambda at: ev.LedgerDamaged(at, "a row")),
        (ev.KeeperLost, lambda at: ev.KeeperLost(at, 77, 1)),
        (ev.InternalError, lambda at: ev.InternalError(at, "here", "x", 77)),
        (ev.ReloadRefused, lambda at: ev.ReloadRefused(at, ())),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_an_event_of_any_kind_is_dropped_and_reported(begin, kind, event):
    service = begin(Rules(kind))

    service.loop.turn([event(service.loop.read_clocks())])

    assert incidents(service) == [("", "critical")]
    assert works(service)


def test_a_request_that_cannot_be_decided_is_answered(begin):
    service = begin(Rules(ev.Requested))

    reply = ask(service, control_requests.RunJobs(("good",))).result()

    assert reply.answer is control_requests.ReplyStatus.UNAVAILABLE
    assert "DefectError: injected" in reply.error
    assert works(service)


def test_a_reload_that_cannot_be_decided_is_answered(begin):
    service = begin(Rules(ev.Reloaded))

    refused = ask(service, Reload()).exception()

    assert "internal error" in refused.problems[0].message
    assert works(service)


def test_a_past_that_cannot_be_taken_in_does_not_stop_a_start(begin):
    service = begin(Rules(ev.Restored))

    assert incidents(service) == [("", "critical")]
    assert works(service)


def test_the_service_can_be_stopped_whatever_is_wrong(begin):
    service = begin(Rules(ev.StopAsked))

    service.loop.on_signal(signal.SIGTERM)
    service.bridge.wake()

    service.run()


def test_a_timer_that_always_fails_is_not_tried_at_once_again(begin):
    rules = Rules(ev.TimePassed, times=0)
    service = begin(rules)
    ask(service, control_requests.RunJobs(("long",)))
    until(service, lambda: service.loop.scheduler.live_attempts)
    ask(service, control_requests.CancelJob("long"))  # its grace is a timer

    rules.left = 1000
    service.loop.turn([ev.TimePassed(service.loop.read_clocks())])
    for _ in range(50):
        service.bridge.wake()
        service.loop.once()

    assert rules.left >= 998
    assert works(service)
