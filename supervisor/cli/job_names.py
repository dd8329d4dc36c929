"""Validation and shell completion of job names.

A shell completes on every key. The running supervisor is asked first because it has
the names in memory; jobs.yaml is parsed only if no supervisor answers, and its workers
are never loaded.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.command import paths_in
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError
from supervisor.cli.paths import Paths
from supervisor.core import responses

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

ASK_S = 1.0
LARGEST_BYTES = 1024**2


class JobName(click.ParamType):  # type: ignore[type-arg]  # generic in newer ones only
    """Type of an argument that is a valid job name; the supervisor checks that it exists."""

    name = "job"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name unchanged, or fail with a usage error."""
        if not value or "/" in value or not value.isprintable():
            self.fail(f'expected the name of a job, got "{value}"', param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list["CompletionItem"]:
        """Return the names that start with `incomplete` and are not typed yet."""
        # Late: only shell completion needs it.
        from click.shell_completion import CompletionItem

        typed: Any = ctx.params.get(param.name or "") or ()
        names = [name for name in known(paths_in(ctx)) if name not in typed]
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


job_name = JobName()


def known(here: Paths) -> Iterable[str]:
    """Return the names of all jobs in the order of jobs.yaml; none on any error."""
    # Late: a command with a job's name may need no supervisor, and so no HTTP.
    from supervisor.cli.client import Client

    try:
        body = Client(here.socket).get("v1", "jobs", limit_s=ASK_S)
        return [job.name for job in decode(body, responses.Jobs).jobs]
    except CliError:
        return _of_file(here)


def _of_file(here: Paths) -> list[str]:
    # Late: YAML is not needed if a supervisor answers.
    from supervisor.config.parse_text import parse
    from workers.regular_file import UnreadableFileError, read_regular

    try:
        path = here.config
        found = parse(read_regular(path, LARGEST_BYTES), path, os.environ).config
    except (CliError, UnreadableFileError):
        return []
    return [job.name for job in found.jobs] if found is not None else []
