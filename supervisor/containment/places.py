"""One place for a run: a keeper as the supervisor sees it.

Holds its socket, the attempt it has, and that attempt's messages. Knows no
selector and no events; `processes.py` makes those of what is heard here.
"""

import os
import socket

import msgspec

from supervisor.containment import packets
from supervisor.containment.mail import Heard, Mail

_PACKETS_A_TURN = 8

Key = tuple[int, int]  # run id, attempt number


class Told(msgspec.Struct):
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


_decode = msgspec.json.Decoder(Told).decode


class Place:
    """Free (no key), taken, or lost (its keeper is dead, or we hung up)."""

    __slots__ = ("control", "exited", "is_lost", "key", "mail", "number", "pid")

    def __init__(self, number: int, control: socket.socket) -> None:
        self.number = number
        self.control = control
        self.pid = 0  # of the keeper, once the nursery has told it
        self.key: Key | None = None
        self.mail: Mail | None = None
        self.exited = False  # the attempt's own process
        self.is_lost = False

    def hand_over(self, order: bytes, speaks: bool) -> None:
        """Give the keeper an order, and its worker a pipe to speak on, if it does.

        Raises:
            packets.TooLarge: and the keeper knows nothing of it.
            OSError: the keeper is gone, or the descriptors are.
        """
        if not speaks:
            packets.send(self.control, order)
            return
        mine, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            packets.send(self.control, order, theirs)
        except (OSError, packets.TooLarge):
            os.close(mine)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(mine, False)
        self.mail = Mail(mine)

    def hear(self) -> tuple[list[Told], bool]:
        """What the keeper told, up to the end of its attempt; False: it is gone.

        Raises:
            msgspec.MsgspecError: it is not our keeper's code that speaks here.
        """
        told: list[Told] = []
        while len(told) < _PACKETS_A_TURN:
            try:
                packet, _ = packets.receive(self.control)
            except BlockingIOError:
                break
            if not packet:
                return told, False
            told.append(_decode(packet))
            if told[-1].emptied or told[-1].failed is not None:
                break
        return told, True

    def rest(self) -> list[Heard]:
        """The last messages of a worker that has ended."""
        return self.mail.rest() if self.mail is not None else []
