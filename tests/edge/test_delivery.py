"""Alert delivery by a real child process to a real server: once, in order, results reported."""

import os
from concurrent.futures import Future
from pathlib import Path

import pytest

from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.alert_model import Alert
from supervisor.core.config_model import Config, Job, Notify, Severity
from supervisor.core.model import Run, State, Trigger
from supervisor.core.state import SchedulerState
from supervisor.ledger.store import Store
from supervisor.log import ServiceLog
from supervisor.notifications import message_batch
from supervisor.notifications.alert_sender import AlertSender
from supervisor.notifications.message_batch import Outcome
from supervisor.notifications.message_source import MessageSource
from supervisor.notifications.trial_sender import TrialAlertSender
from supervisor.redaction.mask import make_mask
from tests.channels import channel, notify_slack
from tests.edge.fixtures_keepers import DUE, ROOT, Runner, at, pids_of_instance
from tests.webhook import Webhook, nobody


@pytest.fixture
def hook():
    with Webhook() as server:
        yield server


class SenderHarness:
    """An alert sender (real or trial) with its child process, and the events for the core."""

    def __init__(self, folder: Path, sender=None) -> None:
        (folder / "runs").mkdir()
        self.log = ServiceLog("debug", as_json=False, fd=os.open(os.devnull, os.O_WRONLY))
        self.sender = sender or AlertSender(MessageSource(folder, "0123456789abcdef", self.log))
        self.runner = Runner(folder / "runs")
        self.received: list[ev.Event] = []
        self._seen = 0

    def turn(self) -> None:
        launch = self.sender.next_launch(at())
        if launch is not None:
            self.runner.happened += self.runner.processes.launch(launch, at())
        self.runner.turn()
        new, self._seen = self.runner.happened[self._seen :], len(self.runner.happened)
        self.received += self.sender.on_events(new, at())

    def sends(self, url: str, *alerts: Alert) -> list[ev.Event]:
        """Send these alerts and return the events."""
        self.takes(url, *alerts)
        self.until(lambda: self.received)
        return self.received

    def takes(self, url: str, *alerts: Alert, scheduler=None, to: str = "slack") -> None:
        deliver = effects.Deliver(channel(to, url), alerts)
        self.sender.take(deliver, scheduler or world_of(url))

    def until(self, condition) -> None:
        self.runner.until(lambda: self.turn() or condition(), within_s=25)


def world_of(url: str | None, **config) -> SchedulerState:
    return SchedulerState(Config((), notify=notify_slack(url), **config))


def alert(number: int, cause: str = "exit status 1", **fields) -> Alert:
    given = {"run": None, "word": "opened", **fields}
    return Alert(
        number, 1, severity=Severity.ERROR, job="a", kind="exit", cause=cause, count=1,
        at=DUE, **given,
    )  # fmt: skip


@pytest.fixture
def harness(tmp_path):
    opened = SenderHarness(tmp_path)
    yield opened
    opened.runner.close()


def titles(hook: Webhook) -> list[str]:
    return [body["text"] for body in hook.bodies()]


def delivered(received) -> list[int]:
    return [n for event in received if isinstance(event, ev.Delivered) for n in event.alerts]


def failure(received) -> ev.Undelivered:
    [found] = [event for event in received if isinstance(event, ev.Undelivered)]
    return found


def test_a_batch_arrives_in_its_order(harness, hook):
    received = harness.sends(hook.url, alert(1, "one"), alert(2, "two"), alert(3, "three"))

    assert titles(hook) == ["🔴 a failed: one", "🔴 a failed: two", "🔴 a failed: three"]
    assert [type(event).__name__ for event in received] == ["Delivered"]
    assert delivered(received) == [1, 2, 3]


def test_nothing_is_tried_after_what_did_not_arrive(harness, hook):
    hook.answers(200).answers(500, body=b"rollup_error")

    received = harness.sends(hook.url, alert(1), alert(2), alert(3))

    assert len(hook.calls) == 2
    assert delivered(received) == [1]
    assert failure(received).cause == "127.0.0.1 answered 500: rollup_error"
    assert failure(received).refused is False


def test_what_the_channel_requests_reaches_the_core(harness, hook):
    hook.answers(429, {"Retry-After": "40"})

    received = harness.sends(hook.url, alert(1))

    assert failure(received).retry_after_s == 40


def test_a_webhook_that_is_gone_says_so_and_refuses(harness, hook):
    hook.answers(404, body=b"no_service")

    received = harness.sends(hook.url, alert(1))

    assert (failure(received).refused, failure(received).cause) == (
        True,
        "127.0.0.1 answered 404: no_service",
    )


def test_nobody_there_is_a_failure_like_any_other(harness):
    received = harness.sends(nobody(), alert(1))

    assert failure(received).cause == "call 127.0.0.1: Connection refused"


