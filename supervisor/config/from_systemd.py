"""Jobs of systemd's units -> the text of a jobs.yaml that does what the timers did.

Pure. What differs stands beside each job; a timer that is lost stays as a comment.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from supervisor.config.job_names import JobNames
from supervisor.config.jobs import RESERVED_NAMES
from supervisor.config.reading import parse
from supervisor.config.systemd_jobs import UnitJob, UnitLost
from supervisor.config.yaml_text import comment

_MOST_AT_ONCE = 1000
_HEAD = """\
# Made from timers of systemd by `nightshift import systemd`. Otherwise than there:
# - a time that comes while the job still runs is skipped (overlap: skip), as with
#   systemd, but it is recorded. Output is kept: nightshift logs JOB.
# - Jobs run as the user of the service, with its environment. Nothing of the
#   sandboxes of units is kept.
# - An exit status other than 0 opens an incident, and notify says where it is told.

max_concurrent: {places}
"""


def checked(item: UnitJob | UnitLost) -> UnitJob | UnitLost:
    """The job, if `check` accepts it; else why it does not."""
    if isinstance(item, UnitLost):
        return item
    text = "\n".join(["jobs:", *_lines("job", item)])
    problems = parse(text.encode(errors="replace"), Path("/jobs.yaml"), {}).problems
    return UnitLost(item.unit, problems[0].message) if problems else item


def jobs_yaml(items: Sequence[UnitJob | UnitLost]) -> str:
    """The whole file; without a job its jobs are none, which `check` refuses."""
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
