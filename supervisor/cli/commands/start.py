"""`nightshift start`: run the supervisor in the foreground; also starts it for `run --local`."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from supervisor.cli.command import command, duration, paths
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.start_errors import as_start_failure, check_open_files
from workers.units import parse_duration

if TYPE_CHECKING:
    from supervisor.service import Service, Settings

LEVELS = ("debug", "info", "warning", "error")


@command("start")
@click.argument("job", nargs=-1, metavar="")
@click.option(
    "--strict", is_flag=True, help="Refuse an invalid jobs.yaml, even if a valid copy is kept."
)
@click.option(
    "--shutdown-grace",
    type=duration,
    help="Time from SIGTERM to SIGKILL, e.g. 7s [$NIGHTSHIFT_SHUTDOWN_GRACE, jobs.yaml].",
)
@click.option("--log-level", metavar="LEVEL", help=f"{', '.join(LEVELS)} [$CRON_LOG_LEVEL].")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Format of its log (text on a terminal, else json).",
)
def start(
    job: tuple[str, ...],
    strict: bool,
    shutdown_grace: float | None,
    log_level: str | None,
    log_format: str | None,
) -> int:
    """Run the supervisor, in the foreground; its log goes to standard error.

    SIGTERM and Ctrl-C stop it (a second one at once), SIGHUP reads jobs.yaml again.

    \b
    Example:
      nightshift start --config /etc/nightshift/jobs.yaml --log-format json
    """
    if job:
        raise click.UsageError(f'start takes no job: did you mean "nightshift run {job[0]}"?')
    # Needed until the loop installs its handlers: the kernel drops SIGTERM to PID 1.
    signal.signal(signal.SIGTERM, _leave)
    # A handler and not SIG_IGN: only a handler is reset in an executed program.
    signal.signal(signal.SIGHUP, _read_anyway)
    here = paths()
    check_open_files()
    # Late: only this command and `run --local` need the whole service.
    with as_start_failure("load the service"):
        from supervisor.log import wants_json
        from supervisor.service import Settings

    settings = Settings(
        config=here.config.absolute(),
        state=here.state,
        socket=here.socket,
        strict=strict,
        shutdown_grace_s=grace_s(shutdown_grace),
        log_level=level(log_level, os.environ.get("CRON_LOG_LEVEL") or "info"),
        log_json=wants_json(log_format),
    )
    service = begun(settings, here.config)
    service.loop.install_signals()
    service.run()
    return ExitCode.YES


def begun(settings: "Settings", shown: Path) -> "Service":
    """Return a started service.

    shown: jobs.yaml as typed, for the messages about its errors.

    Raises:
        CliError: the service cannot start.
    """
    from supervisor.cli import output
    from supervisor.config.result import gc_paused
    from supervisor.containment.process_tree import NoProcError
    from supervisor.ledger.errors import LedgerUnavailableError
    from supervisor.ledger.file import LedgerVersionError
    from supervisor.service import ConfigError, Service
    from supervisor.state_dir import AlreadyRunningError, StateDirError

    try:
        # What a start makes is kept, and frozen at its end: a collection would find nothing.
        with as_start_failure(f"start over {settings.state}"), gc_paused():
            return Service(settings)
    except ConfigError as error:
        said = output.in_lines(error.problems, str(shown))
        raise CliError(ExitCode.USAGE, "\n".join(["jobs.yaml is refused", *said])) from error
    except (AlreadyRunningError, LedgerUnavailableError, NoProcError) as error:
        raise CliError(ExitCode.NO, str(error)) from error
    except (StateDirError, LedgerVersionError) as error:
        raise CliError(ExitCode.USAGE, str(error)) from error


def level(typed: str | None, otherwise: str) -> str:
    """Return the requested log level.

    Raises:
        CliError: the level is unknown.
    """
    text = typed or otherwise
    found = {"warn": "warning"}.get(text.lower(), text.lower())
    if found not in LEVELS:
        where = "--log-level" if typed else "$CRON_LOG_LEVEL"
        raise CliError(
            ExitCode.USAGE, f'{where}: expected one of {", ".join(LEVELS)}, got "{text}"'
        )
    return found


def grace_s(typed: float | None) -> float | None:
    """Return the shutdown grace in seconds that overrides the file's; None if there is none.

    Raises:
        CliError: $NIGHTSHIFT_SHUTDOWN_GRACE is not a duration.
    """
    text = os.environ.get("NIGHTSHIFT_SHUTDOWN_GRACE")
    if typed is not None or not text:
        return typed
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CliError(ExitCode.USAGE, f"$NIGHTSHIFT_SHUTDOWN_GRACE: {error}") from error


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(ExitCode.YES)


def _read_anyway(_number: int, _frame: FrameType | None) -> None:
    """Ignore SIGHUP: jobs.yaml is being read for the first time anyway."""
