"""What `run` was asked for: checked, and in the words of the API and of the core."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import click
import msgspec

from supervisor.cli.failure import Exit, Failure
from supervisor.cli.printing import count, say
from workers.text import is_utf8, readable


class Listed(Protocol):
    """What of a job the list before `run --all` needs."""

    @property
    def name(self) -> str: ...
    @property
    def deps(self) -> Sequence[str]: ...
    @property
    def enabled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of `run`. Raises (at construction): click.UsageError."""

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

    def __post_init__(self) -> None:
        if self.every == bool(self.jobs):
            raise click.UsageError("run takes the names of jobs, or --all")
        if self.only and not self.every:
            raise click.UsageError("--only goes with --all")
        if self.every and (self.with_deps or self.dry_run or self.given):
            raise click.UsageError("--with-deps, --dry-run and --set go with names of jobs")
        if self.log_level and not self.is_local:
            raise click.UsageError("--log-level goes with --local")

    @property
    def parameters(self) -> dict[str, Any]:
        """`--set key=value`, typed as a `with` block types it. Raises: click.UsageError."""
        if not self.given:
            return {}
        # Late: it reads values as jobs.yaml does, and with its reader.
        from supervisor.config.params import typed

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
        """The body of `POST /v1/jobs/{job}/run`."""
        return {"with_deps": self.with_deps, "set": self.parameters, "dry_run": self.dry_run}

    def chosen(self, jobs: Sequence[Listed]) -> list[str]:
        """What --all means among these definitions, in the order in which it goes.

        Raises:
            Failure: --only names a job that is not there.
        """
        # Late: only --all needs the core.
        from supervisor.core import graph

        known = {job.name: job for job in jobs}
        for name in self.only:
            if name not in known:
                raise Failure(
                    Exit.USAGE, f'no job is called "{name}"', "nightshift jobs lists them"
                )
        names = [
            job.name for job in jobs if job.enabled and (not self.only or job.name in self.only)
        ]
        return list(graph.in_order(names, {job.name: tuple(job.deps) for job in jobs}))

    def is_confirmed(self, names: Sequence[str], at_terminal: bool) -> bool:
        """Whether to go on with --all: lists the jobs, and asks a person for leave.

        Raises:
            Failure: there is nobody to ask, and no --yes.
        """
        if not self.as_json:
            for place, name in enumerate(names, 1):
                say(f"{place:>3}  {name}")
        if self.yes:
            return True
        if not at_terminal:
            hint = "--yes runs them without a question"
            raise Failure(Exit.USAGE, f"run --all would run {count(len(names), 'job')}", hint)
        return click.confirm(f"Run {count(len(names), 'job')} now, one at a time?")


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise click.UsageError(f'--set: "{text}" is no JSON: {error}') from error
