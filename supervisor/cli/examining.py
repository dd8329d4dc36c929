"""doctor: everything that can be known beforehand about why a night would fail."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from supervisor import __version__
from supervisor.cli import answers
from supervisor.cli.client import Client
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.places import Places
from supervisor.cli.printing import clean, columns, count, folded, print_value, say, styled
from supervisor.cli.verb import json_option, places, supervisor, verb
from supervisor.config import Loaded, load
from supervisor.config.secrets import secrets_among
from supervisor.core.model import Config, Severity, replace
from supervisor.doctor.apart import examine
from supervisor.doctor.checks import CHECKS
from supervisor.doctor.finding import Finding, State
from supervisor.doctor.ground import Ground, Living
from supervisor.masking import mask_of

ASK_S = 5.0
_NAME = max(len(check.name) for check in CHECKS)
_INDENT = " " * (len("mend") + 2 + _NAME + 2)


@dataclass(frozen=True, slots=True)
class Report:
    """What `--json` prints."""

    ok: bool
    findings: tuple[Finding, ...]


@verb("doctor")
@json_option
def doctor(as_json: bool) -> int:
    """What would let a night fail, and the command that mends it; changes nothing.

    Exit status 0: all is well; 1: something is to be mended. Ask as the user of the
    service, with its environment; nobody is sent a message.

    \b
    Examples:
      nightshift doctor
      nightshift doctor --json | jq '.findings[] | select(.state == "mend")'
    """
    ground = _ground(places(), supervisor())
    mask = mask_of(ground.config or Config(()), secrets_among(os.environ.items()))
    found = tuple(_masked(finding, mask) for finding in examine(CHECKS, ground))
    to_mend = sum(finding.state is State.MEND for finding in found)
    if as_json:
        print_value(Report(not to_mend, found))
    else:
        _show(found)
        say()
        say(f"{count(to_mend, 'thing')} to mend" if to_mend else "\nnothing to mend")
    return Exit.NO if to_mend else Exit.YES


def _ground(here: Places, client: Client) -> Ground:
    file, no_file, loaded = None, "", Loaded(None, (), "", "")
    try:
        file = here.config
        loaded = load(file, os.environ)
    except Failure as failure:
        no_file = failure.text
    living, silence, way_out = _living(client)
    return Ground(
        file=file,
        config=loaded.config,
        mistakes=sum(problem.severity is Severity.ERROR for problem in loaded.problems),
        no_file=no_file,
        state=here.state,
        socket=here.socket,
        environ=dict(os.environ),
        version=__version__,
        living=living,
        silence=silence,
        way_out=way_out,
        zone_trouble="; ".join(
            problem.message for problem in loaded.problems if problem.path == "timezone"
        ),
    )


def _living(client: Client) -> tuple[Living | None, str, str]:
    try:
        found = answers.read(client.get("v1", "status", limit_s=ASK_S), answers.Status)
        pid = client.supervisor_pid()
    except Failure as failure:
        return None, failure.text, failure.hint
    return Living(pid, found.version, found.alerts.waiting, found.alerts.error), "", ""


def _masked(finding: Finding, mask: Any) -> Finding:
    value, expected, mend = (
        clean(mask(text)) for text in (finding.value, finding.expected, finding.mend)
    )
    return replace(finding, value=value, expected=expected, mend=mend)


def _show(found: Sequence[Finding]) -> None:
    """State, check, value; below it what is expected, and what mends it."""
    width = columns(sys.stdout)
    for finding in found:
        state = styled(f"{finding.state:<4}", finding.state)
        head = f"  {finding.check:<{_NAME}}  "
        print(state + head + folded(finding.value, width, _INDENT, _INDENT).lstrip())
        if finding.state is State.WELL:
            continue
        if finding.expected:
            print(folded(f"expected: {finding.expected}", width, _INDENT, _INDENT))
        if finding.mend:
            print(folded(f"mend: {finding.mend}", width, _INDENT, _INDENT))
