"""Entry point of `nightshift`: the table of commands, and the handling of their errors.

A command's module is imported when the command is typed. Its one-line help is kept in
the table, so that listing the commands imports nothing.
"""

import contextlib
import difflib
import errno
import importlib
import sys

import click

from supervisor import __version__
from supervisor.cli.command import path_options
from supervisor.cli.errors import ExitCode
from supervisor.cli.output import complain, mute
from supervisor.core.escape import escape_control
from workers.text import readable

# command -> (module, function, one-line help)
COMMANDS = {
    "init": ("init", "init", "write a short jobs.yaml that runs as it is"),
    "check": ("check", "check", "report every mistake in jobs.yaml, or when its jobs will run"),
    "import": ("import_", "import_", "make a jobs.yaml from crontabs or systemd timers"),
    "schema": ("schema", "print_schema", "print the JSON Schema of jobs.yaml, for editors"),
    "start": ("start", "start", "run the supervisor in the foreground"),
    "stop": ("stop", "stop", "stop the supervisor and everything it runs"),
    "reload": ("reload", "reload", "read jobs.yaml again now"),
    "healthcheck": (
        "healthcheck",
        "healthcheck",
        "exit with 0 if the supervisor ticks, else with 1",
    ),
    "status": ("status", "status", "show the supervisor, open runs, last results and next slots"),
    "jobs": ("jobs", "jobs", "list the definitions in force"),
    "show": ("show", "show", "show one job: definition, last result, next slots"),
    "next": ("next", "next_", "list upcoming slots"),
    "simulate": ("simulate", "simulate_", "simulate the coming days of jobs.yaml"),
    "run": ("run", "run", "run jobs now"),
    "cancel": ("cancel", "cancel", "end the open runs of a job, or one run"),
    "pause": ("pause", "pause", "start no slots of a job, or of any job, for a time"),
    "resume": ("pause", "resume", "end a pause"),
    "history": ("history", "history", "list what ran, was skipped or missed, and how it ended"),
    "logs": ("logs", "logs", "print the log of a run"),
    "explain": ("explain", "explain", "tell why a job ran, waits, was skipped or missed"),
    "backups": ("backups", "backups", "list, verify, restore, keep and prune backups"),
    "incidents": ("incidents", "incidents", "list incidents; ack silences one"),
    "notify": ("notify", "notify", "send a test alert"),
    "web": ("web", "web", "serve a page to look at, on this machine"),
    "cluster": ("cluster", "cluster", "make and show a cluster of several hosts"),
    "otel": ("otel", "otel", "send each run that ends to OpenTelemetry as a span"),
    "completion": ("completion", "completion", "print the completion script of a shell"),
    "doctor": ("doctor", "doctor", "check the installation, and name a command for each problem"),
}
# What click 8.2 and newer raise to print the help of a group.
_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())
# At most this many characters of an argument are repeated in an error.
MOST_SHOWN = 200


class NightshiftGroup(click.Group):
    """The group of all commands; each one is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        file, function, _ = COMMANDS[cmd_name]
        found: click.Command = getattr(
            importlib.import_module(f"supervisor.cli.commands.{file}"), function
        )
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f'did you mean "{near[0]}"?' if near else "nightshift --help lists them"
            ctx.fail(f'there is no command "{args[0]}": {hint}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


program = NightshiftGroup(
    name="nightshift",
    params=[*path_options()],
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A cron service that contains every job, records every slot and proves every backup.\n\n"
    "Exit status: 0 yes, 1 no, 2 usage or configuration, 3 no supervisor.",
    epilog="Run nightshift COMMAND --help for its options and examples.",
)
program = click.version_option(__version__, prog_name="nightshift")(program)


def main() -> int:
    """Run one command and return its exit status; user errors never show a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal's encoding lacks must not abort a listing.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        status = program.main(prog_name="nightshift", standalone_mode=False)
        sys.stdout.flush()
        return int(status or ExitCode.YES)
    except click.Abort:
        return ExitCode.DETACHED
    except click.ClickException as error:
        # It may quote an argument; the help of a group without a command does not.
        if not isinstance(error, _HELP):
            error.message = escape_control(readable(error.message))  # type: ignore[misc]
        with contextlib.suppress(OSError):
            error.show()
        _flush_errors()
        return error.exit_code
    except UnicodeEncodeError as error:
        # Raised for a name or an argument that is sent as JSON, which must be UTF-8.
        text = readable(error.object[:MOST_SHOWN])
        complain(f'nightshift: "{text}" is not UTF-8')
        return ExitCode.USAGE
    except BrokenPipeError:
        return _closed_output()
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        complain(f"nightshift: standard output: {error.strerror}")
        return _closed_output()


def _closed_output() -> int:
    """Return exit status 1 after redirecting unwritable output to /dev/null."""
    mute(sys.stdout)
    return ExitCode.NO


def _flush_errors() -> None:
    try:
        sys.stderr.flush()
    except OSError:
        mute(sys.stderr)
