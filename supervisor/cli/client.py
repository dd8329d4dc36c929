"""HTTP client for the supervisor's UNIX socket.

Each request uses its own connection and has a time limit. Any response other than
success becomes a `CliError` with the matching exit status.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlencode

import msgspec

from supervisor import socket_http
from supervisor.cli.errors import CliError, ExitCode
from supervisor.core.responses import ErrorBody
from supervisor.socket_http import Answer
from supervisor.state_dir import StateDirError, check_socket_path
from workers.units import is_whole

READ_S = 15.0
# Longer than the supervisor itself waits for its loop.
ASK_S = 35.0
RELOAD_S = 100.0
# A followed log may be silent for as long as its run lives.
FOLLOW_S = 366 * 86400.0

_STATUS = {400: ExitCode.USAGE, 404: ExitCode.USAGE, 422: ExitCode.USAGE}


class Client:
    """Client of the supervisor at one socket. Every method may raise CliError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, *parts: str, limit_s: float = READ_S, **query: object) -> bytes:
        """Return the body of `GET /part/part?query`; a query value of None is left out."""
        return self._whole("GET", _target(parts, query), None, limit_s)

    def newest(self, *parts: str, most_bytes: int, **query: object) -> tuple[bytes, int]:
        """Return the last bytes of an answer, and how many the whole answer has."""
        more = {"Range": f"bytes=-{most_bytes}"}
        answer = self._send("GET", _target(parts, query), None, READ_S, more)
        content = self._content(answer)
        if answer.status == 416:
            return b"", 0
        if answer.status >= 300:
            raise _refusal(answer.status, content)
        total = answer.headers("Content-Range").get("Content-Range", "").rpartition("/")[2]
        return content, int(total) if is_whole(total) else len(content)

    def post(
        self,
        *parts: str,
        body: Mapping[str, object],
        limit_s: float = ASK_S,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """Return the response body of `POST /part/part`."""
        return self._whole("POST", _target(parts, {}), msgspec.json.encode(body), limit_s, headers)

    def stream(self, *parts: str, **query: object) -> Iterator[bytes]:
        """Yield the body of `GET /part/part?query` as it arrives."""
        answer = self._send("GET", _target(parts, query), None, FOLLOW_S)
        if answer.status >= 300:
            raise _refusal(answer.status, self._content(answer))
        try:
            while piece := answer.body.read1():
                yield piece
        except socket_http.ERRORS as error:
            raise self._connection_lost(error) from error

    def supervisor_pid(self) -> int:
        """Return the pid that the kernel reports for the listening process.

        The result is 0 if that process is in a pid namespace that is not visible from here.
        """
        try:
            with socket_http.connect(self.path, READ_S) as probe:
                credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4)
                return int.from_bytes(credentials, "little")
        except OSError as error:
            raise self._refused(error) from error

    def _whole(
        self,
        method: str,
        target: str,
        body: bytes | None,
        limit_s: float,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        answer = self._send(method, target, body, limit_s, more)
        content = self._content(answer)
        if answer.status >= 300:
            raise _refusal(answer.status, content)
        return content

    def _content(self, answer: Answer) -> bytes:
        try:
            return answer.body.read()
        except socket_http.ERRORS as error:
            raise self._connection_lost(error) from error

    def _send(
        self,
        method: str,
        target: str,
        body: bytes | None,
        limit_s: float,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        try:
            check_socket_path(self.path)
            return socket_http.request(self.path, method, target, body, more, limit_s)
        except StateDirError as error:
            raise CliError(ExitCode.USAGE, str(error)) from error
        except socket_http.ERRORS as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> CliError:
        if isinstance(error, PermissionError):
            hint = "ask as the user of the supervisor, or see api.socket_mode in jobs.yaml"
            text = f"uid {os.geteuid()} may not open the socket {self.path}"
            return CliError(ExitCode.NO, text, hint)
        if isinstance(error, FileNotFoundError | NotADirectoryError | ConnectionRefusedError):
            return self._not_running()
        return self._connection_lost(error)

    def _not_running(self) -> CliError:
        what = "" if self.path.is_socket() or not self.path.exists() else ", which is no socket"
        holder = _holder(self.path.parent / "lock")
        if holder and not what:
            return CliError(
                ExitCode.NO_SUPERVISOR,
                f"no supervisor answers at {self.path}, though one holds its folder ({holder})",
                "its socket was removed, or it still begins or ends: end it with SIGTERM and "
                "start it again if this stays so",
            )
        return CliError(
            ExitCode.NO_SUPERVISOR,
            f"no supervisor answers at {self.path}{what}",
            "nightshift start begins one; --socket or --state say where another one listens",
        )

    def _connection_lost(self, error: Exception) -> CliError:
        if isinstance(error, TimeoutError):
            return CliError(ExitCode.NO, f"the supervisor at {self.path} does not answer in time")
        said = str(error) or type(error).__name__
        return CliError(ExitCode.NO, f"the supervisor at {self.path} broke off: {said}")


def _holder(lock: Path) -> str:
    """Return what the holder of a state folder wrote into its lock; "" if it is free."""
    try:
        # Only inspected, not locked: a concurrent start must find it free.
        held = f":{lock.stat().st_ino} " in Path("/proc/locks").read_text()
        return lock.read_text(errors="replace").strip() if held else ""
    except OSError:
        return ""


def _target(parts: tuple[str, ...], query: Mapping[str, object]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    return f"{path}?{urlencode(given)}" if given else path


def _refusal(status: int, body: bytes) -> CliError:
    """Return the error for a response whose status is not 2xx."""
    exit_status = _STATUS.get(status, ExitCode.NO)
    try:
        refused = msgspec.json.decode(body, type=ErrorBody)
        return CliError(exit_status, refused.error, refused.hint, body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return CliError(exit_status, f"the supervisor answered with status {status}")
