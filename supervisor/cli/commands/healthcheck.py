"""`nightshift healthcheck`: is the supervisor ticking?"""

from supervisor.cli import answers
from supervisor.cli.command import Question, json_option, supervisor, verb
from supervisor.cli.errors import Exit
from supervisor.cli.output import print_json, say
from workers.units import format_duration

HEALTH_S = 5.0


@verb("healthcheck", Question)
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
        age_s = answers.read(body, answers.Health).tick_age_seconds
        say(f"healthy: the last tick was {format_duration(round(age_s))} ago")
    return Exit.YES
