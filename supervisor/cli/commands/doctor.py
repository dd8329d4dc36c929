"""`nightshift doctor`: check the installation for problems that would make jobs fail."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from supervisor import __version__
from supervisor.cli.client import Client
from supervisor.cli.command import command, json_option, paths, supervisor
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import clean, columns, echo, folded, print_value, styled
from supervisor.cli.paths import Paths
from supervisor.config import Loaded, load
from supervisor.core.config_model import Config, Severity
from supervisor.core.model import replace
from supervisor.core.views import Status
from supervisor.doctor.checks import CHECKS
from supervisor.doctor.context import ChannelState, DoctorContext, RunningService
from supervisor.doctor.finding import Finding, State
from supervisor.doctor.isolation import examine
from supervisor.redaction.mask import mask_of
from supervisor.redaction.secrets import secrets_among
from workers.units import format_count

ASK_S = 5.0
_NAME = max(len(check.name) for check in CHECKS)
_STATE = max(len(state) for state in State)
_INDENT = " " * (_STATE + 2 + _NAME + 2)


@dataclass(frozen=True, slots=True)
class Report:
    """Output of `--json`."""

    ok: bool
    findings: tuple[Finding, ...]


@command("doctor")
@json_option
def doctor(as_json: bool) -> int:
    """Check the installation, and name a command for each problem; change nothing.

    Exit status 0: no problem; 1: a problem was found. Run it as the user of the
    service, with its environment; no message is sent.

    \b
    Examples:
      nightshift doctor
      nightshift doctor --json | jq '.findings[] | select(.state == "error")'
    """
    context = _context(paths(), supervisor())
    mask = mask_of(context.config or Config(()), secrets_among(os.environ.items()))
    found = tuple(_masked(finding, mask) for finding in examine(CHECKS, context))
    errors = sum(finding.state is State.ERROR for finding in found)
    if as_json:
        print_value(Report(not errors, found))
    else:
        _show(found)
        echo()
        echo(_summary(errors, sum(finding.state is State.WARNING for finding in found)))
    return ExitCode.NO if errors else ExitCode.YES


def _context(here: Paths, client: Client) -> DoctorContext:
    file, no_file, loaded = None, "", Loaded(None, (), "", "")
    try:
        file = here.config
        loaded = load(file, os.environ)
    except CliError as failure:
        no_file = failure.text
    running, silence, way_out = _living(client)
    return DoctorContext(
        file=file,
        config=loaded.config,
        mistakes=sum(problem.severity == Severity.ERROR for problem in loaded.problems),
        no_file=no_file,
        state=here.state,
        socket=here.socket,
        environ=dict(os.environ),
        version=__version__,
        running=running,
        silence=silence,
        way_out=way_out,
        zone_error="; ".join(
            problem.message for problem in loaded.problems if problem.path == "timezone"
        ),
    )


def _living(client: Client) -> tuple[RunningService | None, str, str]:
    try:
        found = decode(client.get("v1", "status", limit_s=ASK_S), Status)
        pid = client.supervisor_pid()
    except CliError as failure:
        return None, failure.text, failure.hint
    channels = [
        ChannelState(each.name, each.waiting, each.error) for each in found.alerts.channels
    ]
    return RunningService(pid, found.version, tuple(channels)), "", ""


def _summary(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return "no problems found"
    return f"{format_count(errors, 'error')}, {format_count(warnings, 'warning')}"


def _masked(finding: Finding, mask: Any) -> Finding:
    value, expected, fix = (
        clean(mask(text)) for text in (finding.value, finding.expected, finding.fix)
    )
    return replace(finding, value=value, expected=expected, fix=fix)


def _show(found: Sequence[Finding]) -> None:
    """Print state, check and value, and below it what is expected and how to fix it."""
    width = columns(sys.stdout)
    for finding in found:
        state = styled(f"{finding.state:<{_STATE}}", finding.state)
        head = f"  {finding.check:<{_NAME}}  "
        print(state + head + folded(finding.value, width, _INDENT, _INDENT).lstrip())
        if finding.state is State.OK:
            continue
        if finding.expected:
            print(folded(f"expected: {finding.expected}", width, _INDENT, _INDENT))
        if finding.fix:
            print(folded(f"fix: {finding.fix}", width, _INDENT, _INDENT))
