"""`nightshift`: the table of its verbs, and the outermost edge of each.

A verb's file is imported when the verb is typed; its help in the list stands
here, so that the list imports nothing.
"""

import contextlib
import difflib
import errno
import importlib
import sys

import click

from supervisor import __version__
from supervisor.cli.failure import Exit
from supervisor.cli.printing import complain, mute
from supervisor.cli.verb import place_options
from workers.text import readable

# verb -> (file, function, what the list says)
VERBS = {
    "init": ("defining", "init", "write a short jobs.yaml that runs as it is"),
    "check": ("defining", "check", "all mistakes of jobs.yaml, or when its jobs will run"),
    "import": ("importing", "import_", "a jobs.yaml made of crontabs or systemd timers"),
    "schema": ("defining", "print_schema", "JSON Schema of jobs.yaml, for editors"),
    "start": ("starting", "start", "run the supervisor, in the foreground"),
    "stop": ("serving", "stop", "stop the supervisor and all that it runs"),
    "reload": ("serving", "reload", "read jobs.yaml again now"),
    "healthcheck": ("serving", "healthcheck", "0 if the supervisor ticks, else 1"),
    "status": ("looking", "status", "supervisor, open runs, each job's last result and next slot"),
    "jobs": ("looking", "jobs", "the definitions in force"),
    "show": ("looking", "show", "one job: definition, last result, next slots"),
    "next": ("coming", "coming", "upcoming slots"),
    "simulate": ("simulating", "simulate_", "the coming days of jobs.yaml, through the rules"),
    "run": ("asking", "run", "run jobs now"),
    "cancel": ("asking", "cancel", "end the open runs of a job, or one run"),
    "pause": ("asking", "pause", "no slots of a job, or of any, for a time"),
    "resume": ("asking", "resume", "lift a pause"),
    "history": ("account", "history", "what ran, was skipped or missed, and how it ended"),
    "logs": ("account", "logs", "what a run printed"),
    "explain": ("account", "explain", "why a job ran, waits, was skipped or missed"),
    "backups": ("backups", "backups", "the copies; verify, restore, keep, prune"),
    "incidents": ("incidents", "incidents", "what is in trouble; ack silences one"),
    "notify": ("incidents", "notify", "send a test alert"),
    "completion": ("completing", "completion", "what a shell needs to complete all this"),
    "doctor": ("examining", "doctor", "what would let a night fail, and what mends it"),
}
# Characters of an argument that a complaint about it repeats.
MOST_SHOWN = 200


class Program(click.Group):
    """The group of all verbs, each imported when it is typed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        file, function, _ = VERBS[cmd_name]
        found: click.Command = getattr(importlib.import_module(f"supervisor.cli.{file}"), function)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, 1)
            hint = f'did you mean "{near[0]}"?' if near else "nightshift --help lists them"
            ctx.fail(f'there is no verb "{args[0]}": {hint}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, _, text) in VERBS.items()])


program = Program(
    name="nightshift",
    params=[*place_options()],
    subcommand_metavar="VERB [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A cron service that contains every job, records every slot and proves every backup.\n\n"
    "Exit status: 0 yes, 1 no, 2 usage or configuration, 3 no supervisor.",
    epilog="nightshift VERB --help says more, with an example.",
)
program = click.version_option(__version__, prog_name="nightshift")(program)


def main() -> int:
    """Run one verb; its exit status. Nothing that a person may do ends in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end a listing.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        status = program.main(prog_name="nightshift", standalone_mode=False)
        sys.stdout.flush()
        return int(status or Exit.YES)
    except click.Abort:
        return Exit.DETACHED
    except click.ClickException as error:
        error.message = readable(error.message)  # type: ignore[misc]
        with contextlib.suppress(OSError):
            error.show()
        _flush_errors()
        return error.exit_code
    except UnicodeEncodeError as error:
        # Of a name or an argument; the bytes of a path mean nothing to the supervisor.
        text = readable(error.object[:MOST_SHOWN])
        complain(f'nightshift: "{text}" is not UTF-8')
        return Exit.USAGE
    except BrokenPipeError:
        return _nobody_reads()
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        complain(f"nightshift: standard output: {error.strerror}")
        return _nobody_reads()


def _nobody_reads() -> int:
    """End quietly, though what is left of the output cannot be written."""
    mute(sys.stdout)
    return Exit.NO


def _flush_errors() -> None:
    try:
        sys.stderr.flush()
    except OSError:
        mute(sys.stderr)
