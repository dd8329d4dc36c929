"""A TCP proxy that simulates a bad network before a server."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

# The message with the backend pid of a session.
BACKEND_KEY = re.compile(rb"(K\0\0\0\x0c)....", re.DOTALL)


@dataclass
class Proxy:
    """A proxy and its faults, which may be changed while it runs.

    server: path of its UNIX socket, or its port on 127.0.0.1.
    cut_after, swallow_after, spoil_after: after so many bytes, both ways counted together, the
    connections end, all further bytes are dropped, or one bit is changed. delay_s: before each
    piece. pools: it replaces the pids of backends, as a connection pooler does.
    """

    server: Path | int
    spoil_after: int | None = None
    cut_after: int | None = None
    swallow_after: int | None = None
    delay_s: float = 0.0
    pools: bool = False
    passed: int = 0
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """Return the port on 127.0.0.1 on which it listens."""
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    server = self.connected()
                except OSError:  # the server is down, so the proxy refuses too
                    client.close()
                    continue
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self.carry, args=pair, daemon=True).start()

    def connected(self) -> socket.socket:
        """Return a connection to the server."""
        if isinstance(self.server, int):
            return socket.create_connection(("127.0.0.1", self.server), 5)
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self.server))
        except OSError:
            server.close()
            raise
        return server

    def carry(self, here: socket.socket, there: socket.socket) -> None:
        """Forward bytes from one end to the other, subject to the faults."""
        with suppress(OSError):
            while data := here.recv(4096):
                self.over.wait(self.delay_s)
                if self.swallow_after is not None and self.passed >= self.swallow_after:
                    continue
                if self.cut_after is not None:
                    data = data[: max(0, self.cut_after - self.passed)]
                if self.spoil_after is not None and self.passed >= self.spoil_after:
                    data, self.spoil_after = bytes([data[0] ^ 1]) + data[1:], None
                if self.pools:
                    data = BACKEND_KEY.sub(lambda key: key[1] + b"\0\0\0\1", data, count=1)
                self.passed += len(data)
                there.sendall(data)
                if self.cut_after is not None and self.passed >= self.cut_after:
                    break
        for end in (here, there):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(dsn: str, **faults: float) -> Iterator[tuple[Proxy, str]]:
    """Yield a proxy before the PostgreSQL of `dsn`, and the DSN through it."""
    folder = re.search(r"host=(\S+)", dsn)
    assert folder
    with running(Proxy(Path(folder[1]) / ".s.PGSQL.5432", **faults)) as proxy:  # type: ignore[arg-type]
        through = dsn.replace(folder[0], "host=127.0.0.1").replace(
            "port=5432", f"port={proxy.port}"
        )
        yield proxy, f"{through} sslmode=disable gssencmode=disable"


@contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """Let the proxy carry until the block ends."""
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        proxy.listener.close()
