"""Options of `run`: validated, and translated into API requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import click
import msgspec

from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo
from workers.text import is_utf8, readable
from workers.units import format_count


class Listed(Protocol):
    """Fields of a job that the list of `run --all` needs."""

    @property
    def name(self) -> str: ...
    @property
    def deps(self) -> Sequence[str]: ...
    @property
    def enabled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `run`.

    Raises:
        click.UsageError: the options contradict each other.
    """

    jobs: tuple[str, ...]
    every: bool
    only: tuple[str, ...]
    wait: bool
    with_deps: bool
    dry_run: bool
    given: tuple[str, ...]
    is_local: bool
    yes: bool
    log_level: str | None
    as_json: bool
    on_host: str = ""

    def __post_init__(self) -> None:
        if self.every == bool(self.jobs):
            raise click.UsageError("run takes the names of jobs, or --all")
        if self.only and not self.every:
            raise click.UsageError("--only goes with --all")
        if self.every and (self.with_deps or self.dry_run or self.given):
            raise click.UsageError("--with-deps, --dry-run and --set go with names of jobs")
        if self.on_host and (self.every or self.is_local):
            raise click.UsageError("--on goes with names of jobs, without --all and --local")
        if self.log_level and not self.is_local:
            raise click.UsageError("--log-level goes with --local")

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the values of `--set key=value`, typed as in a `with` block.

        Raises:
            click.UsageError: a value is malformed.
        """
        if not self.given:
            return {}
        # Late: it imports the YAML reader of jobs.yaml.
        from supervisor.config.with_block import typed

        found: dict[str, Any] = {}
        for text in self.given:
            if not is_utf8(text):
                raise click.UsageError(f'--set: "{readable(text)}" is not UTF-8')
            key, equals, value = text.partition("=")
            if not key or not equals:
                raise click.UsageError(f'--set: expected key=value, got "{text}"')
            found[key] = _json(value) if value[:1] in ("[", "{") else typed(value)
        return found

    @property
    def body(self) -> Mapping[str, object]:
        """Return the body of `POST /v1/jobs/{job}/run`."""
        body = {"with_deps": self.with_deps, "set": self.parameters, "dry_run": self.dry_run}
        # A supervisor of an older version refuses a key that it does not know.
        return body | ({"on_host": self.on_host} if self.on_host else {})

    def chosen(self, jobs: Sequence[Listed]) -> list[str]:
        """Return the names of the jobs that --all runs, in dependency order.

        Raises:
            CliError: --only names an unknown job.
        """
        # Late: only --all needs the core.
        from supervisor.core import dependencies

        known = {job.name: job for job in jobs}
        for name in self.only:
            if name not in known:
                raise CliError(
                    ExitCode.USAGE, f'no job is called "{name}"', "nightshift jobs lists them"
                )
        names = [
            job.name for job in jobs if job.enabled and (not self.only or job.name in self.only)
        ]
        return list(dependencies.in_order(names, {job.name: tuple(job.deps) for job in jobs}))

    def is_confirmed(self, names: Sequence[str], at_terminal: bool) -> bool:
        """List the jobs of --all, ask for confirmation, and return the answer.

        Raises:
            CliError: standard input is not a terminal and --yes is not given.
        """
        if not self.as_json:
            for place, name in enumerate(names, 1):
                echo(f"{place:>3}  {name}")
        if self.yes:
            return True
        if not at_terminal:
            hint = "--yes runs them without a question"
            raise CliError(
                ExitCode.USAGE, f"run --all would run {format_count(len(names), 'job')}", hint
            )
        return click.confirm(f"Run {format_count(len(names), 'job')} now, one at a time?")


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise click.UsageError(f'--set: "{text}" is no JSON: {error}') from error
