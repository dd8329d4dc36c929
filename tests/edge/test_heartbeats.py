"""Heartbeats, sent by one long-lived child: newest first, in order for each job, no blocking."""

import os
import stat
from pathlib import Path

import pytest

from supervisor.core import events as ev
from supervisor.core.alert_model import HeartbeatCall, HeartbeatKind
from supervisor.log import ServiceLog
from supervisor.notifications import heartbeat_sender
from supervisor.notifications.heartbeat_sender import HeartbeatSender, target
from tests.edge.fixtures_keepers import Runner, at, pids_of_instance
from tests.webhook import Webhook, nobody


@pytest.fixture
def hook():
    with Webhook() as server:
        yield server


class HeartbeatHarness:
    """A heartbeat sender with its child process; `log` collects the service's log lines."""

    def __init__(self, folder: Path) -> None:
        (folder / "runs").mkdir()
        self.read_end, write_end = os.pipe()
        self.log = ServiceLog("debug", as_json=False, fd=write_end)
        self.sender = HeartbeatSender(folder / "heartbeats.pipe", self.log)
        self.runner = Runner(folder / "runs")
        self.skip_s = 0.0
        self._seen = 0

    def at(self) -> ev.At:
        now = at()
        return ev.At(now.wall, now.mono + self.skip_s)

    def skip_to_next_try(self) -> None:
        """Skip the time until the next try, if no call is under way."""
        due = self.sender.next_instant()
        if due is not None and not self.under_way:
            self.skip_s += max(0.0, due - self.at().mono)

    @property
    def under_way(self) -> int:
        """Return how many calls the child has received and not answered."""
        return len(self.sender._under_way)

    def turn(self) -> None:
        launch = self.sender.next_launch(self.at())
        if launch is not None:
            self.runner.happened += self.runner.processes.launch(launch, at())
        self.runner.turn()
        new, self._seen = self.runner.happened[self._seen :], len(self.runner.happened)
        assert self.sender.on_events(new, self.at()) == []

    def until(self, condition) -> None:
        self.runner.until(lambda: self.turn() or condition(), within_s=25)

    def until_idle(self) -> None:
        self.until(lambda: self.skip_to_next_try() or self.sender.is_idle)

    def logged(self) -> list[str]:
        self.log.close()
        os.set_blocking(self.read_end, False)
        try:
            return os.read(self.read_end, 65536).decode().splitlines()
        except BlockingIOError:
            return []


@pytest.fixture
def harness(tmp_path):
    opened = HeartbeatHarness(tmp_path)
    yield opened
    opened.sender.close()
    opened.runner.close()


@pytest.mark.parametrize(
    ("url", "pulse", "called"),
    [
        ("https://hc.example/uuid", HeartbeatKind.START, "https://hc.example/uuid/start"),
        ("https://hc.example/uuid/", HeartbeatKind.FAIL, "https://hc.example/uuid/fail"),
        (
            "https://hc.example/uuid?rid=1",
            HeartbeatKind.FAIL,
            "https://hc.example/uuid/fail?rid=1",
        ),
        ("https://hc.example/uuid/?a=b", HeartbeatKind.SUCCESS, "https://hc.example/uuid/?a=b"),
        ("https://hc.example", HeartbeatKind.START, "https://hc.example/start"),
    ],
)
def test_the_kind_of_heartbeat_is_added_to_the_path(url, pulse, called):
    assert target(HeartbeatCall("a", url, pulse)) == called


def test_a_failure_brings_its_cause(harness, hook):
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.FAIL, "exit status 3"))

    harness.until_idle()

    [call] = hook.calls
    assert (call.method, hook.paths(), call.body) == ("POST", ["sesame/fail"], "exit status 3")


def test_start_and_success_are_calls_without_a_body(harness, hook):
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    harness.sender.take(HeartbeatCall("b", hook.url, HeartbeatKind.SUCCESS))

    harness.until_idle()

    assert sorted(hook.paths()) == ["sesame", "sesame/start"]
    assert {call.body for call in hook.calls} == {""}


def test_one_child_serves_them_all(harness, hook):
    for number in range(100):
        harness.sender.take(HeartbeatCall(f"job-{number}", hook.url, HeartbeatKind.SUCCESS))
    harness.until_idle()
    harness.sender.take(HeartbeatCall("again", hook.url, HeartbeatKind.SUCCESS))

    harness.until_idle()

    assert len(hook.calls) == 101
    assert len([event for event in harness.runner.happened if isinstance(event, ev.Started)]) == 1


def test_beats_to_one_url_come_in_their_order(harness, hook):
    hook.reacts(swallows=True)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    harness.until(lambda: hook.calls)

    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    harness.sender.take(HeartbeatCall("b", f"{hook.url}/b", HeartbeatKind.SUCCESS))
    harness.until(lambda: len(hook.calls) == 2)

    assert hook.paths() == ["sesame/start", "sesame/b"]
    assert harness.sender.next_instant() is None