def test_a_server_that_drips_is_ended_by_the_kernel(harness, hook, monkeypatch):
    monkeypatch.setattr(
        "supervisor.notifications.message_batch.WORKER",
        "tests.edge.test_delivery:with_short_timeout",
    )
    hook.answers(200).reacts(drips=True)

    received = harness.sends(hook.url, alert(1), alert(2), alert(3))

    assert delivered(received) == [1]
    assert "killed by signal 14" in failure(received).cause


def with_short_timeout(params, report):
    """Run the child with a shorter timeout."""
    from supervisor.notifications.child import send_alerts

    send_alerts.CALL_S = 1
    return send_alerts.run(params, report)


def test_a_channel_that_does_not_answer_delays_no_other(harness, hook):
    with Webhook() as dead:
        dead.reacts(swallows=True)
        harness.takes(dead.url, alert(1), to="dead")
        harness.until(lambda: dead.calls)

        harness.takes(hook.url, alert(2), alert(3), to="ops")
        harness.until(lambda: harness.received)

    [arrived] = harness.received
    assert (arrived.channel, arrived.alerts) == ("ops", (2, 3))


def test_channels_in_turn_use_the_same_few_deliveries(harness, hook):
    for number in range(1, 4):
        harness.received.clear()
        harness.takes(hook.url, alert(number), to=f"channel-{number}")
        harness.until(lambda: harness.received)

        [arrived] = harness.received
        assert (arrived.channel, arrived.alerts) == (f"channel-{number}", (number,))


def test_a_killed_child_has_reported_what_arrived_before(harness, hook):
    hook.answers(200).answers(200).reacts(swallows=True)
    harness.takes(hook.url, alert(1), alert(2), alert(3))
    harness.until(lambda: len(hook.calls) == 3)
    [child] = harness.runner.jobs()

    os.kill(child, 9)
    harness.until(lambda: harness.received)

    assert delivered(harness.received) == [1, 2]
    assert "killed by signal 9" in failure(harness.received).cause


def test_a_dead_keeper_is_reported_as_a_failure(harness, hook):
    hook.reacts(swallows=True)
    harness.takes(hook.url, alert(1))
    harness.until(lambda: hook.calls)
    [keeper] = harness.runner.keepers()

    os.kill(keeper, 9)
    harness.until(lambda: harness.received)

    assert failure(harness.received).cause == "the process that delivers was lost"


def test_the_url_is_in_no_argument_no_environment_and_no_file(harness, hook, tmp_path):
    hook.reacts(swallows=True)
    harness.takes(hook.url, alert(1))
    harness.until(lambda: hook.calls)

    open_to_see = [
        Path(f"/proc/{pid}/{name}").read_bytes()
        for pid in pids_of_instance(harness.runner.instance)
        for name in ("cmdline", "environ")
    ]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert open_to_see
    assert [text for text in open_to_see + files if b"sesame" in text] == []


def test_a_message_tells_of_the_run_and_its_last_lines(harness, hook, tmp_path):
    store = Store(tmp_path)
    run = Run(41, "a", DUE, Trigger.SCHEDULE, State.FAILED, attempt=2)
    store.write([effects.Record(run)])
    (tmp_path / "runs" / "41.log").write_text("first\nreading <cards>\nno space left\n")

    harness.sends(hook.url, alert(1, run=41))

    store.close()
    text = hook.calls[0].body
    assert "no space left" in text
    assert "&lt;cards&gt;" in text
    assert "41, attempt 2" in text


@pytest.mark.parametrize(
    ("log", "last"),
    [
        ("".join(f"\rcopied {n} of 5000" for n in range(5000)), "copied 4999 of 5000"),
        ("".join(f"\rcopied {n} of 5000" for n in range(5000)) + "\n", "copied 4999 of 5000"),
        ("\x1b[2K\r50 %" * 5000 + "\ngone\n", "50 %\ngone"),
        ("." * 20_000 + " no space left", ". no space left"),
        ("secret-word-" * 5000 + "end", "***end"),
    ],
    ids=["CR", "CR and an end", "erased", "one long line", "one long line of secrets"],
)
def test_the_last_lines_are_those_that_a_terminal_would_show(harness, hook, tmp_path, log, last):
    harness.log.mask = make_mask(["secret-word-"])
    (tmp_path / "runs" / "41.log").write_text(log)

    harness.sends(hook.url, alert(1, run=41))

    posted = hook.calls[0].body
    output = [each for each in map(str, hook.calls[0].json()["blocks"]) if "Last lines" in each]
    assert f"{last}```" in output[0].replace("\\n", "\n")
    assert "secret-w" not in posted
    assert "cret-word" not in posted


def test_without_ledger_or_output_the_alert_is_still_sent(harness, hook):
    received = harness.sends(hook.url, alert(1, run=41))

    assert delivered(received) == [1]


