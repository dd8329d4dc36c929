"""`nightshift notify`: send a test alert."""

import click

from supervisor.cli.command import (
    command,
    json_option,
    service,
)
from supervisor.cli.errors import ExitCode
from supervisor.cli.output import echo, print_json

# Longer than the supervisor waits for the result of a test alert.
TEST_S = 60.0


@command("notify")
@click.argument("channel", default="")
@click.option(
    "--test", "is_test", is_flag=True, help="Send one test alert to each channel, or to CHANNEL."
)
@json_option
def notify(channel: str, is_test: bool, as_json: bool) -> int:
    """Send a test alert the way alerts go, and wait for what comes of it.

    It is sent whatever the channel's min_severity, jobs, groups and quiet hours are.

    \b
    Examples:
      nightshift notify --test
      nightshift notify --test ops
    """
    if not is_test:
        raise click.UsageError("notify needs an option: --test sends a test alert")
    body = service().post("v1", "notify-test", body={"channel": channel}, limit_s=TEST_S)
    print_json(body) if as_json else echo("the test alert has arrived")
    return ExitCode.YES
