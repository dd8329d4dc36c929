"""Derives a job name from a command line: the name of the program that does the work.

Pure. `cd /srv/app && ./manage.py cleanup --all` becomes `manage-cleanup`. Commands that
only prepare (cd, export, sleep, a test) or run another program (nice, sudo, timeout,
a shell) are skipped.
"""

import re
from collections.abc import Iterator

from supervisor.config.crontab.shell_text import program, scripts_within, set_of, simple_commands
from supervisor.config.scalars import NAME

_LONGEST = 40
_DEEPEST = 5
# Commands that only prepare. `echo` and `true` (_SAYS) are used only as a last resort.
_PREPARES = set_of(
    """
    cd pushd popd . source sleep export set unset umask ulimit test [ [[ : trap local readonly
    declare typeset eval shopt alias which type hash wait exit return read shift mkdir break
    continue done fi esac function pgrep pidof
    """
)
_SAYS = frozenset(("echo", "printf", "true", "false", "logger", "date"))
_WORDS_OF_THE_SHELL = set_of(
    """
    if then elif else while until do ! { }
    """
)
_LOOPS = frozenset(("for", "case", "select"))
# Programs that run another program -> the number of operands before that program.
_RUNS = {
    **dict.fromkeys(
        set_of(
            """
            exec time command builtin nohup sudo doas env chronic cronic setsid stdbuf unbuffer
            eatmydata cronwrap cron-wrapper savelog xvfb-run fakeroot
            """
        ),
        0,
    ),
    **dict.fromkeys(
        set_of(
            """
            timeout flock lockf lockrun chroot su runuser taskset chrt setlock softlimit
            """
        ),
        1,
    ),
    **dict.fromkeys(["nice", "ionice"], 0),
    "bundle": 1,
}
_TAKING_VALUE = set_of(
    """
    -n -c -u -g -p -w -E -o -i -s -k -C -L --user --signal --kill-after --adjustment
    """
)
_INTERPRETERS = re.compile(
    r"(sh|bash|dash|zsh|ksh|ash|python|perl|ruby|php|node|java|Rscript|lua|tclsh|wine|mono|dotnet"
    r"|pwsh)[0-9.]*(-cgi)?"
)
_ENDINGS = re.compile(r"\.(sh|bash|ksh|zsh|py|pl|rb|php|js|jar|cgi|exe|R|lua|tcl)$")
_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]{0,24}")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=.*", re.DOTALL)


class JobNames:
    """Names given so far, so that each name is unique."""

    def __init__(self, reserved: frozenset[str]) -> None:
        self._taken = dict.fromkeys(reserved, 1)

    def of(self, command: str) -> str:
        """Return a new, unique name for a job with this command."""
        return self.like("-".join(_telling(command)))

    def like(self, words: str) -> str:
        """Return a new, unique name that is as close as possible to `words`."""
        slug = re.sub(r"[^a-z0-9._-]+", "-", words.lower())[:_LONGEST].strip("-._")
        if not NAME.fullmatch(slug):
            slug = f"job-{slug}"[:_LONGEST].rstrip("-._")
        name = slug
        while name in self._taken:
            self._taken[slug] = self._taken.get(slug, 1) + 1
            name = f"{slug}-{self._taken[slug]}"
        self._taken[name] = 1
        return name


def _telling(command: str) -> list[str]:
    """Return `["manage", "cleanup"]` for `cd /srv/app && ./manage.py cleanup --all`."""
    found = list(_programs(command, _DEEPEST))
    for words in found:
        if words[0] not in _SAYS:
            return words
    return found[0] if found else _fallback(command)


def _fallback(command: str) -> list[str]:
    """Return the first word with a letter, for a command of preparations only."""
    words = [program(word) for words in simple_commands(command) for word in words]
    return [word for word in words if re.search(r"[A-Za-z]", word)][:1] or ["job"]


def _programs(command: str, depth: int) -> Iterator[list[str]]:
    """Yield the program of each simple command, with its first argument if it is a plain word."""
    for words in simple_commands(command):
        if len(words) > 1 and words[0] == "command" and words[1].startswith("-"):
            continue  # command -v: only tests whether a program exists
        rest = _behind_runners(words)
        scripts = list(scripts_within(words)) if depth else []
        if scripts:
            yield from _programs(scripts[0], depth - 1)
        elif rest and _is_program(rest[0]):
            yield from _named(rest)


def _named(rest: list[str]) -> Iterator[list[str]]:
    name, behind = program(rest[0]), rest[1:]
    if _INTERPRETERS.fullmatch(name):
        if any(word in ("-e", "-r") for word in behind[:2]) and "sleep" in " ".join(behind):
            return  # a random sleep
        script = next((n for n, word in enumerate(behind) if not word.startswith("-")), None)
        if script is not None and not {"-e", "-r", "-c"} & set(behind[:script]):
            name, behind = program(behind[script]), behind[script + 1 :]
    name = _ENDINGS.sub("", name)
    if name:
        yield [
            name,
            *filter(_PLAIN_WORD.fullmatch, (word.strip("\"'`$(){}") for word in behind[:1])),
        ]


def _is_program(word: str) -> bool:
    return program(word) not in _PREPARES and any(map(str.isalnum, word)) and word[0] not in "-&"


def _behind_runners(words: list[str]) -> list[str]:
    """Return the words from the program on, without assignments, keywords and runners."""
    rest = list(words)
    while rest:
        name = program(rest[0])
        if rest[0] in _LOOPS:
            return []
        if _ASSIGNMENT.fullmatch(rest[0]) or rest[0] in _WORDS_OF_THE_SHELL:
            del rest[0]
        elif name in _RUNS:
            rest = _without_options(rest[1:])[_RUNS[name] :]
        else:
            break
    return rest


def _without_options(words: list[str]) -> list[str]:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        takes_value = rest[0] in _TAKING_VALUE and len(rest) > 2
        del rest[: 2 if takes_value else 1]
    return rest
