"""`nightshift jobs`: list the definitions of the running supervisor."""

from supervisor.cli.command import command, json_option, service
from supervisor.cli.commands.status import _SHORT, _SHORT_COMMAND, _shortened
from supervisor.cli.decode import decode
from supervisor.cli.output import Table, print_json
from supervisor.core import responses
from supervisor.core.views import Definition


@command("jobs")
@json_option
def jobs(as_json: bool) -> int:
    """List the definitions in force, in the order of jobs.yaml.

    \b
    Example:
      nightshift jobs
    """
    body = service().get("v1", "jobs")
    if as_json:
        print_json(body)
        return 0
    headers = ("JOB", "SCHEDULE", "TIMEZONE", "RUNS", "AFTER", "DESCRIPTION")
    table = Table(*headers, spare=("TIMEZONE", "AFTER", "DESCRIPTION"))
    for job in decode(body, responses.Jobs).jobs:
        schedule = " | ".join(job.cron) or "-"
        table.add(
            job.name,
            _shortened(schedule, _SHORT) if job.enabled else "disabled",
            job.timezone,
            _shortened(what_it_runs(job), _SHORT_COMMAND),
            _shortened(" ".join(job.deps), _SHORT) or "-",
            _shortened(job.description, _SHORT),
        )
    table.show()
    return 0


def what_it_runs(job: Definition) -> str:
    """Return the job's worker, or its command as typed in a shell."""
    if job.worker is not None:
        return job.worker
    # Late: only jobs with a list command need it.
    import shlex

    return job.command if isinstance(job.command, str) else shlex.join(job.command or [])