def test_every_text_that_leaves_is_masked(harness, hook, tmp_path):
    secrets = ("hunter22", "line one\nline two", "line one", "line two")
    harness.log.mask = make_mask(secrets)
    log = "user root, password hunter22\nline one\nline two\ndsn postgres://u:geheim@db/x\n"
    (tmp_path / "runs" / "41.log").write_text(log)
    job = Job("a", 0, argv=("x",), description="uses hunter22", docs="http://u:geheim@wiki/")
    scheduler = world_of(hook.url)
    scheduler.jobs = scheduler.jobs.set("a", job)

    harness.takes(
        hook.url, alert(1, "login of root with hunter22 failed", run=41), scheduler=scheduler
    )
    harness.until(lambda: harness.received)

    text = hook.calls[0].body
    assert [word for word in ("hunter22", "line one", "line two", "geheim") if word in text] == []
    assert text.count("***") >= 5


@pytest.mark.parametrize("text", ["🔴", '"', "\\", "<", "\n"], ids=ascii)
def test_huge_texts_go_in_several_batches_and_in_their_order(harness, hook, tmp_path, text):
    (tmp_path / "runs" / "41.log").write_text(f"{text * 500}\n" * 20)
    alerts = [alert(number, f"{number} {text * 30_000}", run=41) for number in range(1, 11)]
    scheduler = world_of(hook.url)
    scheduler.jobs = scheduler.jobs.set("a", Job("a", 0, argv=("x",), description=text * 5000))

    harness.takes(hook.url, *alerts, scheduler=scheduler)
    harness.until(lambda: len(delivered(harness.received)) == 10)

    assert [title.split()[3] for title in titles(hook)] == [str(n) for n in range(1, 11)]
    batches = [event for event in harness.received if isinstance(event, ev.Delivered)]
    assert 1 < len(batches) <= 10


def test_a_failed_batch_holds_back_the_next_ones(harness, hook):
    hook.answers(200).answers(500)
    alerts = [alert(number, "🔴" * 30_000) for number in range(1, 11)]

    harness.sends(hook.url, *alerts)
    harness.until(lambda: len(harness.received) == 2)

    assert delivered(harness.received) == [1]
    assert len(hook.calls) == 2
    assert harness.sender.next_instant() is None


def test_texts_that_are_no_unicode_are_sent(harness, hook):
    received = harness.sends(hook.url, alert(1, "file \udcff\x00\x1b[31m gone"))

    assert delivered(received) == [1]


# --- the test alert -----------------------------------------------------------------


@pytest.fixture
def trial(tmp_path):
    opened = SenderHarness(tmp_path, TrialAlertSender())
    yield opened
    opened.runner.close()


def test_a_test_alert_takes_the_real_way_and_says_that_it_arrived(trial, hook):
    answer: Future = Future()
    trial.sender.ask(answer, world_of(hook.url), "slack")

    trial.until(answer.done)

    assert answer.result() == Outcome(1)
    assert "test alert" in titles(hook)[0]
    assert [type(event).__name__ for event in trial.received] == ["Delivered"]


def test_a_test_alert_that_fails_says_why(trial, hook):
    hook.answers(403, body=b"invalid_token")
    answer: Future = Future()
    trial.sender.ask(answer, world_of(hook.url), "slack")

    trial.until(answer.done)

    assert answer.result().cause == "127.0.0.1 answered 403: invalid_token"
    assert trial.received == []


def test_two_who_ask_at_once_get_one_test_alert(trial, hook):
    answers: list[Future] = [Future(), Future()]
    for answer in answers:
        trial.sender.ask(answer, world_of(hook.url), "slack")

    trial.until(lambda: all(answer.done() for answer in answers))

    assert len(hook.calls) == 1


def test_two_channels_are_tested_at_once(trial, hook):
    with Webhook() as other:
        hook.answers(403)
        notify = Notify((channel("ops", hook.url), channel("phone", other.url)))
        scheduler = SchedulerState(Config((), notify=notify))
        ops, phone = Future(), Future()
        trial.sender.ask(ops, scheduler, "ops")
        trial.sender.ask(phone, scheduler, "phone")

        trial.until(lambda: ops.done() and phone.done())

    assert (bool(ops.result().cause), phone.result().cause) == (True, "")
    assert [event.channel for event in trial.received] == ["phone"]


def test_without_a_channel_there_is_nothing_to_test(trial):
    answer: Future = Future()

    trial.sender.ask(answer, world_of(None), "slack")

    assert answer.result().cause == 'no channel is called "slack"'


def test_the_worker_of_a_batch_is_there():
    module, _, function = message_batch.WORKER.partition(":")

    assert (ROOT / f"{module.replace('.', '/')}.py").read_text().count(f"def {function}(") == 1
