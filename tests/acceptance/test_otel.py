"""`nightshift otel` with the real service and a collector: each run is sent once."""

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.acceptance.daemon import LIMIT_S, Sandbox, supervised
from tests.collector import Collector, attributes
from tests.waiting import until

JOBS = """
timezone: UTC
jobs:
  good: {command: "true"}
  flaky: {command: "exit 3", retries: 1, retry_delay: 0s}
  bad: {command: "true"}
"""


@contextmanager
def sending(sandbox, collector):
    sandbox.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    sandbox.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "1"
    with open(sandbox.root / "otel.log", "a") as log:
        process = sandbox.begin("otel", stdout=log, stderr=log)
        try:
            until((sandbox.state / "otel.json").exists)
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()
            process.wait()


def said(sandbox):
    return (sandbox.root / "otel.log").read_text()


def numbers(collector):
    return [attributes(span)["nightshift.run"] for span in collector.spans]


def ran(sandbox, *jobs):
    for job in jobs:
        sandbox.ask("run", job, "--wait")


def test_a_run_is_one_span_with_its_attempts_and_why_it_failed():
    with Sandbox(JOBS) as sandbox, Collector() as collector, supervised(sandbox):
        ran(sandbox, "good")  # before the first start: not sent
        with sending(sandbox, collector):
            ran(sandbox, "flaky")
            until(lambda: collector.spans)

        (span,) = collector.spans
        shown = sandbox.json("history", "flaky")["runs"][0]
    found = attributes(span)
    assert (span.name, span.status.code) == ("flaky", 2)
    assert span.status.message == shown["cause"]
    assert (found["nightshift.run"], found["nightshift.trigger"]) == (shown["id"], "manual")
    assert (found["nightshift.attempts"], found["process.exit.code"]) == (2, 3)
    assert found["nightshift.cpu_seconds"] > 0
    assert [event.name for event in span.events] == ["attempt.started", "attempt.ended"] * 2
    assert span.start_time_unix_nano < span.end_time_unix_nano


def test_runs_that_end_while_nothing_is_sent_are_caught_up_once():
    with Sandbox(JOBS) as sandbox, Collector() as collector, supervised(sandbox):
        with sending(sandbox, collector):
            ran(sandbox, "good")
            until(lambda: numbers(collector) == [1])
        ran(sandbox, "good", "bad", "good")
        with sending(sandbox, collector):
            until(lambda: len(collector.spans) == 4)
            ran(sandbox, "good")
            until(lambda: len(collector.spans) == 5)

        assert numbers(collector) == [1, 2, 3, 4, 5]
        assert len({span.trace_id for span in collector.spans}) == 5


def test_a_restart_of_the_service_loses_nothing_and_repeats_nothing():
    with Sandbox(JOBS) as sandbox, Collector() as collector:
        with supervised(sandbox), sending(sandbox, collector):
            ran(sandbox, "good")
            until(lambda: numbers(collector) == [1])
        with supervised(sandbox), sending(sandbox, collector):
            ran(sandbox, "bad")
            until(lambda: len(collector.spans) == 2)

        assert numbers(collector) == [1, 2]


def test_a_dead_collector_delays_no_job_and_gets_everything_when_it_is_back():
    with Sandbox(JOBS) as sandbox, Collector() as collector, supervised(sandbox):
        collector.answers(*[500] * 3)
        with sending(sandbox, collector):
            ran(sandbox, "good", "bad")
            until(lambda: "wait for the collector: it answered with status 500" in said(sandbox))
            until(lambda: len(collector.spans) == 2, within_s=60)
            until(lambda: "spans are sent again" in said(sandbox))

        assert sorted(numbers(collector)) == [1, 2]


def test_a_run_that_the_collector_never_takes_holds_up_no_other():
    with Sandbox(JOBS) as sandbox, Collector() as collector, supervised(sandbox):
        with sending(sandbox, collector):
            until(lambda: "begins" in said(sandbox))
        collector.refuses = "bad"
        ran(sandbox, "good", "bad", "good")
        with sending(sandbox, collector):
            until(lambda: len(collector.spans) == 2)
            until(lambda: "refuses a run of bad" in said(sandbox))

        assert numbers(collector) == [1, 3]


def test_two_of_them_are_refused_and_a_wrong_protocol_too():
    with Sandbox(JOBS) as sandbox, Collector() as collector, supervised(sandbox):
        with sending(sandbox, collector):
            status, text = sandbox.refuses("otel")
            assert (status, "in use by pid" in text) == (2, True)

        done = sandbox.ask("otel", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        assert (done.returncode, "expected http/protobuf" in done.stderr) == (2, True)


@pytest.mark.parametrize("library", ["opentelemetry", "google"])
def test_an_sdk_that_is_missing_is_named_with_its_extra(library):
    code = (
        f"import sys; sys.modules['{library}'] = None; sys.argv = ['nightshift', 'otel'];"
        "from supervisor.cli.main import main; sys.exit(main())"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 2
    assert 'pip install "nightshift-cron[otel]"' in done.stderr
    assert "Traceback" not in done.stderr
