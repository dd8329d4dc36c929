"""The lines of a crontab -> the text of a jobs.yaml that does what cron did.

Pure. Where we cannot do as cron does, the text says what differs; a line that
is lost stays in it as a comment with the reason.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

import yaml

from supervisor.config.crontab import REBOOT, Entry, Item
from supervisor.config.crontab_settings import SH, Lost, Remark
from supervisor.config.jobs import RESERVED_NAMES
from supervisor.config.scalars import NAME

# What max_concurrent may be at most.
_MOST_AT_ONCE = 1000
_LONGEST_NAME = 40
_HEAD = """\
# Made of a crontab by `nightshift import crontab`. Otherwise than with cron:
# - cron starts a second process beside one that still runs. Here the second run
#   waits until the first has ended, and a third is skipped (overlap: queue).
# - Output is kept, not mailed: nightshift logs JOB. An exit status other than 0
#   is a failure: it opens an incident, and notify says where that is told.
# - Jobs run as the user of the service, with its environment and PATH.

max_concurrent: {places}
defaults:
  timeout: none
  catch_up: none
  overlap: queue
  cwd: "${{HOME:-/}}"
"""

# Words before the program itself, and those whose next word is not it either.
_BEFORE = frozenset(
    ("exec", "time", "nice", "ionice", "nohup", "sudo", "env", "timeout", "chronic", "if", "then")
)
_WITH_OPERAND = frozenset(("cd", "test", "[", "[[", "flock"))
# Programs that are told what to run.
_RUNS_ANOTHER = frozenset(
    ("sh", "bash", "dash", "zsh", "ksh", "python", "perl", "ruby", "php", "node", "java")
)
_PROGRAM_ENDINGS = re.compile(r"\.(sh|bash|py|pl|rb|php|js|jar)$")
_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]{0,24}")
_SPLITS = re.compile(r"&&|\|\||[;|()]")


def jobs_yaml(items: Sequence[Item]) -> str:
    """The whole file; without an Entry its jobs are none, which `check` refuses."""
    entries = [item for item in items if isinstance(item, Entry)]
    places = min(max(1, len(entries)), _MOST_AT_ONCE)
    shared = _shared_env(entries)
    text = _HEAD.format(places=places)
    if shared:
        text += f"  env: {_mapping(shared)}\n"
    text += "\njobs:\n" if entries else "\njobs: {}\n"
    names = dict.fromkeys(RESERVED_NAMES, 1)
    return text + "\n".join(_blocks(items, shared, names))


def _blocks(
    items: Iterable[Item], shared: tuple[tuple[str, str], ...], names: dict[str, int]
) -> Iterator[str]:
    """Each item's lines, a blank line after each job."""
    for item in items:
        match item:
            case Remark(_, text):
                yield f"  {_comment(text)}"
            case Lost(line, text, reason):
                yield _comment(f"  # line {line} is not kept: {reason}")
                yield f"  #   {_comment(text)}"
            case Entry():
                name = _name(item.command, names)
                yield "\n".join(_job(name, item, shared)) + "\n"
    yield ""


def _job(name: str, entry: Entry, shared: tuple[tuple[str, str], ...]) -> Iterator[str]:
    settings = entry.settings
    yield f"  {name}:"
    if "\\\\" in entry.command:
        yield "    # crons differ in what they make of two backslashes; these are kept as they are"
    if entry.description:
        yield f"    description: {_value(entry.description)}"
    yield f"    command: {_command(entry)}"
    if entry.times == REBOOT:
        yield "    run_on_startup: true    # whenever the service starts, not only the machine"
    else:
        yield f"    cron: {_value(entry.times)}"
    if settings.zone:
        yield f"    timezone: {_value(settings.zone)}"
    if settings.home:
        yield f"    cwd: {_value(settings.home)}"
    if settings.env and settings.env != shared:
        yield f"    env: {_mapping(settings.env)}"


def _command(entry: Entry) -> str:
    """A text for /bin/sh; with another shell a list; with input, fed by printf."""
    shell = entry.settings.shell
    if entry.stdin is not None:
        return _scalar(_fed(entry.command, entry.stdin, shell))
    if shell == SH:
        return _scalar(entry.command)
    return f"[{_value(shell)}, {_value('-c')}, {_value(entry.command)}]"


def _fed(command: str, stdin: str, shell: str) -> str:
    """The command in a shell of its own, so that all of it has the input, whatever it is."""
    lines = " ".join(shlex.quote(line) for line in stdin.split("\n")[:-1])
    return f"printf '%s\\n' {lines} | {shlex.quote(shell)} -c {shlex.quote(command)}"


def _shared_env(entries: Sequence[Entry]) -> tuple[tuple[str, str], ...]:
    """The environment of all jobs, if it is the same for all."""
    kinds = {entry.settings.env for entry in entries}
    return kinds.pop() if len(kinds) == 1 else ()


def _name(command: str, taken: dict[str, int]) -> str:
    """A name told by the program and its first plain word, unlike those taken.

    taken: names, and the last number that was put behind each; the new one is added.
    """
    told = "-".join(_telling(command)).lower()
    slug = re.sub(r"[^a-z0-9._-]+", "-", told)[:_LONGEST_NAME].strip("-._")
    if not NAME.fullmatch(slug):
        slug = f"job-{slug}"[:_LONGEST_NAME].rstrip("-._")
    name = slug
    while name in taken:
        taken[slug] += 1
        name = f"{slug}-{taken[slug]}"
    taken[name] = 1
    return name


def _telling(command: str) -> list[str]:
    """`["manage", "cleanup"]` of `cd /srv/app && ./manage.py cleanup --all`."""
    for part in _SPLITS.split(command):
        words = [word for word in map(_bare, part.split()) if _is_telling(word)]
        while words and (_program(words[0]) in _BEFORE | _WITH_OPERAND or words[0].isdigit()):
            del words[: 2 if _program(words[0]) in _WITH_OPERAND else 1]
        if len(words) > 1 and _program(words[0]).rstrip("0123456789.") in _RUNS_ANOTHER:
            del words[0]
        if words:
            return [_program(words[0]), *filter(_PLAIN_WORD.fullmatch, words[1:2])]
    return ["job"]


def _bare(word: str) -> str:
    return word.strip("\"'`$(){}")


def _is_telling(word: str) -> bool:
    """Neither an option nor an assignment, a redirection or a sign."""
    is_sign = not any(map(str.isalnum, word)) and word not in _WITH_OPERAND
    return not is_sign and "=" not in word and word[0] not in "-<>&!" and ">" not in word


def _program(word: str) -> str:
    return _PROGRAM_ENDINGS.sub("", word.rstrip("/").rpartition("/")[2]) or word


def _mapping(env: tuple[tuple[str, str], ...]) -> str:
    return "{" + ", ".join(f"{name}: {_value(value)}" for name, value in env) + "}"


def _value(text: str) -> str:
    """A text where `${` would be replaced: it is written `$${`."""
    return _scalar(text.replace("${", "$${"))


def _scalar(text: str) -> str:
    """A text in double quotes, on one line, as YAML writes it."""
    dumped: str = yaml.dump(text, default_style='"', width=float("inf"), allow_unicode=True)
    return dumped.strip()


def _comment(text: str) -> str:
    """A comment as YAML can hold it."""
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text
    )
