"""A TCP proxy before a server that can be a bad network."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

# The message that says which process of the server works for a session.
BACKEND_KEY = re.compile(rb"(K\0\0\0\x0c)....", re.DOTALL)


@dataclass
class Proxy:
    """What happens to bytes on their way; all may be changed while it runs.

    server: its socket of UNIX, or its port on 127.0.0.1.
    cut_after, swallow_after, spoil_after: so many bytes both ways together; the
    connections end, all that follows vanishes, or one bit is changed. delay_s: before
    each piece. pools: it gives sessions numbers of its own, as a pooler of connections does.
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
        """Where it listens, on 127.0.0.1."""
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    server = self.connected()
                except OSError:  # the server is down: so is this way to it
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
        """Bytes from one end to the other, as far as they are let."""
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
    """A proxy before the PostgreSQL of `dsn`, and the DSN through it."""
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
