"""A timer and its service -> the keys of a job, and what of them has no counterpart.

Pure. `from_systemd.py` writes jobs.yaml of what is found here; nothing is dropped
in silence.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from supervisor.config.problems import Wrong
from supervisor.config.shell_text import set_of
from supervisor.config.systemd_service import SERVICE, Machine, run_keys
from supervisor.config.systemd_timer import TIMER, times_keys
from supervisor.config.systemd_units import Setting, Unit, specified, specifiers
from supervisor.config.yaml_text import value

UNIT = "Unit"
# What needs no word: it is kept in another way, or says nothing of what runs when.
_KEPT = {
    TIMER: set_of(
        """
        OnCalendar Persistent Unit AccuracySec OnBootSec OnStartupSec OnActiveSec OnUnitActiveSec
        OnUnitInactiveSec FixedRandomDelay RemainAfterElapse
        """
    ),
    SERVICE: set_of(
        """
        Type ExecStart ExecStartPre ExecStartPost WorkingDirectory Environment TimeoutStartSec
        TimeoutSec TimeoutStopSec RuntimeMaxSec Nice SuccessExitStatus User SyslogIdentifier
        RemainAfterExit LimitNOFILE LimitAS LimitCPU LimitFSIZE LimitNPROC
        """
    ),
    UNIT: set_of(
        """
        Description Documentation After Before Wants DefaultDependencies Requires BindsTo PartOf
        RefuseManualStart RefuseManualStop
        """
    ),
}


@dataclass(frozen=True, slots=True)
class UnitJob:
    """A job: its name-to-be, its keys as jobs.yaml writes them, and what differs."""

    unit: str
    name: str
    keys: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def lost_times(self) -> int:
        """How many of its times no cron has, beside others that are kept."""
        return sum(note.startswith("OnCalendar=") for note in self.notes)


@dataclass(frozen=True, slots=True)
class UnitLost:
    """A unit of which no job can be made, and why."""

    unit: str
    reason: str


def jobs_of(timer: Unit, service: Unit, machine: Machine) -> list[UnitJob | UnitLost]:
    """The job of a timer; one for each zone, if it names several."""
    notes: list[str] = []
    try:
        keys = [*_described(timer, service, notes), *run_keys(service, machine, notes)]
        when = times_keys(timer, notes)
    except Wrong as wrong:
        hint = f" ({wrong.hint})" if wrong.hint else ""
        return [UnitLost(timer.name, f"{wrong.message}{hint}")]
    notes += _without_counterpart(timer, service)
    return [
        UnitJob(timer.name, timer.stem, (*keys, *times), tuple(dict.fromkeys(notes)))
        for times in when
    ]


def service_name(timer: Unit, home: str) -> str:
    """The unit that a timer starts. Raises: Wrong."""
    named = timer.last(TIMER, "Unit")
    return specified(named, specifiers(timer, home)) if named else f"{timer.stem}.service"


def _described(timer: Unit, service: Unit, notes: list[str]) -> Iterator[tuple[str, str]]:
    for key, name in (("description", "Description"), ("docs", "Documentation")):
        for unit in (service, timer):
            text = unit.last(UNIT, name)
            if not text:
                continue
            try:
                text = specified(text, specifiers(unit, ""))
            except Wrong:
                notes.append(f"{name}= is not kept: it asks a running systemd")
                break
            if text.isprintable():
                yield key, value(text)
            break


def _without_counterpart(timer: Unit, service: Unit) -> Iterator[str]:
    """A sentence for each kind of setting that is not kept."""
    for unit in (timer, service):
        others: list[str] = []
        for setting in _in_force(unit):
            if setting.name == "RandomizedDelaySec" and setting.value == "0":
                continue
            say = _SAID.get(setting.name)
            if say is not None:
                yield say(setting)
            else:
                others.append(f"{setting.name}=")
        if others:
            yield f"not kept of {unit.name}: {' '.join(dict.fromkeys(others))}"


def _in_force(unit: Unit) -> Iterator[Setting]:
    for setting in unit.settings:
        kept = _KEPT.get(setting.section)
        is_known = kept is not None and setting.name not in kept
        if is_known and setting in unit.all(setting.section, setting.name):
            yield setting


def _said(text: str) -> Callable[[Setting], str]:
    return lambda setting: f"{setting.name}={setting.value}: {text}"


_SAID: dict[str, Callable[[Setting], str]] = {
    "EnvironmentFile": _said("not read; write its variables into env, or ${file:...}"),
    "PassEnvironment": _said("a job has the whole environment of the service"),
    "RandomizedDelaySec": _said("a job begins at its full minute"),
    "Restart": _said("not kept; retries and retry_delay try a failed run again"),
    "RestartSec": _said("not kept; see retry_delay"),
    "ExecCondition": _said("not kept; put the test into the command"),
    "ExecStop": _said("not kept; a job is ended by SIGTERM, then SIGKILL"),
    "ExecStopPost": _said("not kept; put it into the command"),
    "OnFailure": _said("not kept; an incident is opened, notify says where it is told"),
    "StandardInput": _said("a job has /dev/null"),
    "StandardOutput": _said("nightshift logs JOB shows it"),
    "StandardError": _said("nightshift logs JOB shows it"),
    "MemoryMax": _said("not kept; limits: {address_space: ...} bounds each process"),
    "MemoryLimit": _said("not kept; limits: {address_space: ...} bounds each process"),
}
