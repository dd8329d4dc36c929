"""Base classes and options that the commands share.

`--state`, `--socket` and `--config` are accepted before and after the command name;
the later one wins. A command returns its exit status or raises `CliError`.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.paths import Paths
from workers.units import is_whole, parse_duration

if TYPE_CHECKING:
    from supervisor.cli.client import Client
    from supervisor.cli.history_source import HistorySource

_PATH_OPTIONS = {
    "state": ("DIR", "state folder [$NIGHTSHIFT_STATE_DIR]"),
    "socket": ("PATH", "socket of the supervisor [$NIGHTSHIFT_SOCKET]"),
    "config": ("FILE", "jobs.yaml [$NIGHTSHIFT_CONFIG, ./jobs.yaml, /etc/nightshift/jobs.yaml]"),
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Number(click.IntRange):
    """A whole number in ASCII digits: `int` also accepts `1_0` and digits of other scripts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if isinstance(value, str) and not is_whole(value.removeprefix("-")):
            self.fail(f'expected a whole number, got "{value}"', param, ctx)
        return number


# At most ten years: a simulated year takes seconds.
coming_days = Number(1, 3660)
utc_option = click.option(
    "--utc", is_flag=True, help="Show times in UTC, not in the service's time zone."
)


class Command(click.Command):
    """A command that also accepts the path options, unless it defines options of that name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        taken = {word for param in self.params for word in param.opts}
        self.params += [option for option in path_options() if not taken & set(option.opts)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CliError as failure:
            failure.show(ctx.params.get("as_json", False))
            return failure.status


class CommandGroup(Command, click.Group):
    """A command with subcommands."""


class HealthcheckCommand(Command):
    """A command that exits with 0 or 1 only, even on a usage error."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise NoAnswerError(error.format_message(), error.ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        return ExitCode.NO if super().invoke(ctx) else ExitCode.YES


class NoAnswerError(click.UsageError):
    """A usage error of a command that must exit with 0 or 1."""

    exit_code = ExitCode.NO


def duration(text: str) -> float:
    """Parse `90`, `5m` or `1h30m` into seconds.

    Raises:
        click.BadParameter: the text is not a duration.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def some_time(text: str) -> float:
    """Parse a duration above 0 into seconds.

    Raises:
        click.BadParameter: the text is not a duration, or is 0.
    """
    seconds = duration(text)
    if not seconds:
        raise click.BadParameter(f'expected a duration above 0, got "{text}"')
    return seconds


def command(name: str, kind: type[Command] = Command) -> Callable[[Callable[..., int]], Command]:
    """Make a command from a function that returns an exit status."""
    return click.command(name, cls=kind)


def path_options() -> list[click.Option]:
    """Return new option objects for --state, --socket and --config."""
    return [
        click.Option(
            [f"--{name}"], metavar=metavar, help=text, expose_value=False, callback=_remember
        )
        for name, (metavar, text) in _PATH_OPTIONS.items()
    ]


def paths() -> Paths:
    """Return the paths of the current command: typed options first, then the environment."""
    return paths_in(click.get_current_context())


def paths_in(ctx: click.Context) -> Paths:
    """Return the paths of `ctx`, for code that runs before a command does."""
    typed = {name: ctx.meta.get(f"nightshift.{name}", "") for name in _PATH_OPTIONS}
    return Paths(typed, os.environ)


def service() -> "Client":
    """Return a client for the service: the supervisor, or the cluster that it is in."""
    from supervisor.cli.client import Client

    return Client(paths().service_socket)


def supervisor() -> "Client":
    """Return a client for the supervisor of this host."""
    # Late: `start` needs no client, and must not wait for the import of HTTP.
    from supervisor.cli.client import Client

    return Client(paths().socket)


def history_source() -> "HistorySource":
    """Return the past of the service, from its supervisor or else from its ledger."""
    # Late, as above.
    from supervisor.cli.history_source import HistorySource

    return HistorySource(paths())


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[f"nightshift.{param.name}"] = value
