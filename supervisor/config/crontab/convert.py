"""Items of a crontab -> the text of a jobs.yaml with the same behaviour.

Pure. Comments in the text state where the behaviour differs. A lost line is kept as a
comment with the reason.
"""

import shlex
from collections.abc import Iterable, Iterator, Sequence

from supervisor.config.crontab.job_names import JobNames
from supervisor.config.crontab.parse import REBOOT, Entry, Item
from supervisor.config.crontab.settings import SH, Lost, Remark
from supervisor.config.parse_job import RESERVED_NAMES
from supervisor.config.yaml_writer import comment, mapping, scalar, value

# The upper bound of max_concurrent.
_MOST_AT_ONCE = 1000
_HEAD = """\
# Made of a crontab by `nightshift import crontab`. Otherwise than with cron:
# - cron starts a second process beside one that still runs. Here the second run
#   waits until the first has ended, and a third is skipped (overlap: queue).
# - Output is kept, not mailed: nightshift logs JOB. An exit status other than 0
#   is a failure: it opens an incident, and notify says where it is sent.
# - Jobs run as the user of the service, with its environment and PATH.

max_concurrent: {places}
defaults:
  timeout: none
  catch_up: none
  overlap: queue
  cwd: "${{HOME:-/}}"
"""


def jobs_yaml(items: Sequence[Item]) -> str:
    """Return the whole file; without any Entry it has no jobs, which `check` refuses."""
    entries = [item for item in items if isinstance(item, Entry)]
    places = min(max(1, len(entries)), _MOST_AT_ONCE)
    shared = _shared_env(entries)
    text = _HEAD.format(places=places)
    if shared:
        text += f"  env: {mapping(shared)}\n"
    text += "\njobs:\n" if entries else "\njobs: {}\n"
    return text + "\n".join(_blocks(items, shared, JobNames(RESERVED_NAMES)))


def _blocks(
    items: Iterable[Item], shared: tuple[tuple[str, str], ...], names: JobNames
) -> Iterator[str]:
    """Yield the lines of each item, with a blank line after each job."""
    for item in items:
        match item:
            case Remark(_, text):
                yield f"  {comment(text)}"
            case Lost(line, text, reason):
                yield comment(f"  # line {line} is not kept: {reason}")
                yield f"  #   {comment(text)}"
            case Entry():
                name = names.like(item.name) if item.name else names.of(item.command)
                yield "\n".join(_job(name, item, shared)) + "\n"
    yield ""


def _job(name: str, entry: Entry, shared: tuple[tuple[str, str], ...]) -> Iterator[str]:
    settings = entry.settings
    yield f"  {name}:"
    for note in entry.notes:
        yield comment(f"    # {note}")
    if entry.description:
        yield f"    description: {value(entry.description)}"
    yield f"    command: {_command(entry)}"
    if entry.times == REBOOT:
        yield "    run_on_startup: true    # whenever the service starts, not only the machine"
    else:
        yield f"    cron: {value(entry.times)}"
    if entry.catch_up_days:
        yield "    catch_up: latest"
        yield f"    catch_up_window: {entry.catch_up_days}d"
    if settings.zone:
        yield f"    timezone: {value(settings.zone)}"
    if settings.home:
        yield f"    cwd: {value(settings.home)}"
    if settings.env and settings.env != shared:
        yield f"    env: {mapping(settings.env)}"


def _command(entry: Entry) -> str:
    """Return a text for /bin/sh, a list for another shell; input is fed by printf."""
    shell = entry.settings.shell
    if entry.stdin is not None:
        return scalar(_fed(entry.command, entry.stdin, shell))
    if shell == SH:
        return scalar(entry.command)
    return f"[{value(shell)}, {value('-c')}, {value(entry.command)}]"


def _fed(command: str, stdin: str, shell: str) -> str:
    """Return the command in a separate shell, so that all parts of it share the input."""
    lines = " ".join(shlex.quote(line) for line in stdin.split("\n")[:-1])
    return f"printf '%s\\n' {lines} | {shlex.quote(shell)} -c {shlex.quote(command)}"


def _shared_env(entries: Sequence[Entry]) -> tuple[tuple[str, str], ...]:
    """Return the environment of all jobs if they have the same one, else ()."""
    kinds = {entry.settings.env for entry in entries}
    return kinds.pop() if len(kinds) == 1 else ()
