"""`nightshift check`: report the errors of jobs.yaml, or when its jobs will run."""

import os
import sys
from pathlib import Path

import click

from supervisor.cli import check_report, output
from supervisor.cli.command import coming_days, command, json_option, paths, supervisor, utc_option
from supervisor.cli.commands.init import FILE
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo, print_value
from supervisor.cli.time_format import time_format
from supervisor.config import load
from supervisor.core.config_model import Severity
from workers.units import format_count


@command("check")
@click.argument("file", type=FILE, required=False)
@click.option(
    "--simulate",
    type=coming_days,
    metavar="DAYS",
    help="Also simulate this many days, and show what differs.",
)
@json_option
@utc_option
def check(file: Path | None, simulate: int | None, as_json: bool, utc: bool) -> int:
    """All mistakes of FILE (or of jobs.yaml), or when its jobs will run.

    Beside a living supervisor also what would change.

    \b
    Examples:
      nightshift check new.yaml && mv new.yaml jobs.yaml
      nightshift check new.yaml --simulate 30
    """
    path = file or paths().config
    loaded = load(path, os.environ)
    findings = check_report.findings(loaded, supervisor(), utc, simulate)
    if as_json:
        print_value(findings)
        return ExitCode.YES if findings.ok else ExitCode.USAGE
    for line in output.in_lines(loaded.problems, str(path)):
        echo(line)
    errors = sum(problem.severity == Severity.ERROR for problem in loaded.problems)
    if errors:
        sys.stdout.flush()
        raise CliError(ExitCode.USAGE, f"{path}: {format_count(errors, 'mistake')}")
    warnings = f", {format_count(len(loaded.problems), 'warning')}" if loaded.problems else ""
    echo(f"{path}: {format_count(len(findings.jobs), 'job')}, no mistakes{warnings}")
    zone = "UTC" if utc or loaded.config is None else loaded.config.timezone
    check_report.show(findings, time_format(zone))
    return ExitCode.YES
