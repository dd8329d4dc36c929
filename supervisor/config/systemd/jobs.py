"""A timer and its service -> the keys of a job, and the settings without a counterpart.

Pure. `convert.py` writes jobs.yaml from the result. No setting is dropped silently.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from supervisor.config.crontab.shell_text import UNFILLED, set_of
from supervisor.config.problems import BadValueError
from supervisor.config.systemd.service import SERVICE, Machine, run_keys
from supervisor.config.systemd.timer import TIMER, times_keys
from supervisor.config.systemd.units import Setting, Unit, specified, specifiers
from supervisor.config.yaml_writer import value

UNIT = "Unit"
# Settings that need no note: they are converted, or do not affect what runs or when.
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
    """A job: its proposed name, its keys as written in jobs.yaml, and notes on differences."""

    unit: str
    name: str
    keys: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def lost_times(self) -> int:
        """Return the number of OnCalendar times that could not be converted."""
        return sum(note.startswith("OnCalendar=") for note in self.notes)


@dataclass(frozen=True, slots=True)
class UnitLost:
    """A unit that cannot become a job, and the reason."""

    unit: str
    reason: str


def jobs_of(timer: Unit, service: Unit, machine: Machine) -> list[UnitJob | UnitLost]:
    """Return the job of a timer; one for each zone, if its times use several."""
    notes: list[str] = []
    try:
        keys = [*_described(timer, service, notes), *run_keys(service, machine, notes)]
        when = times_keys(timer, notes)
    except BadValueError as wrong:
        hint = f" ({wrong.hint})" if wrong.hint else ""
        return [UnitLost(timer.name, f"{wrong.message}{hint}")]
    notes += [*_unfilled(timer, service), *_without_counterpart(timer, service)]
    return [
        UnitJob(timer.name, timer.stem, (*keys, *times), tuple(dict.fromkeys(notes)))
        for times in when
    ]


def service_name(timer: Unit, home: str) -> str:
    """Return the unit that a timer starts. Raises: BadValueError."""
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
            except BadValueError:
                notes.append(f"{name}= is not kept: it asks a running systemd")
                break
            if text.isprintable():
                yield key, value(text)
            break


def _unfilled(timer: Unit, service: Unit) -> Iterator[str]:
    """Yield a note for each value of a template that was not filled in."""
    for setting in (*timer.settings, *service.settings):
        found = UNFILLED.search(setting.value)
        if found:
            yield f"{setting.name}={found[0]}: if this is of a template, import what it makes"


def _without_counterpart(timer: Unit, service: Unit) -> Iterator[str]:
    """Yield a note for each kind of setting that is not converted."""
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
    "OnFailure": _said("not kept; an incident is opened, notify says where it is sent"),
    "StandardInput": _said("a job has /dev/null"),
    "StandardOutput": _said("nightshift logs JOB shows it"),
    "StandardError": _said("nightshift logs JOB shows it"),
    "MemoryMax": _said("not kept; limits: {address_space: ...} bounds each process"),
    "MemoryLimit": _said("not kept; limits: {address_space: ...} bounds each process"),
}
