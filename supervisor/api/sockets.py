"""Creation of the listening sockets: permissions, stale files, addresses."""

import contextlib
import grp
import os
import socket
import stat
from pathlib import Path
from typing import Any

from supervisor.core.config_model import Api as Access
from supervisor.state_dir import StateDirError

BACKLOG = 512


def bind(path: Path, access: Access) -> socket.socket:
    """Return a listening UNIX socket with its mode and group; replace a stale one.

    Raises: StateDirError.
    """
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise StateDirError(f"socket {path}: {error.strerror}") from error
    finally:
        os.umask(umask)
    try:
        _give_to_group(path, access.socket_group)
    except StateDirError:
        listening.close()
        path.unlink(missing_ok=True)
        raise
    os.chmod(path, access.socket_mode)
    listening.setblocking(False)
    listening.listen(BACKLOG)
    return listening


def _give_to_group(path: Path, group: str | None) -> None:
    if group is None:
        return
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except KeyError as error:
        raise StateDirError(
            f'socket {path}: no group is called "{group}" on this machine: api.socket_group of '
            "jobs.yaml names an existing one, or none"
        ) from error
    except OSError as error:
        raise StateDirError(f"socket {path}: group {group}: {error.strerror}") from error


def bind_tcp(address: str) -> socket.socket:
    """Return a listening socket at `host:port`, `[v6]:port` or `:port`.

    The host is an IP address or `localhost`.

    Raises: OSError.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    # Resolving other names could wait for DNS servers, and this runs before any job.
    numeric = 0 if host in ("", "localhost") else socket.AI_NUMERICHOST
    try:
        found = socket.getaddrinfo(
            host or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | numeric
        )
    except socket.gaierror as error:
        text = f'expected an address such as 127.0.0.1 or localhost, got "{host}"'
        raise OSError(text) from error
    for family, kind, protocol, _, at in found[:-1]:
        with contextlib.suppress(OSError):  # localhost may exist in the other address family only
            return _listen_at(at, family, kind, protocol)
    family, kind, protocol, _, at = found[-1]
    return _listen_at(at, family, kind, protocol)


def _listen_at(at: Any, *kind: int) -> socket.socket:
    listening = socket.socket(*kind)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(at)
        listening.setblocking(False)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _remove_stale(path: Path) -> None:
    """Remove a socket that refuses connections. Raises: StateDirError for anything else."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise StateDirError(
            f"socket {path}: something that is no socket is in its place: move it away, "
            "or choose another path with --socket"
        )
    if not _answers(path):
        path.unlink(missing_ok=True)
        return
    raise StateDirError(f"socket {path}: another program answers there: choose another --socket")


def _answers(path: Path) -> bool:
    """Return whether a program listens at a socket; True if that cannot be found out."""
    with contextlib.suppress(PermissionError):
        return not _refuses(path)
    # api.socket_mode may leave out its owner, and a start that was killed leaves mode 000.
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | 0o600)
    except OSError:
        return True
    try:
        return not _refuses(path)
    finally:
        path.chmod(mode)


def _refuses(path: Path) -> bool:
    """Return whether nothing listens. Raises: PermissionError if this user may not ask."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except PermissionError:
            raise
        except OSError:
            return False
        return False
