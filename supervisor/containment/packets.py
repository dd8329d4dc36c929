"""What supervisor, nursery and keepers say to each other, and on what.

Every packet is one JSON object in one datagram of a SOCK_SEQPACKET pair, so
that there are no halves to put together and a death is an end of file.

supervisor -> nursery  {"keeper": n} and its socket; {"wake": n}; {"kill": n}
nursery -> supervisor  {"ready": true}; {"born": n, "pid"}; {"unborn": n, "error": text};
                       {"swept": n}; {"survived": [n], "left": [text]}
supervisor -> keeper   an order (see orders.py); {"force": "term" or "kill"}
keeper -> supervisor   {"failed": text}; or {"pid"}; {"status", "exit_cpu_s"};
                       {"emptied": true, ...}, in one packet those that came soon after
                       each other

Standard library only, and little of it: nursery and keepers live on this.
"""

import array
import contextlib
import errno
import socket

PACKET_BYTES = 256 * 1024
_BUFFER_BYTES = 2 * PACKET_BYTES  # the kernel counts its own overhead in
_DESCRIPTOR = array.array("i", [0]).itemsize
_SO_SNDBUFFORCE = 32  # <asm-generic/socket.h>; the socket module has no name for it


class TooLarge(Exception):  # noqa: N818 - it says what the packet is
    """A packet that the kernel refuses to carry whole."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends; neither is inherited by an exec."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        widen(end)
    return ends


def widen(end: socket.socket) -> None:
    """Make room for a packet of PACKET_BYTES, as far as this user may."""
    try:
        end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER_BYTES)
    except PermissionError:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)


def send(end: socket.socket, packet: bytes, *descriptors: int) -> None:
    """Send one packet, and copies of these descriptors with it.

    Raises:
        TooLarge: with both sizes named.
        OSError: the other side is gone, or does not read.
    """
    if len(packet) > PACKET_BYTES:
        raise TooLarge(f"{len(packet)} bytes; at most {PACKET_BYTES} fit")
    try:
        if descriptors:
            rights = array.array("i", descriptors)
            end.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        else:
            end.send(packet)
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
        room = end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2
        raise TooLarge(f"{len(packet)} bytes; about {room} fit here") from error


def receive(end: socket.socket) -> tuple[bytes, list[int]]:
    """One packet and the descriptors that came with it; b"" is the end.

    Raises:
        BlockingIOError: nothing has come, on a non-blocking end.
    """
    try:
        packet, extras, _, _ = end.recvmsg(
            PACKET_BYTES, socket.CMSG_SPACE(_DESCRIPTOR), socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionError:
        return b"", []
    received = array.array("i")
    for _, _, rights in extras:
        with contextlib.suppress(ValueError):  # an odd number of bytes is no descriptor
            received.frombytes(rights)
    return packet, list(received)
