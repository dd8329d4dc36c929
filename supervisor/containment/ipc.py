"""Packets between supervisor, fork server and keepers, and the sockets that carry them.

Each packet is one JSON object in one SOCK_SEQPACKET datagram; a death is end of file.

supervisor -> fork server  {"keeper": n} and its socket; {"wake": n}; {"kill": n}
fork server -> supervisor  {"ready": true}; {"born": n, "pid"}; {"unborn": n, "error": text};
                           {"swept": n}; {"survived": [n], "left": [text]}
supervisor -> keeper       an order (see launch_spec.py); {"force": "term" or "kill"}
keeper -> supervisor       {"failed": text}; or {"pid"}; {"status", "exit_cpu_s"};
                           {"emptied": true, ...}, merged if they follow each other soon

Standard library only, and little of it: fork server and keepers import this.
"""

import array
import errno
import mmap
import socket

PACKET_BYTES = 256 * 1024
_BUFFER_BYTES = 2 * PACKET_BYTES  # the kernel counts its own overhead in
_DESCRIPTOR = array.array("i", [0]).itemsize
# One for all packets of a process, which receives in one thread: a new one of this size for
# each would cost three system calls. Mapped, so that only pages in use take memory.
_buffer = memoryview(mmap.mmap(-1, PACKET_BYTES, mmap.MAP_PRIVATE))
_SO_SNDBUFFORCE = 32  # <asm-generic/socket.h>; the socket module has no name for it


class PacketTooLargeError(Exception):
    """A packet that the kernel cannot send as a whole."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets; neither is inherited by an exec."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        enlarge_buffers(end)
    return ends


def enlarge_buffers(end: socket.socket) -> None:
    """Make room for a packet of PACKET_BYTES, as far as this user may."""
    try:
        end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER_BYTES)
    except PermissionError:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)


def send(end: socket.socket, packet: bytes, *descriptors: int) -> None:
    """Send one packet, and copies of these descriptors with it.

    Raises:
        PacketTooLargeError: with both sizes named.
        OSError: the other side is gone, or does not read.
    """
    if len(packet) > PACKET_BYTES:
        raise PacketTooLargeError(f"{len(packet)} bytes; at most {PACKET_BYTES} fit")
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
        raise PacketTooLargeError(f"{len(packet)} bytes; about {room} fit here") from error


def receive(end: socket.socket) -> tuple[bytes, list[int]]:
    """Return one packet and the descriptors that came with it; b"" is end of file.

    Raises:
        BlockingIOError: nothing has arrived, on a non-blocking socket.
    """
    try:
        size, extras, _, _ = end.recvmsg_into(
            [_buffer], socket.CMSG_SPACE(_DESCRIPTOR), socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionError:
        return b"", []
    received = array.array("i")
    for _, _, rights in extras:
        # A partial descriptor is ignored.
        received.frombytes(rights[: len(rights) // _DESCRIPTOR * _DESCRIPTOR])
    return bytes(_buffer[:size]), received.tolist()
