"""A keeper as the supervisor sees it: its socket, its current attempt and its messages.

Knows no selector and no events; `keeper_events.py` turns packets into events.
"""

import os
import socket

import msgspec

from supervisor.containment import ipc
from supervisor.containment.message_pipe import MessagePipe, ReceivedMessages

_PACKETS_A_TURN = 8

Key = tuple[int, int]  # run id, attempt number


class KeeperPacket(msgspec.Struct):
    """One packet of a keeper."""

    pid: int | None = None
    failed: str | None = None
    status: int | None = None
    exit_cpu_s: float = 0.0
    emptied: bool = False
    strays: tuple[str, ...] = ()
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    log_bytes: int = 0
    dropped_bytes: int = 0
    log_lost: str = ""
    tail: str = ""


_decode = msgspec.json.Decoder(KeeperPacket).decode


class KeeperHandle:
    """A keeper: free (no key), in use, or lost (it is dead, or we closed its socket)."""

    __slots__ = ("control", "exited", "is_lost", "key", "mail", "number", "pid")

    def __init__(self, number: int, control: socket.socket) -> None:
        self.number = number
        self.control = control
        self.pid = 0  # of the keeper, once the fork server has reported it
        self.key: Key | None = None
        self.mail: MessagePipe | None = None
        self.exited = False  # whether the attempt's own process has ended
        self.is_lost = False

    def hand_over(self, order: bytes, sends_messages: bool) -> None:
        """Send the keeper an order, and for a worker also the write end of its message pipe.

        Raises:
            PacketTooLargeError: the keeper has not received the order.
            OSError: the keeper is gone, or no descriptors are left.
        """
        if not sends_messages:
            ipc.send(self.control, order)
            return
        mine, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            ipc.send(self.control, order, theirs)
        except (OSError, ipc.PacketTooLargeError):
            os.close(mine)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(mine, False)
        self.mail = MessagePipe(mine)

    def receive(self) -> tuple[list[KeeperPacket], bool]:
        """Return its packets up to the end of an attempt, and False if the keeper is gone.

        Raises:
            msgspec.MsgspecError: a packet did not come from our keeper's code.
        """
        packets: list[KeeperPacket] = []
        while len(packets) < _PACKETS_A_TURN:
            try:
                packet, _ = ipc.receive(self.control)
            except BlockingIOError:
                break
            if not packet:
                return packets, False
            packets.append(_decode(packet))
            if packets[-1].emptied or packets[-1].failed is not None:
                break
        return packets, True

    def shrink(self) -> list[ReceivedMessages]:
        """Return the last messages of a worker that has ended."""
        return self.mail.rest() if self.mail is not None else []
