"""Spans sent over HTTP to a real collector, and the file that records what was sent."""

import socket

import pytest

from supervisor.telemetry import otlp
from supervisor.telemetry.otlp import Exporter, ExporterError, Outcome
from supervisor.telemetry.position import Position, PositionError, PositionFile
from supervisor.telemetry.spans import span_of
from tests.collector import Collector, attributes
from tests.edge.test_telemetry_spans import run
from tests.webhook import Webhook


@pytest.fixture
def collector():
    with Collector() as found:
        yield found


@pytest.fixture
def exporter(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=abc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=here")
    found = Exporter()
    found.describe("abc")
    return found


SPAN = span_of(run(state="failed", reason="exit", cause="exit status 3", exit_status=3), "abc")


def test_a_collector_reads_what_was_sent(collector, exporter):
    assert exporter.send([SPAN]) is Outcome.SENT

    (span,) = collector.spans
    assert (collector.paths, collector.headers[0]["api-key"]) == (["/v1/traces"], "abc")
    assert int.from_bytes(span.trace_id) == SPAN.trace_id
    assert int.from_bytes(span.span_id) == SPAN.span_id
    assert (span.name, span.start_time_unix_nano) == ("backup", SPAN.start_ns)
    assert (span.status.code, span.status.message) == (2, "exit status 3")
    assert attributes(span) == dict(SPAN.attributes)
    found = attributes(collector.batches[0][0].resource)
    assert found["service.name"] == "nightshift"
    assert found["service.instance.id"] == "abc"
    assert found["deployment.environment.name"] == "here"


def test_the_name_of_the_service_is_the_environments(collector, exporter, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "cron-of-the-shop")
    exporter.describe("abc")

    exporter.send([SPAN])

    assert attributes(collector.batches[0][0].resource)["service.name"] == "cron-of-the-shop"


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_an_answer_that_may_change_is_a_reason_to_try_again_and_no_success(
    collector, exporter, status
):
    collector.answers(status)

    assert exporter.send([SPAN]) is Outcome.LATER
    assert exporter.last_words == f"it answered with status {status}"
    assert exporter.send([SPAN]) is Outcome.SENT


def test_what_will_never_be_taken_is_refused(collector, exporter):
    collector.answers(400)

    assert exporter.send([SPAN]) is Outcome.REFUSED


def test_what_a_collector_left_out_is_said(collector, exporter):
    collector.response.partial_success.rejected_spans = 1
    collector.response.partial_success.error_message = "too old"

    assert exporter.send([SPAN]) is Outcome.SENT
    assert exporter.rejected == "1 spans: too old"


def test_nobody_there_is_a_reason_to_try_again(exporter, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{probe.getsockname()[1]}"
        )
        lonely = Exporter()

        assert lonely.send([SPAN]) is Outcome.LATER
        assert lonely.last_words


def test_another_protocol_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")

    with pytest.raises(ExporterError, match='expected http/protobuf, got "grpc"'):
        Exporter()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key: sesame99"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,sesame99"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "ü=sesame99"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector/sesame99"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector/sesame99"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://[::1/sesame99"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named_and_not_shown(monkeypatch, capfd, name, text):
    monkeypatch.setenv(name, text)

    with pytest.raises(ExporterError, match=f"{name}: expected ") as refused:
        Exporter()

    assert "sesame" not in f"{refused.value}{''.join(capfd.readouterr())}"


def test_the_file_keeps_the_position_and_lets_one_process_use_it(tmp_path):
    path = tmp_path / "position.json"
    position = Position("abc", 12, frozenset({3, 12}))
    with PositionFile(path) as file:
        assert file.read() is None
        file.write(position)
        with pytest.raises(PositionError, match="in use by pid"):
            PositionFile(path)

    with PositionFile(path) as again:
        assert again.read() == position
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"instance": 1, "seen": 2}', b"[]"])
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "position.json"
    path.write_bytes(content)

    with PositionFile(path) as file, pytest.raises(PositionError, match="remove it"):
        file.read()

    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PositionError, match="--position names another"):
        PositionFile(tmp_path / "absent" / "position.json")


def test_the_collectors_key_is_the_environments_not_one_of_netrc(
    collector, exporter, tmp_path, monkeypatch
):
    file = tmp_path / "netrc"
    file.write_text("default login joe password hunter2222\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")

    Exporter().send([SPAN])

    assert collector.headers[0]["authorization"] == "Bearer abc"


@pytest.mark.parametrize("body", [b"", b"\x08"], ids=["nothing", "a piece"])
def test_spans_that_were_taken_are_not_sent_again_whatever_becomes_of_the_answer(
    exporter, monkeypatch, body
):
    with Webhook() as hook:
        hook.reacts(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + body)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", hook.url)

        assert Exporter().send([SPAN]) is Outcome.SENT


def test_no_answer_is_read_for_longer_than_its_limit(collector, exporter, monkeypatch):
    monkeypatch.setattr(otlp, "LONGEST_ANSWER_S", 0.0)
    collector.response.partial_success.rejected_spans = 1

    assert exporter.send([SPAN]) is Outcome.SENT
    assert exporter.rejected == ""
