"""An OpenTelemetry collector on this machine: real HTTP, decoded by the format's own package."""

import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans


class Collector:
    """Keeps the spans it accepts; `answers` queues other statuses, `refuses` names a bad span."""

    def __init__(self, port: int = 0) -> None:
        self.batches: list[list[ResourceSpans]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.refuses = ""
        self.response = ExportTraceServiceResponse()
        self._statuses: deque[int] = deque()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector._take(self.path, dict(self.headers), body)
                answer = collector.response.SerializeToString()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Collector":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answers(self, *statuses: int) -> None:
        """Queue statuses for the next requests, whose spans are dropped."""
        self._statuses.extend(statuses)

    @property
    def spans(self) -> list[Any]:
        """Return every accepted span, in order."""
        return [
            span
            for batch in list(self.batches)
            for resource in batch
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        request = ExportTraceServiceRequest.FromString(body)
        self.paths.append(path)
        self.headers.append({name.lower(): value for name, value in headers.items()})
        if self._statuses:
            return self._statuses.popleft()
        found = list(request.resource_spans)
        names = {s.name for r in found for scope in r.scope_spans for s in scope.spans}
        if self.refuses in names:
            return 400
        self.batches.append(found)
        return 200


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span, an event or a resource as plain values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}
