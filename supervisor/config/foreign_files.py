"""Recognizes a file of another program that was given as jobs.yaml.

Pure. Only consulted for a text that is no valid jobs.yaml: one sentence that names the
program is worth more than a list of its keys. Only clear signs count, so that a mistake in
a real jobs.yaml is never taken for another program's file. Enter by `recognize`.
"""

import re
import shlex

from msgspec import Struct

from supervisor.config.key_table import TOP_KEYS


class Foreign(Struct, frozen=True):
    """What a text is, and what to do instead."""

    line: int
    message: str
    hint: str


class _Sign(Struct, frozen=True):
    """A kind of file: the keys at its top, and patterns that all match somewhere."""

    what: str
    hint: str
    keys: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()


_LONGEST = 65536
_INIT = 'nightshift init --command "..." writes a jobs.yaml'
_TIMES = "write jobs: with a command and a cron for each job"
_KUBERNETES = (
    "schedule is cron, timeZone is timezone, concurrencyPolicy is overlap, command stays; "
    "the image is not used: write jobs: with them"
)
_GITHUB = "a job here has one command and a cron: join the steps with &&; deps orders jobs"
_CRONSTABLE = (
    "name becomes the key of the job, schedule is cron, command stays: "
    'write "jobs:" and below it "name-of-job: {...}"'
)
_OFELIA = "schedule is cron without its seconds, command stays: write jobs: with them"
_DOCKER = f'{_TIMES}; for a container: command: ["docker", "run", "--rm", "IMAGE", ...]'
_LIST_OF_JOBS = r"(?m)^jobs[ \t]*:[ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*[ \t]*-[ \t]"
_SIGNS = (
    _Sign("a manifest of Kubernetes", _KUBERNETES, frozenset({"apiVersion", "kind"})),
    _Sign(
        "a workflow of GitHub Actions",
        _GITHUB,
        frozenset({"jobs", "on"}),
        (r"(?m)^[ \t]+(runs-on|uses)[ \t]*:",),
    ),
    _Sign(
        "a job file of cronstable or yacron",
        _CRONSTABLE,
        frozenset({"jobs"}),
        (_LIST_OF_JOBS, r"(?m)^[ \t-]+name[ \t]*:", r"(?m)^[ \t-]+schedule[ \t]*:"),
    ),
    _Sign(
        "a file of docker compose",
        _DOCKER,
        frozenset({"services"}),
        (r"(?m)^[ \t]+(image|build)[ \t]*:",),
    ),
    _Sign("a pipeline of GitLab", _TIMES, frozenset({"stages"}), (r"(?m)^[ \t]+script[ \t]*:",)),
    _Sign("a file of Dagu", _TIMES, frozenset({"schedule", "steps"})),
    _Sign("a job of Dkron", _TIMES, frozenset({"schedule", "executor"})),
    _Sign("a file of PM2", _TIMES, frozenset({"apps"}), (r"(?m)^[ \t-]+script[ \t]*:",)),
    _Sign("a playbook of Ansible", _TIMES, patterns=(r"(?m)^-[ \t]+hosts[ \t]*:",)),
)
_OWN = frozenset(key.name for key in TOP_KEYS)
_TOP_KEY = re.compile(r"(?m)^[\"']?([A-Za-z_][\w-]*)[\"']?[ \t]*:(?=[ \t\r\n]|$)")
_JSON_KEY = re.compile(r"[{,]\s*\"([A-Za-z_][\w-]*)\"\s*:")
_FIELD = r"(?:[0-9*][0-9A-Za-z*/,~#-]*|(?:sun|mon|tue|wed|thu|fri|sat|[a-z]{3})[0-9a-z,/-]*)"
_CRON_LINE = re.compile(
    rf"(?:@(?:reboot|every|yearly|annually|monthly|weekly|daily|midnight|hourly)|{_FIELD}"
    rf"(?:[ \t]+{_FIELD}){{4}})[ \t]+[^ \t:].*",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*[ \t]*=.*")
_IMPORT = re.compile(r"(from|import) [\w.]+( import .+| as \w+)?")
_SECTION = re.compile(r"\[{1,2}[^\[\]{}:,]+\]{1,2}")


def recognize(text: str, name: str) -> Foreign | None:
    """Return what the text is if it is clearly of another program, else None.

    name: of the file, for the command that is proposed.
    """
    if text.startswith("#!"):
        return Foreign(1, "is a script, no jobs.yaml", f"{_INIT} that runs it")
    text = text[:_LONGEST]
    numbered = [(at, line.strip()) for at, line in enumerate(text.split("\n"), 1)]
    lines = [(at, line) for at, line in numbered if line and line[0] not in "#;"]
    if not lines:
        return None
    found = _of_lines([line for _, line in lines], name) or _of_keys(text)
    return Foreign(lines[0][0], f"is {found.what}, no jobs.yaml", found.hint) if found else None


def _of_lines(lines: list[str], name: str) -> _Sign | None:
    """Return what a text is that is no YAML."""
    begin = lines[0]
    jobs = sum(_CRON_LINE.fullmatch(line) is not None for line in lines)
    if jobs and all(_CRON_LINE.fullmatch(each) or _ASSIGNMENT.fullmatch(each) for each in lines):
        return _Sign("a crontab", _import_of(name))
    if begin.startswith("<"):
        return _Sign("XML or HTML", _INIT)
    if _IMPORT.fullmatch(begin):
        is_dag = any(re.match(r"(from|import) airflow\b", line) for line in lines)
        return _Sign("a DAG of Airflow" if is_dag else "a program of Python", _INIT)
    is_ini = _SECTION.fullmatch(begin) or _ASSIGNMENT.fullmatch(begin)
    return _of_sections([line for line in lines if _SECTION.fullmatch(line)]) if is_ini else None


def _import_of(name: str) -> str:
    """Return the command that converts a crontab, without writing over it."""
    if name != "jobs.yaml":
        return f"nightshift import crontab {shlex.quote(name)} > jobs.yaml"
    return "rename it to crontab.txt, then: nightshift import crontab crontab.txt > jobs.yaml"


def _of_sections(sections: list[str]) -> _Sign | None:
    """Return what a text is that has sections such as `[jobs]`."""
    if any(line in ("[Timer]", "[Service]", "[Unit]") for line in sections):
        hint = "nightshift import systemd NAME.timer writes a jobs.yaml from a timer"
        return _Sign("a unit of systemd", hint)
    if any(re.match(r"\[job-[a-z-]+[ \t]", line) for line in sections):
        return _Sign("a configuration of ofelia", _OFELIA)
    hint = 'it is YAML: "jobs:" and below it "name-of-job: {...}"'
    return _Sign("TOML or INI", hint) if sections else None


def _of_keys(text: str) -> _Sign | None:
    """Return what a mapping or a list of YAML or JSON is."""
    is_json = text.lstrip().startswith("{")
    keys = frozenset((_JSON_KEY if is_json else _TOP_KEY).findall(text))
    for sign in _SIGNS:
        is_own = keys & (_OWN - sign.keys) and not sign.patterns
        if keys >= sign.keys and not is_own and all(re.search(p, text) for p in sign.patterns):
            return sign
    return None