def test_of_what_waits_only_the_newest_of_a_job_is_reported(harness, hook):
    hook.reacts(swallows=True)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    harness.until(lambda: hook.calls)
    for pulse in (HeartbeatKind.FAIL, HeartbeatKind.START, HeartbeatKind.SUCCESS) * 100:
        harness.sender.take(HeartbeatCall("a", hook.url, pulse))
    hook.release()

    harness.until_idle()

    # The swallowed call may not have arrived.
    assert hook.paths() == ["sesame/start", "sesame/start", "sesame"]


def test_a_dead_endpoint_costs_a_count_and_one_line(harness):
    url = nobody()
    for _ in range(5):
        harness.sender.take(HeartbeatCall("a", url, HeartbeatKind.SUCCESS))
        harness.until_idle()

    assert harness.sender.failures == 5
    [line] = [line for line in harness.logged() if "heartbeat" in line]
    assert "heartbeat of a: call 127.0.0.1: Connection refused (3 tries)" in line


@pytest.mark.parametrize(
    "how",
    [{"raw": b""}, {"status": 503}, {"status": 500}, {"status": 429}, {"status": 408}],
    ids=["connection lost", "503", "500", "429", "408"],
)
def test_what_may_pass_is_tried_up_to_three_times(harness, hook, how):
    hook.reacts(**how).reacts(**how)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    harness.until_idle()

    assert hook.paths() == ["sesame"] * 3
    assert harness.sender.failures == 0
    assert harness.skip_s <= heartbeat_sender.WITHIN_S


def test_after_three_tries_it_is_a_failure(harness, hook):
    hook.always(503)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    harness.until_idle()

    assert (len(hook.calls), harness.sender.failures) == (3, 1)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_an_endpoint_that_refuses_is_not_retried(harness, hook, status):
    hook.always(status)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    harness.until_idle()

    assert (len(hook.calls), harness.sender.failures) == (1, 1)


@pytest.mark.parametrize(("asked_s", "calls"), [("9", 2), ("40", 2), ("61", 1), ("99999999", 1)])
def test_retry_after_is_obeyed_within_the_minute(harness, hook, asked_s, calls):
    hook.answers(429, {"Retry-After": asked_s})
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    harness.until_idle()

    assert len(hook.calls) == calls
    assert harness.sender.failures == 2 - calls
    assert calls == 1 or float(asked_s) - 1 < harness.skip_s <= heartbeat_sender.WITHIN_S


def test_what_follows_to_the_same_url_waits_for_the_tries_before_it(harness, hook):
    hook.answers(503).answers(503)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    harness.until(lambda: hook.calls)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.FAIL, "exit status 1"))
    harness.sender.take(HeartbeatCall("b", hook.url, HeartbeatKind.SUCCESS))

    harness.until_idle()

    assert hook.paths() == ["sesame/start"] * 3 + ["sesame/fail", "sesame"]


def test_a_dead_endpoint_keeps_no_other_waiting(harness, hook):
    for number in range(40):
        harness.sender.take(
            HeartbeatCall(f"dead-{number}", f"{nobody()}/{number}", HeartbeatKind.SUCCESS)
        )
    harness.until(lambda: not harness.under_way)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    harness.until(lambda: hook.calls)

    assert harness.skip_s == 0
    assert harness.sender.failures == 0


def test_a_child_that_went_meanwhile_is_replaced_for_the_next_try(harness, hook, monkeypatch):
    monkeypatch.setattr(
        heartbeat_sender, "WORKER", "tests.edge.test_heartbeats:with_short_idle_time"
    )
    hook.answers(503)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    harness.until(lambda: any(isinstance(e, ev.TreeEmpty) for e in harness.runner.happened))

    harness.until_idle()

    assert (len(hook.calls), harness.sender.failures) == (2, 0)


def test_after_a_while_the_next_line_tells_how_many(harness):
    url = nobody()
    for _ in range(4):
        harness.sender.take(HeartbeatCall("a", url, HeartbeatKind.SUCCESS))
        harness.until_idle()
    harness.skip_s += heartbeat_sender.LOG_EVERY_S
    harness.sender.take(HeartbeatCall("a", url, HeartbeatKind.SUCCESS))

    harness.until_idle()

    lines = [line for line in harness.logged() if "heartbeat" in line]
    assert len(lines) == 2
    assert "(4 failures since the last such line)" in lines[1]


def test_a_hundred_silent_endpoints_do_not_hold_up_anyone_who_asks(harness, hook):
    hook.reacts(swallows=True)
    for number in range(100):
        harness.sender.take(HeartbeatCall(f"job-{number}", hook.url, HeartbeatKind.START))
    harness.until(lambda: hook.calls)

    for number in range(1000):
        harness.sender.take(
            HeartbeatCall(f"job-{number % 100}", hook.url, HeartbeatKind.FAIL, "x" * 60_000)
        )
        harness.sender.next_launch(harness.at())

    assert len(hook.calls) <= 101


