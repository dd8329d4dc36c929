"""`nightshift schema`: print the JSON Schema of jobs.yaml."""

from supervisor.cli.command import command
from supervisor.cli.errors import ExitCode
from supervisor.cli.output import print_value
from supervisor.config import schema


@command("schema")
def print_schema() -> int:
    """JSON Schema of jobs.yaml, for editors.

    \b
    Example:
      nightshift schema > jobs.schema.json
    """
    print_value(schema())
    return ExitCode.YES
