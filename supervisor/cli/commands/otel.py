"""`nightshift otel`: send each run that ends as a span, as a client of the socket."""

import contextlib
import signal
import sys
from pathlib import Path

import click

from supervisor.cli.command import command, paths, supervisor
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import complain
from supervisor.core.escape import escape_control
from workers.text import readable

POSITION = "otel.json"


@command("otel")
@click.option(
    "--position",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Where it keeps what was sent (STATE/{POSITION}).",
)
def otel(position: Path | None) -> int:
    """Send each run that ends to OpenTelemetry as a span, until SIGTERM or Ctrl-C.

    Where to is said by OTEL_EXPORTER_OTLP_ENDPOINT and the other standard variables. It
    goes on where it was after a restart. See docs/opentelemetry.md.

    \b
    Examples:
      OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 nightshift otel
      nightshift otel --position /var/lib/nightshift-otel/position.json
    """
    try:
        from supervisor.telemetry.otlp import Exporter, ExporterError
        from supervisor.telemetry.position import PositionError, PositionFile
        from supervisor.telemetry.shipping import Shipping
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("opentelemetry", "google"):
            raise
        text = "spans need more than the service does: OpenTelemetry's SDK is missing"
        raise CliError(ExitCode.USAGE, text, 'pip install "nightshift-cron[otel]"') from error
    try:
        with PositionFile(position or paths().state / POSITION) as file:
            shipping = Shipping(supervisor(), file, Exporter(), _say)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, shipping.interrupt)
            with contextlib.suppress(KeyboardInterrupt):
                shipping.run()
    except (PositionError, ExporterError) as error:
        raise CliError(ExitCode.USAGE, str(error)) from error
    return ExitCode.YES


def _say(text: str) -> None:
    complain(f"nightshift otel: {escape_control(readable(text))}")
    sys.stderr.flush()
