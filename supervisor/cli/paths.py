"""Locations of the state folder, the socket and jobs.yaml.

The only I/O is checking whether a file exists, or a socket answers. Precedence: command
line, environment, built-in defaults. An empty variable counts as unset. Each location is
resolved when it is used, so a command that gets a socket does not need a state folder.
"""

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from supervisor.cli.errors import CliError, ExitCode
from workers.text import is_utf8, readable

SOCKET_NAME = "nightshift.sock"
GATEWAY_NAME = "cluster.sock"
PROBE_S = 2.0
HERE = Path("jobs.yaml")
INSTALLED = Path("/etc/nightshift/jobs.yaml")


class Paths(Struct, frozen=True):
    """Paths given on the command line (`state`, `socket`, `config`), and the environment."""

    typed: Mapping[str, str]
    environ: Mapping[str, str]

    @property
    def state(self) -> Path:
        """Return the state folder as an absolute path: jobs receive paths inside it.

        Raises:
            CliError: the path is not UTF-8, or the user has no home folder.
        """
        found = self._first("state", "NIGHTSHIFT_STATE_DIR")
        # systemd separates several folders with colons.
        found = found or self.environ.get("STATE_DIRECTORY", "").split(":")[0]
        place = Path(found).absolute() if found else _own_state(self.environ)
        return _sayable(place, "state folder", "choose another with --state")

    @property
    def socket(self) -> Path:
        """Return the socket as typed, since an absolute path may be too long for one."""
        found = self._first("socket", "NIGHTSHIFT_SOCKET")
        if found:
            return _sayable(Path(found), "socket", "choose another with --socket")
        runtime = self.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        return (Path(runtime) if runtime else self.state) / SOCKET_NAME

    @property
    def service_socket(self) -> Path:
        """Return the socket that answers for the service as a whole.

        That is the one of the cluster, if this host is in one and no socket is named.
        """
        named = self.typed.get("socket") or self.environ.get("NIGHTSHIFT_SOCKET")
        gateway = self.socket.with_name(GATEWAY_NAME)
        return gateway if not named and _listens(gateway) else self.socket

    @property
    def ledger_folder(self) -> Path | None:
        """Return the state folder of the supervisor at `socket`.

        None if a socket is named and no state folder with it: the default one may be
        that of another supervisor.
        """
        if self.typed.get("socket"):
            return self.state if self.typed.get("state") else None
        if self.environ.get("NIGHTSHIFT_SOCKET"):
            return self.state if self._first("state", "NIGHTSHIFT_STATE_DIR") else None
        return self.state

    @property
    def config(self) -> Path:
        """Return jobs.yaml, as typed.

        Raises:
            CliError: none is given and none exists in the default places.
        """
        found = self._first("config", "NIGHTSHIFT_CONFIG")
        for path in (Path(found),) if found else (HERE, INSTALLED):
            if found or os.path.lexists(path):
                _sayable(path.absolute(), "the place of jobs.yaml", "move it to another folder")
                return path
        raise CliError(
            ExitCode.USAGE,
            f"no jobs.yaml: neither ./{HERE} nor {INSTALLED} is there",
            "nightshift init writes one; --config or $NIGHTSHIFT_CONFIG names another",
        )

    @property
    def new_config(self) -> Path:
        """Return the path where `init` writes jobs.yaml."""
        return Path(self._first("config", "NIGHTSHIFT_CONFIG") or HERE)

    def _first(self, option: str, variable: str) -> str:
        return self.typed.get(option, "") or self.environ.get(variable, "")


def _listens(path: Path) -> bool:
    """Return whether a process listens on a socket; one that was killed leaves its file."""
    if not path.exists():
        return False
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.settimeout(PROBE_S)
        probe.connect(str(path))
        return True
    return False


def _sayable(path: Path, what: str, hint: str) -> Path:
    """Return `path` if it is valid UTF-8, as JSON and the API require.

    Raises:
        CliError: it is not.
    """
    if not is_utf8(str(path)):
        raise CliError(
            ExitCode.USAGE, f"{what} {readable(str(path))}: its name is not UTF-8", hint
        )
    return path


def _own_state(environ: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/nightshift")
    states = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if not os.path.isabs(states):
        raise CliError(
            ExitCode.USAGE,
            f"no state folder: uid {os.geteuid()} has no home folder",
            "--state or $NIGHTSHIFT_STATE_DIR names one",
        )
    return Path(states, "nightshift")
