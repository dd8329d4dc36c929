"""A systemd service -> what a job runs: command, folder, environment, limits.

Pure. Settings that cannot be converted are added to the notes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from supervisor.config.parse_values import ENV_NAME, RESERVED_ENV
from supervisor.config.problems import BadValueError, quote_value
from supervisor.config.systemd.exec_line import as_shell, as_words, is_plain, read_exec, seconds
from supervisor.config.systemd.units import Unit, commands, specified, specifiers, split_words
from supervisor.config.yaml_writer import mapping, scalar, value
from workers.units import format_duration, is_whole

SERVICE = "Service"
_LIMITS = {
    "LimitNOFILE": "open_files",
    "LimitAS": "address_space",
    "LimitCPU": "cpu_seconds",
    "LimitFSIZE": "file_size",
    "LimitNPROC": "processes",
}
_SUFFIXES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
# The names that systemd takes from sysexits.h, numbered from 64.
_SYSEXITS = (
    "USAGE DATAERR NOINPUT NOUSER NOHOST UNAVAILABLE SOFTWARE OSERR OSFILE CANTCREAT IOERR"
    " TEMPFAIL PROTOCOL NOPERM CONFIG"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts about the target machine: root's home, and the user that runs the service."""

    home: str
    user: str


def run_keys(service: Unit, machine: Machine, notes: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the keys for command, folder, environment and limits. Raises: BadValueError."""
    values = specifiers(service, machine.home)
    yield "command", _command(service, values, notes)
    yield "cwd", value(_folder(service, values, machine))
    env = _environment(service, values, notes)
    if env:
        yield "env", mapping(env)
    yield from _bounds(service, notes)
    user = service.last(SERVICE, "User")
    if user and user not in (machine.user, "%u"):
        notes.append(f"User={user}: jobs run as the user of the service ({machine.user})")


def _command(service: Unit, values: dict[str, str], notes: list[str]) -> str:
    found = []
    for name in ("ExecStartPre", "ExecStart", "ExecStartPost"):
        lines = list(commands(service.all(SERVICE, name)))
        if name == "ExecStart" and not lines:
            raise BadValueError(f"{service.name} has no ExecStart=")
        found += [read_exec(words, values) for words in lines]
    if any(each.has_rights for each in found):
        notes.append("a command with + or ! ran with all rights: it runs as the service's user")
    kind = service.last(SERVICE, "Type")
    if kind in ("forking", "notify", "dbus", "notify-reload"):
        notes.append(f"Type={kind}: a daemon belongs to systemd; here it ends with its job")
    if len(found) == 1 and is_plain(found[0]):
        return "[" + ", ".join(map(value, as_words(found[0]))) + "]"
    # In a command that is one text, the shell expands variables, not jobs.yaml.
    return scalar(as_shell(found))


def _folder(service: Unit, values: dict[str, str], machine: Machine) -> str:
    folder = service.last(SERVICE, "WorkingDirectory").removeprefix("-")
    if folder == "~":
        return machine.home
    return specified(folder, values) or "/"


def _environment(
    service: Unit, values: dict[str, str], notes: list[str]
) -> tuple[tuple[str, str], ...]:
    env: dict[str, str] = {}
    for setting in service.all(SERVICE, "Environment"):
        for word in split_words(setting.value):
            name, sign, text = specified(word.text, values).partition("=")
            if sign and ENV_NAME.fullmatch(name) and name not in RESERVED_ENV:
                env[name] = text
            else:
                notes.append(f"Environment={quote_value(word.text)} is not kept")
    return tuple(env.items())


def _bounds(service: Unit, notes: list[str]) -> Iterator[tuple[str, str]]:
    """Yield timeout, kill_grace, nice, limits and success_exit_status. Raises: BadValueError."""
    is_oneshot = service.last(SERVICE, "Type") == "oneshot"
    start = service.last(SERVICE, "TimeoutStartSec") or service.last(SERVICE, "TimeoutSec")
    text = service.last(SERVICE, "RuntimeMaxSec") or (start if is_oneshot else "")
    if start and not is_oneshot:
        notes.append("TimeoutStartSec= bounds no run of a service that is not Type=oneshot")
    limit = seconds(text) if text else None
    yield "timeout", format_duration(limit) if limit else "none"
    text = service.last(SERVICE, "TimeoutStopSec") or service.last(SERVICE, "TimeoutSec")
    grace = seconds(text) if text else None
    if grace:
        yield "kill_grace", format_duration(grace)
    nice = service.last(SERVICE, "Nice")
    if nice:
        yield "nice", _whole(nice, -20, 19, "Nice")
    limits = dict(_limits(service, notes))
    if limits:
        yield "limits", "{" + ", ".join(f"{key}: {limits[key]}" for key in limits) + "}"
    statuses = _statuses(service, notes)
    if statuses:
        yield "success_exit_status", f"[{', '.join(['0', *statuses])}]"


def _limits(service: Unit, notes: list[str]) -> Iterator[tuple[str, str]]:
    for name, key in _LIMITS.items():
        soft, _, hard = service.last(SERVICE, name).partition(":")
        if soft in ("", "infinity"):
            continue
        if hard not in ("", soft):
            notes.append(f"{name}={soft}:{hard}: both limits are {soft}")
        if key == "cpu_seconds":
            yield key, str(max(1, round(seconds(soft) or 1)))
            continue
        found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", soft)
        if found is None:
            notes.append(f"{name}={quote_value(soft)} is not kept")
        else:
            yield key, str(int(found[1]) * _SUFFIXES[found[2]])


def _statuses(service: Unit, notes: list[str]) -> Iterator[str] | list[str]:
    found = []
    for setting in service.all(SERVICE, "SuccessExitStatus"):
        for word in setting.value.split():
            number = _status(word)
            if 0 < number < 256:
                found.append(str(number))
            elif word != "0":
                notes.append(
                    f"SuccessExitStatus={quote_value(word)} is not kept: only numbers are"
                )
    return list(dict.fromkeys(found))


def _whole(text: str, least: int, most: int, name: str) -> str:
    if not re.fullmatch(r"[+-]?[0-9]{1,4}", text) or not least <= int(text) <= most:
        raise BadValueError(f"expected {name}= from {least} to {most}, got {quote_value(text)}")
    return str(int(text))


def _status(word: str) -> int:
    """Return the number of an exit status, or 0 for an unknown name."""
    if is_whole(word):
        return int(word[:4])
    names = _SYSEXITS.split()
    return 64 + names.index(word) if word in names else 0
