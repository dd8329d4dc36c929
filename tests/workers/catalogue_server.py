"""A local HTTP server with the pages of a catalogue's API."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.workers.catalogue_folder import Entry


@dataclass
class Served:
    """Content and behaviour of the server, and the requests that it received.

    replies: (status, headers) of the next requests, before normal answers. failing: sets whose
    cards always get a 503, with its headers. lies: added to totalCount. asked: (path, query,
    X-Api-Key) of each request. plain: entries on a page without any count, 0: with counts.
    """

    sets: list[Entry]
    cards: dict[str, list[Entry]]
    replies: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    failing: dict[str, dict[str, str]] = field(default_factory=dict)
    lies: int = 0
    plain: int = 0
    body: bytes | None = None
    url: str = ""
    asked: list[tuple[str, dict[str, str], str | None]] = field(default_factory=list)

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for one request."""
        if self.replies:
            status, headers = self.replies.pop(0)
            return status, headers, b"{}"
        set_id = query.get("q", "").removeprefix("set.id:")
        if set_id in self.failing:
            return 503, self.failing[set_id], b"{}"
        entries = self.sets if path == "/v2/sets" else self.cards.get(set_id, [])
        return 200, {}, self.body or json.dumps(self._page(entries, query)).encode()

    def _page(self, entries: list[Entry], query: dict[str, str]) -> dict[str, Any]:
        page, size = int(query["page"]), self.plain or min(250, int(query["pageSize"]))
        data = entries[(page - 1) * size : page * size]
        if self.plain:
            return {"data": data}
        total = len(entries) + self.lies
        return {
            "data": data,
            "page": page,
            "pageSize": size,
            "count": len(data),
            "totalCount": total,
        }


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """Serve `served` on 127.0.0.1 and set its `url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet: two would wait 40 ms for an ACK

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            served.asked.append((parts.path, query, self.headers.get("X-Api-Key")))
            status, headers, body = served.answer(parts.path, query)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/v2"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
