"""Heartbeats by one warm child: newest first, one job after itself, never in the way."""

import os
import stat
from pathlib import Path

import pytest

from supervisor.core import events as ev
from supervisor.core.alert_model import HeartbeatCall, HeartbeatKind
from supervisor.log import ServiceLog
from supervisor.notifications import heartbeat_sender
from supervisor.notifications.heartbeat_sender import HeartbeatSender, target
from tests.edge.fixtures_keepers import Stage, at, carriers
from tests.webhook import Webhook, nobody


@pytest.fixture
def hook():
    with Webhook() as server:
        yield server


class Chest:
    """Heartbeats on a stage; `log` is what the service would have logged."""

    def __init__(self, folder: Path) -> None:
        (folder / "runs").mkdir()
        self.read_end, write_end = os.pipe()
        self.log = ServiceLog("debug", as_json=False, fd=write_end)
        self.hearts = HeartbeatSender(folder / "heartbeats.pipe", self.log)
        self.stage = Stage(folder / "runs")
        self.skip_s = 0.0
        self._seen = 0

    def at(self) -> ev.At:
        now = at()
        return ev.At(now.wall, now.mono + self.skip_s)

    def hurry(self) -> None:
        """Nothing happens before the next try: let it be then."""
        due = self.hearts.next_instant()
        if due is not None and not self.under_way:
            self.skip_s += max(0.0, due - self.at().mono)

    @property
    def under_way(self) -> int:
        """How many calls the child has been given and not answered."""
        return len(self.hearts._under_way)

    def turn(self) -> None:
        launch = self.hearts.next_launch(self.at())
        if launch is not None:
            self.stage.happened += self.stage.processes.launch(launch, at())
        self.stage.turn()
        new, self._seen = self.stage.happened[self._seen :], len(self.stage.happened)
        assert self.hearts.on_events(new, self.at()) == []

    def until(self, condition) -> None:
        self.stage.until(lambda: self.turn() or condition(), within_s=25)

    def until_idle(self) -> None:
        self.until(lambda: self.hurry() or self.hearts.is_idle)

    def logged(self) -> list[str]:
        self.log.close()
        os.set_blocking(self.read_end, False)
        try:
            return os.read(self.read_end, 65536).decode().splitlines()
        except BlockingIOError:
            return []


@pytest.fixture
def chest(tmp_path):
    opened = Chest(tmp_path)
    yield opened
    opened.hearts.close()
    opened.stage.close()


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
def test_the_word_goes_onto_the_path_and_before_the_query(url, pulse, called):
    assert target(HeartbeatCall("a", url, pulse)) == called


def test_a_failure_brings_its_cause(chest, hook):
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.FAIL, "exit status 3"))

    chest.until_idle()

    [call] = hook.calls
    assert (call.method, hook.paths(), call.body) == ("POST", ["sesame/fail"], "exit status 3")


def test_start_and_success_are_calls_without_a_body(chest, hook):
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    chest.hearts.take(HeartbeatCall("b", hook.url, HeartbeatKind.SUCCESS))

    chest.until_idle()

    assert sorted(hook.paths()) == ["sesame", "sesame/start"]
    assert {call.body for call in hook.calls} == {""}


def test_one_child_serves_them_all(chest, hook):
    for number in range(100):
        chest.hearts.take(HeartbeatCall(f"job-{number}", hook.url, HeartbeatKind.SUCCESS))
    chest.until_idle()
    chest.hearts.take(HeartbeatCall("again", hook.url, HeartbeatKind.SUCCESS))

    chest.until_idle()

    assert len(hook.calls) == 101
    assert len([event for event in chest.stage.happened if isinstance(event, ev.Started)]) == 1


def test_beats_to_one_url_come_in_their_order(chest, hook):
    hook.reacts(swallows=True)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    chest.until(lambda: hook.calls)

    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    chest.hearts.take(HeartbeatCall("b", f"{hook.url}/b", HeartbeatKind.SUCCESS))
    chest.until(lambda: len(hook.calls) == 2)

    assert hook.paths() == ["sesame/start", "sesame/b"]
    assert chest.hearts.next_instant() is None


def test_of_what_waits_only_the_newest_of_a_job_is_reported(chest, hook):
    hook.reacts(swallows=True)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    chest.until(lambda: hook.calls)
    for pulse in (HeartbeatKind.FAIL, HeartbeatKind.START, HeartbeatKind.SUCCESS) * 100:
        chest.hearts.take(HeartbeatCall("a", hook.url, pulse))
    hook.release()

    chest.until_idle()

    # What was swallowed may not have arrived.
    assert hook.paths() == ["sesame/start", "sesame/start", "sesame"]


