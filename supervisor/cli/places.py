"""Where things are: state folder, socket, jobs.yaml.

Pure but for looking whether a file is there. Precedence: what was typed, the
environment, the built-in places. An empty variable counts as none. Each place
is sought when it is asked for: who names a socket needs no state folder.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.cli.failure import Exit, Failure
from workers.text import is_utf8, readable

SOCKET_NAME = "nightshift.sock"
HERE = Path("jobs.yaml")
INSTALLED = Path("/etc/nightshift/jobs.yaml")


@dataclass(frozen=True, slots=True)
class Places:
    """What was typed (`state`, `socket`, `config`), over an environment."""

    typed: Mapping[str, str]
    environ: Mapping[str, str]

    @property
    def state(self) -> Path:
        """The state folder, absolute: jobs are told of folders in it."""
        found = self._first("state", "NIGHTSHIFT_STATE_DIR")
        # systemd gives several folders with colons in between.
        found = found or self.environ.get("STATE_DIRECTORY", "").split(":")[0]
        place = Path(found).absolute() if found else _own_state(self.environ)
        return _sayable(place, "state folder", "choose another with --state")

    @property
    def socket(self) -> Path:
        """The socket; as typed, since an absolute path may be too long for one."""
        found = self._first("socket", "NIGHTSHIFT_SOCKET")
        if found:
            return _sayable(Path(found), "socket", "choose another with --socket")
        runtime = self.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        return (Path(runtime) if runtime else self.state) / SOCKET_NAME

    @property
    def config(self) -> Path:
        """jobs.yaml, as typed. Raises: Failure, if none is named and none lies about."""
        found = self._first("config", "NIGHTSHIFT_CONFIG")
        for path in (Path(found),) if found else (HERE, INSTALLED):
            if found or os.path.lexists(path):
                _sayable(path.absolute(), "the place of jobs.yaml", "move it to another folder")
                return path
        raise Failure(
            Exit.USAGE,
            f"no jobs.yaml: neither ./{HERE} nor {INSTALLED} is there",
            "nightshift init writes one; --config or $NIGHTSHIFT_CONFIG names another",
        )

    @property
    def new_config(self) -> Path:
        """Where a jobs.yaml is to be written."""
        return Path(self._first("config", "NIGHTSHIFT_CONFIG") or HERE)

    def _first(self, option: str, variable: str) -> str:
        return self.typed.get(option, "") or self.environ.get(variable, "")


def _sayable(path: Path, what: str, hint: str) -> Path:
    """Return a path that can be said in JSON and to the supervisor. Raises: Failure."""
    if not is_utf8(str(path)):
        raise Failure(Exit.USAGE, f"{what} {readable(str(path))}: its name is not UTF-8", hint)
    return path


def _own_state(environ: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/nightshift")
    states = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if not os.path.isabs(states):
        raise Failure(
            Exit.USAGE,
            f"no state folder: uid {os.geteuid()} has no home folder",
            "--state or $NIGHTSHIFT_STATE_DIR names one",
        )
    return Path(states, "nightshift")
