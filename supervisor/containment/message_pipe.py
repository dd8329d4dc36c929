"""Reads one worker's messages from its pipe, bounded whatever the worker writes."""

import os

from workers import protocol

TURN_BYTES = 64 * 1024
LAST_BYTES = 1024 * 1024  # maximum that a pipe may hold when its worker has ended
FLOOD_BYTES = 16 * 1024 * 1024

ReceivedMessages = protocol.Message | protocol.Garbage


class MessagePipe:
    """The non-blocking read end of one attempt's pipe."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._lines = protocol.Lines()
        self._bytes = 0

    def read(self) -> tuple[list[ReceivedMessages], bool]:
        """Return the messages of one turn; False: no more will follow, or may be read."""
        messages, count = self._turn()
        if self._bytes > FLOOD_BYTES or count == 0:
            half = self._lines.end() if count == 0 else None
            return _newest_progress([*messages, half] if half else messages), False
        return _newest_progress(messages), True

    def rest(self) -> list[ReceivedMessages]:
        """Return the messages left in the pipe of a worker that has ended."""
        messages: list[ReceivedMessages] = []
        for _ in range(LAST_BYTES // TURN_BYTES):
            now, count = self._turn()
            messages += now
            if not count or self._bytes > FLOOD_BYTES:
                break
        half = self._lines.end()
        return _newest_progress([*messages, half] if half else messages)

    def _turn(self) -> tuple[list[ReceivedMessages], int | None]:
        """Return (messages, bytes read); None bytes: nothing has arrived."""
        try:
            piece = os.read(self.fd, TURN_BYTES)
        except BlockingIOError:
            return [], None
        self._bytes += len(piece)
        if self._bytes > FLOOD_BYTES:
            flood = f"a flood of more than {FLOOD_BYTES >> 20} MiB of messages"
            return [protocol.Garbage(flood)], len(piece)
        return list(self._lines.feed(piece)), len(piece)


def _newest_progress(messages: list[ReceivedMessages]) -> list[ReceivedMessages]:
    """Return the messages in order, with only the last of several progress reports."""
    newest = None
    for message in messages:
        if isinstance(message, protocol.Progress):
            newest = message
    if newest is None:
        return messages
    return [m for m in messages if m is newest or not isinstance(m, protocol.Progress)]
