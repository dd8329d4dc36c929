"""Jobs of systemd units -> the text of a jobs.yaml that replaces the timers.

Pure. Differences are comments next to each job. A lost timer is kept as a comment.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from supervisor.config.crontab.job_names import JobNames
from supervisor.config.parse_job import RESERVED_NAMES
from supervisor.config.parse_text import parse
from supervisor.config.systemd.jobs import UnitJob, UnitLost
from supervisor.config.yaml_writer import comment

_MOST_AT_ONCE = 1000
_HEAD = """\
# Made from timers of systemd by `nightshift import systemd`. Otherwise than there:
# - a time that comes while the job still runs is skipped (overlap: skip), as with
#   systemd, but it is recorded. Output is kept: nightshift logs JOB.
# - Jobs run as the user of the service, with its environment. Nothing of the
#   sandboxes of units is kept.
# - An exit status other than 0 opens an incident, and notify says where it is sent.

max_concurrent: {places}
"""


def checked(item: UnitJob | UnitLost) -> UnitJob | UnitLost:
    """Return the job if `check` accepts it, else the reason as UnitLost."""
    if isinstance(item, UnitLost):
        return item
    text = "\n".join(["jobs:", *_lines("job", item)])
    problems = parse(text.encode(errors="replace"), Path("/jobs.yaml"), {}).problems
    return UnitLost(item.unit, problems[0].message) if problems else item


def jobs_yaml(items: Sequence[UnitJob | UnitLost]) -> str:
    """Return the whole file; without any job it has no jobs, which `check` refuses."""
    count = sum(isinstance(item, UnitJob) for item in items)
    text = _HEAD.format(places=min(max(1, count), _MOST_AT_ONCE))
    text += "\njobs:\n" if count else "\njobs: {}\n"
    return text + "\n".join(_blocks(items, JobNames(RESERVED_NAMES)))


def _blocks(items: Sequence[UnitJob | UnitLost], names: JobNames) -> Iterator[str]:
    for item in items:
        if isinstance(item, UnitLost):
            yield comment(f"  # {item.unit} is not kept: {item.reason}") + "\n"
            continue
        yield "\n".join(_lines(names.like(item.name), item)) + "\n"
    yield ""


def _lines(name: str, job: UnitJob) -> Iterator[str]:
    yield f"  {name}:"
    yield from (comment(f"    # {note}") for note in job.notes)
    yield from (f"    {key}: {text}" for key, text in job.keys)
