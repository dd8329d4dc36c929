"""Names of jobs on the command line: what can be one, and which there are to complete.

A shell asks at every key; so the living supervisor is asked first, which has them at
hand, and jobs.yaml is read only where nobody answers, and never its workers.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli import answers
from supervisor.cli.client import Client
from supervisor.cli.command import paths_in
from supervisor.cli.errors import CliError
from supervisor.cli.paths import Paths

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

ASK_S = 1.0
LARGEST_BYTES = 1024**2


class JobName(click.ParamType):  # type: ignore[type-arg]  # generic in newer ones only
    """A text that can be the name of a job; whether there is one, the supervisor knows."""

    name = "job"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is, or a usage error."""
        if not value or "/" in value or not value.isprintable():
            self.fail(f'expected the name of a job, got "{value}"', param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list["CompletionItem"]:
        """The jobs whose names begin so, and are not typed yet."""
        # Late: only a shell that completes needs it.
        from click.shell_completion import CompletionItem

        typed: Any = ctx.params.get(param.name or "") or ()
        names = [name for name in known(paths_in(ctx)) if name not in typed]
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


job_name = JobName()


def known(here: Paths) -> Iterable[str]:
    """The names of all jobs, in the order of jobs.yaml; none, if there is trouble."""
    try:
        body = Client(here.socket).get("v1", "jobs", limit_s=ASK_S)
        return [job.name for job in answers.read(body, answers.Jobs).jobs]
    except CliError:
        return _of_file(here)


def _of_file(here: Paths) -> list[str]:
    # Late: where a supervisor answers nobody reads YAML.
    from supervisor.config.files import UnreadableFileError, read_regular
    from supervisor.config.parse_text import parse

    try:
        path = here.config
        found = parse(read_regular(path, LARGEST_BYTES), path, os.environ).config
    except (CliError, UnreadableFileError):
        return []
    return [job.name for job in found.jobs] if found is not None else []
