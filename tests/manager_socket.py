"""The service manager's end of the notify socket; it records what it receives."""

import contextlib
import os
import select
import socket


class ManagerSocket:
    """A bound datagram socket; `address` is the value of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        named = os.fsencode(address)
        self._socket.bind(b"\0" + named[1:] if address.startswith("@") else named)

    def __enter__(self) -> "ManagerSocket":
        return self

    def __exit__(self, *ended: object) -> None:
        self._socket.close()

    def received(self) -> list[dict[str, str]]:
        """Return the messages received since the last call, oldest first."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._socket.recv(65536).decode().splitlines()
                messages.append(dict(line.split("=", 1) for line in lines))
        return messages

    def is_silent_for(self, seconds: float) -> bool:
        """Return whether no message arrives for this many seconds."""
        return select.select([self._socket], [], [], seconds)[0] == []
