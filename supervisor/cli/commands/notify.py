"""`nightshift notify`: send a test alert."""

import click

from supervisor.cli.command import (
    command,
    json_option,
    supervisor,
)
from supervisor.cli.errors import ExitCode
from supervisor.cli.output import echo, print_json

# Longer than the supervisor waits for the result of a test alert.
TEST_S = 60.0


@command("notify")
@click.option(
    "--test", "is_test", is_flag=True, help="Send one test alert, whatever min_severity says."
)
@json_option
def notify(is_test: bool, as_json: bool) -> int:
    """Send a test alert the way alerts go, and wait for what comes of it.

    \b
    Example:
      nightshift notify --test
    """
    if not is_test:
        raise click.UsageError("notify needs an option: --test sends a test alert")
    body = supervisor().post("v1", "notify-test", body={}, limit_s=TEST_S)
    print_json(body) if as_json else echo("the test alert has arrived")
    return ExitCode.YES