def test_a_dead_endpoint_costs_a_count_and_one_line(chest):
    url = nobody()
    for _ in range(5):
        chest.hearts.take(HeartbeatCall("a", url, HeartbeatKind.SUCCESS))
        chest.until_idle()

    assert chest.hearts.failures == 5
    [line] = [line for line in chest.logged() if "heartbeat" in line]
    assert "heartbeat of a: call 127.0.0.1: Connection refused (3 tries)" in line


@pytest.mark.parametrize(
    "how",
    [{"raw": b""}, {"status": 503}, {"status": 500}, {"status": 429}, {"status": 408}],
    ids=["connection lost", "503", "500", "429", "408"],
)
def test_what_may_pass_is_tried_up_to_three_times(chest, hook, how):
    hook.reacts(**how).reacts(**how)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    chest.until_idle()

    assert hook.paths() == ["sesame"] * 3
    assert chest.hearts.failures == 0
    assert chest.skip_s <= heartbeat_sender.WITHIN_S


def test_after_three_tries_it_is_a_failure(chest, hook):
    hook.always(503)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    chest.until_idle()

    assert (len(hook.calls), chest.hearts.failures) == (3, 1)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_who_says_no_is_not_asked_again(chest, hook, status):
    hook.always(status)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    chest.until_idle()

    assert (len(hook.calls), chest.hearts.failures) == (1, 1)


@pytest.mark.parametrize(("asked_s", "calls"), [("9", 2), ("40", 2), ("61", 1), ("99999999", 1)])
def test_retry_after_is_obeyed_within_the_minute(chest, hook, asked_s, calls):
    hook.answers(429, {"Retry-After": asked_s})
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    chest.until_idle()

    assert len(hook.calls) == calls
    assert chest.hearts.failures == 2 - calls
    assert calls == 1 or float(asked_s) - 1 < chest.skip_s <= heartbeat_sender.WITHIN_S


def test_what_follows_to_the_same_url_waits_for_the_tries_before_it(chest, hook):
    hook.answers(503).answers(503)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    chest.until(lambda: hook.calls)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.FAIL, "exit status 1"))
    chest.hearts.take(HeartbeatCall("b", hook.url, HeartbeatKind.SUCCESS))

    chest.until_idle()

    assert hook.paths() == ["sesame/start"] * 3 + ["sesame/fail", "sesame"]


def test_a_dead_endpoint_keeps_no_other_waiting(chest, hook):
    for number in range(40):
        chest.hearts.take(
            HeartbeatCall(f"dead-{number}", f"{nobody()}/{number}", HeartbeatKind.SUCCESS)
        )
    chest.until(lambda: not chest.under_way)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))

    chest.until(lambda: hook.calls)

    assert chest.skip_s == 0
    assert chest.hearts.failures == 0


def test_a_child_that_went_meanwhile_is_replaced_for_the_next_try(chest, hook, monkeypatch):
    monkeypatch.setattr(heartbeat_sender, "WORKER", "tests.edge.test_heartbeats:soon_idle")
    hook.answers(503)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    chest.until(lambda: any(isinstance(e, ev.TreeEmpty) for e in chest.stage.happened))

    chest.until_idle()

    assert (len(hook.calls), chest.hearts.failures) == (2, 0)


def test_after_a_while_the_next_line_tells_how_many(chest):
    url = nobody()
    for _ in range(4):
        chest.hearts.take(HeartbeatCall("a", url, HeartbeatKind.SUCCESS))
        chest.until_idle()
    chest.skip_s += heartbeat_sender.LOG_EVERY_S
    chest.hearts.take(HeartbeatCall("a", url, HeartbeatKind.SUCCESS))

    chest.until_idle()

    lines = [line for line in chest.logged() if "heartbeat" in line]
    assert len(lines) == 2
    assert "(4 failures since the last such line)" in lines[1]


def test_a_hundred_silent_endpoints_do_not_hold_up_anyone_who_asks(chest, hook):
    hook.reacts(swallows=True)
    for number in range(100):
        chest.hearts.take(HeartbeatCall(f"job-{number}", hook.url, HeartbeatKind.START))
    chest.until(lambda: hook.calls)

    for number in range(1000):
        chest.hearts.take(
            HeartbeatCall(f"job-{number % 100}", hook.url, HeartbeatKind.FAIL, "x" * 60_000)
        )
        chest.hearts.next_launch(chest.at())

    assert len(hook.calls) <= 101


