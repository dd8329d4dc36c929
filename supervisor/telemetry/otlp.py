"""Send spans by OTLP over HTTP, with OpenTelemetry's SDK; no other module imports it.

Where to and how is said by the standard variables, OTEL_EXPORTER_OTLP_ENDPOINT and the
others of https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import requests
import urllib3
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from supervisor import __version__
from supervisor.telemetry.spans import LONGEST_TEXT, Span
from workers.http_session import Session
from workers.url_text import is_url

PROTOCOL = "http/protobuf"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
# Statuses that say that these spans will never be taken; all others may pass.
_NEVER = (400, 413, 422)
LARGEST_ANSWER_BYTES, LONGEST_ANSWER_S = 64 * 1024, 10.0
_SDK_LOG = "opentelemetry.exporter.otlp"
# It repeats headers that it cannot read, which may hold a key.
_HEADERS_LOG = "opentelemetry.util.re"
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Outcome(Enum):
    """What became of a batch; REFUSED: it would be refused again."""

    SENT = "sent"
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the collector answered; status 0: nothing."""

    status: int
    body: bytes


class ExporterError(Exception):
    """Variables that name no exporter; the text says which and what is expected."""


class _LastWords(logging.Handler):
    """Keeps the SDK's last message, instead of one line of log for each try."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


class Exporter:
    """An exporter as the environment describes it. Raises: ExporterError."""

    def __init__(self) -> None:
        for name in _PROTOCOLS:
            if os.environ.get(name, "") not in ("", PROTOCOL):
                text = f'{name}: expected {PROTOCOL}, got "{os.environ[name]}"'
                raise ExporterError(text)
        for name in _ENDPOINTS:
            # Not shown: its path or query may be a key.
            if os.environ.get(name) and not is_url(os.environ[name]):
                raise ExporterError(f"{name}: expected a URL that begins with http or https")
        self._answer = Answer(0, b"")
        self._words, refused = _LastWords(), _LastWords()
        headers_log = logging.getLogger(_HEADERS_LOG)
        headers_log.handlers, headers_log.propagate = [refused], False
        log = logging.getLogger(_SDK_LOG)
        log.handlers, log.propagate = [self._words], False
        session = Session()
        session.stream = True  # of an answer only LARGEST_ANSWER_BYTES are read
        session.hooks["response"].append(self._remember)
        try:
            self._exporter = OTLPSpanExporter(session=session)
        except (ValueError, OSError) as error:
            raise ExporterError(f"OTEL_EXPORTER_OTLP_...: {error}") from error
        if refused.text:
            named = " or ".join(name for name in _HEADERS if os.environ.get(name))
            raise ExporterError(f"{named}: expected name=value,..., with values URL-encoded")
        self._resource = Resource({})
        self._scope = InstrumentationScope("nightshift", __version__)

    @property
    def last_words(self) -> str:
        """Return why the last batch was not sent."""
        if self._answer.status:
            return f"it answered with status {self._answer.status}"
        return self._words.text or "no reason is known"

    @property
    def rejected(self) -> str:
        """Return how many spans of the last batch the collector left out, and why; or ""."""
        with contextlib.suppress(DecodeError):
            found = ExportTraceServiceResponse.FromString(self._answer.body).partial_success
            if found.rejected_spans:
                return f"{found.rejected_spans} spans: {found.error_message[:LONGEST_TEXT]}"
        return ""

    def describe(self, instance: str) -> None:
        """Say of what service the spans are; variables of the environment come first."""
        ours = {
            "service.name": "nightshift",
            "service.version": __version__,
            "service.instance.id": instance,
            "host.name": socket.gethostname(),
        }
        self._resource = Resource.create(ours).merge(OTELResourceDetector().detect())

    def send(self, spans: Sequence[Span]) -> Outcome:
        """Send a batch; blocks for at most the timeout of the environment (10 s)."""
        self._answer, self._words.text = Answer(0, b""), ""
        self._exporter.export([self._readable(span) for span in spans])
        # Not by its result, which is a success for a redirect that it does not follow.
        if 200 <= self._answer.status < 300:
            return Outcome.SENT
        return Outcome.REFUSED if self._answer.status in _NEVER else Outcome.LATER

    def _remember(self, response: requests.Response, *_: Any, **__: Any) -> None:
        # The status is the answer, also if the rest of it never comes.
        body = _body(response, time.monotonic() + LONGEST_ANSWER_S)
        self._answer = Answer(response.status_code, body)
        response.close()

    def _readable(self, span: Span) -> ReadableSpan:
        code = {True: StatusCode.OK, False: StatusCode.ERROR, None: StatusCode.UNSET}[span.is_ok]
        sampled = TraceFlags(TraceFlags.SAMPLED)
        return ReadableSpan(
            span.name,
            context=SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=sampled),
            resource=self._resource,
            attributes=dict(span.attributes),
            events=[
                Event(moment.name, dict(moment.attributes), moment.at_ns)
                for moment in span.moments
            ],
            status=Status(code, span.error or None),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )


def _body(response: requests.Response, deadline: float) -> bytes:
    """Return what has come of the body by the deadline, in monotonic seconds."""
    found = bytearray()
    with contextlib.suppress(urllib3.exceptions.HTTPError, OSError, ValueError):
        # One byte at a time: a larger read waits until it is complete.
        while len(found) < LARGEST_ANSWER_BYTES and time.monotonic() < deadline:
            piece = response.raw.read(1, decode_content=True)
            if not piece:
                break
            found += piece
    return bytes(found)