def test_a_killed_child_is_replaced_after_a_rest(harness, hook):
    hook.reacts(swallows=True)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    harness.until(lambda: hook.calls)
    [child] = harness.runner.jobs()
    os.kill(child, 9)
    harness.until_idle()

    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    waits_until = harness.sender.next_instant()
    harness.skip_s = heartbeat_sender.REST_S
    harness.until_idle()

    assert harness.sender.failures == 1
    assert waits_until > at().mono
    assert hook.paths() == ["sesame/start", "sesame"]


def test_what_waits_for_its_next_try_is_not_tried_after_the_minute(harness, hook):
    hook.answers(503).reacts(swallows=True)
    harness.sender.take(HeartbeatCall("a", f"{hook.url}/a", HeartbeatKind.START))
    harness.until(lambda: hook.calls and not harness.under_way)
    harness.sender.take(HeartbeatCall("b", f"{hook.url}/b", HeartbeatKind.START))
    harness.until(lambda: len(hook.calls) == 2)
    [child] = harness.runner.jobs()
    os.kill(child, 9)

    harness.until(lambda: harness.sender.is_idle)

    assert (len(hook.calls), harness.sender.failures) == (2, 2)


def test_a_child_that_had_nothing_to_do_ends_and_nothing_is_lost(harness, hook, monkeypatch):
    monkeypatch.setattr(
        heartbeat_sender, "WORKER", "tests.edge.test_heartbeats:with_short_idle_time"
    )
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    harness.until(lambda: any(isinstance(e, ev.TreeEmpty) for e in harness.runner.happened))

    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    harness.until_idle()

    assert len(hook.calls) == 2
    assert harness.sender.failures == 0


def with_short_idle_time(params, report):
    """Run the child with a shorter idle time."""
    from supervisor.notifications.child import call_heartbeats

    call_heartbeats.IDLE_S = 0.2
    return call_heartbeats.run(params, report)


def test_a_child_is_replaced_after_a_number_of_calls(harness, hook, monkeypatch):
    monkeypatch.setattr(heartbeat_sender, "WORKER", "tests.edge.test_heartbeats:with_short_life")
    for number in range(40):
        harness.sender.take(HeartbeatCall(f"job-{number}", hook.url, HeartbeatKind.SUCCESS))
        harness.turn()

    harness.until_idle()

    assert (len(hook.calls), harness.sender.failures) == (40, 0)


def with_short_life(params, report):
    """Run the child with a smaller number of calls in its life."""
    from supervisor.notifications.child import call_heartbeats

    call_heartbeats.MOST_BEATS = 3
    return call_heartbeats.run(params, report)


def test_a_url_too_long_for_the_pipe_is_a_failure(harness, hook):
    harness.sender.take(HeartbeatCall("a", f"{hook.url}/{'x' * 5000}", HeartbeatKind.SUCCESS))
    harness.sender.take(HeartbeatCall("b", hook.url, HeartbeatKind.SUCCESS))

    harness.until_idle()

    assert (len(hook.calls), harness.sender.failures) == (1, 1)


def test_a_cause_of_any_length_and_script_goes_through(harness, hook):
    harness.sender.take(
        HeartbeatCall("a", hook.url, HeartbeatKind.FAIL, "\x00\udcff" + "ü🔴" * 50_000)
    )

    harness.until_idle()

    assert 900 < len(hook.calls[0].body.encode()) <= heartbeat_sender.MOST_BODY_BYTES


@pytest.mark.parametrize("place", ["missing/heartbeats.pipe", "runs"], ids=["gone", "taken"])
def test_a_folder_that_takes_no_pipe_is_a_failure_and_no_end(tmp_path, harness, place):
    harness.sender = HeartbeatSender(tmp_path / place, harness.log)
    harness.sender.take(HeartbeatCall("a", "http://127.0.0.1:9/", HeartbeatKind.SUCCESS))

    launch = harness.sender.next_launch(harness.at())

    assert launch is None
    assert harness.sender.failures == 1
    assert harness.sender.next_instant() > at().mono


def test_urls_are_for_their_owner_only(harness, hook, tmp_path):
    hook.reacts(swallows=True)
    harness.sender.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    harness.until(lambda: hook.calls)

    open_to_see = [
        Path(f"/proc/{pid}/{name}").read_bytes()
        for pid in pids_of_instance(harness.runner.instance)
        for name in ("cmdline", "environ")
    ]
    assert [text for text in open_to_see if b"sesame" in text] == []
    assert stat.S_IMODE((tmp_path / "heartbeats.pipe").stat().st_mode) == 0o600
