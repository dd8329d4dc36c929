"""`nightshift healthcheck`: test whether the supervisor is ticking."""

from supervisor.cli.command import HealthcheckCommand, command, json_option, supervisor
from supervisor.cli.decode import decode
from supervisor.cli.errors import ExitCode
from supervisor.cli.output import echo, print_json
from supervisor.core import responses
from workers.units import format_duration

HEALTH_S = 5.0


@command("healthcheck", HealthcheckCommand)
@json_option
def healthcheck(as_json: bool) -> int:
    """Whether the supervisor ticks: exit status 0, else 1.

    \b
    Example, in a Dockerfile:
      HEALTHCHECK CMD ["nightshift", "healthcheck"]
    """
    body = supervisor().get("healthz", limit_s=HEALTH_S)
    if as_json:
        print_json(body)
    else:
        age_s = decode(body, responses.Health).tick_age_seconds
        echo(f"healthy: the last tick was {format_duration(round(age_s))} ago")
    return ExitCode.YES