def test_a_killed_child_is_replaced_after_a_rest(chest, hook):
    hook.reacts(swallows=True)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    chest.until(lambda: hook.calls)
    [child] = chest.stage.jobs()
    os.kill(child, 9)
    chest.until_idle()

    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    waits_until = chest.hearts.next_instant()
    chest.skip_s = heartbeat_sender.REST_S
    chest.until_idle()

    assert chest.hearts.failures == 1
    assert waits_until > at().mono
    assert hook.paths() == ["sesame/start", "sesame"]


def test_what_waits_for_its_next_try_is_not_tried_after_the_minute(chest, hook):
    hook.answers(503).reacts(swallows=True)
    chest.hearts.take(HeartbeatCall("a", f"{hook.url}/a", HeartbeatKind.START))
    chest.until(lambda: hook.calls and not chest.under_way)
    chest.hearts.take(HeartbeatCall("b", f"{hook.url}/b", HeartbeatKind.START))
    chest.until(lambda: len(hook.calls) == 2)
    [child] = chest.stage.jobs()
    os.kill(child, 9)

    chest.until(lambda: chest.hearts.is_idle)

    assert (len(hook.calls), chest.hearts.failures) == (2, 2)


def test_a_child_that_had_nothing_to_do_ends_and_nothing_is_lost(chest, hook, monkeypatch):
    monkeypatch.setattr(heartbeat_sender, "WORKER", "tests.edge.test_heartbeats:soon_idle")
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    chest.until(lambda: any(isinstance(e, ev.TreeEmpty) for e in chest.stage.happened))

    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.SUCCESS))
    chest.until_idle()

    assert len(hook.calls) == 2
    assert chest.hearts.failures == 0


def soon_idle(params, report):
    """The child, with less patience."""
    from supervisor.notifications.child import call_heartbeats

    call_heartbeats.IDLE_S = 0.2
    return call_heartbeats.run(params, report)


def test_a_child_that_has_served_long_enough_hands_over(chest, hook, monkeypatch):
    monkeypatch.setattr(heartbeat_sender, "WORKER", "tests.edge.test_heartbeats:soon_tired")
    for number in range(40):
        chest.hearts.take(HeartbeatCall(f"job-{number}", hook.url, HeartbeatKind.SUCCESS))
        chest.turn()

    chest.until_idle()

    assert (len(hook.calls), chest.hearts.failures) == (40, 0)


def soon_tired(params, report):
    """The child, with a short life."""
    from supervisor.notifications.child import call_heartbeats

    call_heartbeats.MOST_BEATS = 3
    return call_heartbeats.run(params, report)


def test_a_url_too_long_for_the_pipe_is_a_failure(chest, hook):
    chest.hearts.take(HeartbeatCall("a", f"{hook.url}/{'x' * 5000}", HeartbeatKind.SUCCESS))
    chest.hearts.take(HeartbeatCall("b", hook.url, HeartbeatKind.SUCCESS))

    chest.until_idle()

    assert (len(hook.calls), chest.hearts.failures) == (1, 1)


def test_a_cause_of_any_length_and_script_goes_through(chest, hook):
    chest.hearts.take(
        HeartbeatCall("a", hook.url, HeartbeatKind.FAIL, "\x00\udcff" + "ü🔴" * 50_000)
    )

    chest.until_idle()

    assert 900 < len(hook.calls[0].body.encode()) <= heartbeat_sender.MOST_BODY_BYTES


@pytest.mark.parametrize("place", ["missing/heartbeats.pipe", "runs"], ids=["gone", "taken"])
def test_a_folder_that_takes_no_pipe_is_a_failure_and_no_end(tmp_path, chest, place):
    chest.hearts = HeartbeatSender(tmp_path / place, chest.log)
    chest.hearts.take(HeartbeatCall("a", "http://127.0.0.1:9/", HeartbeatKind.SUCCESS))

    launch = chest.hearts.next_launch(chest.at())

    assert launch is None
    assert chest.hearts.failures == 1
    assert chest.hearts.next_instant() > at().mono


def test_urls_are_for_their_owner_only(chest, hook, tmp_path):
    hook.reacts(swallows=True)
    chest.hearts.take(HeartbeatCall("a", hook.url, HeartbeatKind.START))
    chest.until(lambda: hook.calls)

    open_to_see = [
        Path(f"/proc/{pid}/{name}").read_bytes()
        for pid in carriers(chest.stage.instance)
        for name in ("cmdline", "environ")
    ]
    assert [text for text in open_to_see if b"sesame" in text] == []
    assert stat.S_IMODE((tmp_path / "heartbeats.pipe").stat().st_mode) == 0o600
