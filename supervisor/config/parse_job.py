"""Reads one entry under `jobs:` and merges it with the defaults."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path

from msgspec import Struct

from supervisor.config import scalars
from supervisor.config.key import Key
from supervisor.config.key_table import JOB_KEYS
from supervisor.config.parse_context import Pairs, ParseContext, kind_name
from supervisor.config.parse_values import NameRef, read_keys
from supervisor.config.problems import BadValueError
from supervisor.config.result import Location, WorkerReference
from supervisor.config.unknown_keys import meant
from supervisor.config.yaml_nodes import MappingNode, Node, ScalarNode
from supervisor.core import schedule
from supervisor.core.config_model import Job, Severity
from workers.units import format_duration

# Eight gaps cover a week of a daily job; _FROM is a Monday with no DST change in that week.
SLOTS = 9
_FROM = datetime(2001, 1, 1, tzinfo=UTC)


def check_late_after(doc: ParseContext, job: Job, pairs: Pairs) -> None:
    """Warn about a late_after that exceeds the time between most slots of the job.

    pairs: the keys of the job and of the defaults.
    """
    if job.late_after_s is None or not job.cron or "late_after" not in pairs:
        return
    slots = islice(schedule.calendar(job.cron, job.timezone).slots_after(_FROM), SLOTS)
    gaps_s = [(after - before).total_seconds() for before, after in pairwise(slots)]
    short_s = [gap_s for gap_s in gaps_s if gap_s <= job.late_after_s]
    if 2 * len(short_s) > len(gaps_s):
        doc.report(
            pairs["late_after"][1],
            ("jobs", job.name, "late_after"),
            f"{format_duration(job.late_after_s)} is not shorter than the "
            f"{format_duration(min(short_s))} from slot to slot: only the newest slot counts, "
            "so it is hardly ever late",
            "take less than the time to the next slot",
            Severity.WARNING,
        )


TABLE: Mapping[str, Key] = {key.name: key for key in JOB_KEYS}
FIELDS: Mapping[str, str] = {key.name: key.field or key.name for key in JOB_KEYS}

# `nightshift backups restore` records a run under this name.
RESERVED_NAMES = frozenset({"restore"})
_WAYS = frozenset({"worker", "command"})
_WORKERS_ONLY = ("with", "python")
# A worker can be checked if these keys are valid, even if others are not.
_ABOUT_WORKERS = frozenset({"worker", "with", "python", "cwd", "env", "inherit_env"})


class Defaults(Struct, frozen=True):
    """Defaults of all jobs (values and nodes), the file's time zone, and its folder."""

    values: Mapping[str, object]
    pairs: Pairs
    timezone: str
    folder: str


class ParsedJob(Struct, frozen=True):
    """A job with its dependencies not yet checked; use is None if its worker cannot be checked."""

    job: Job
    deps: tuple[NameRef, ...]
    use: WorkerReference | None


def read_name(doc: ParseContext, name: str, node: Node) -> None:
    """Report a job name that is invalid or reserved."""
    try:
        scalars.name(name)
    except BadValueError as wrong:
        doc.report(node, ("jobs", name), wrong.message, wrong.hint)
    if name in RESERVED_NAMES:
        doc.report(node, ("jobs", name), "is a name that the service keeps for itself")


def read_job(
    doc: ParseContext, name: str, place: int, entry: tuple[Node, Node], defaults: Defaults
) -> ParsedJob | None:
    """Return the job after reporting its problems; None if the entry is not a mapping."""
    key_node, node = entry
    path = ("jobs", name)
    read_name(doc, name, key_node)
    try:
        own = doc.pairs(node, path)
    except BadValueError:
        doc.report(node, path, f"expected a mapping of keys of a job, got {kind_name(node)}")
        return None
    errors_before = doc.errors
    doc.lenient = _is_disabled(doc, own, defaults)
    values = read_keys(doc, {key: own[key] for key in own if key in _ABOUT_WORKERS}, TABLE, path)
    is_checkable = doc.errors == errors_before
    rest = {key: own[key] for key in own if key not in _ABOUT_WORKERS}
    values.update(read_keys(doc, rest, TABLE, path))
    doc.lenient = False
    _check_ways(doc, own, key_node, path, defaults)
    laid = _merge_defaults(defaults, own, values)
    if "worker" in own and not laid.keys() & _WAYS and doc.errors == errors_before:
        doc.report(
            own["worker"][1], (*path, "worker"), "names nothing: what it refers to is unset"
        )
    deps = laid.pop("deps", ())
    assert isinstance(deps, tuple)
    job = _job(name, place, tuple(named.name for named in deps), laid, defaults)
    if "shell" in own and job.shell is None and doc.errors == errors_before:
        doc.report(own["shell"][0], (*path, "shell"), "is for a command that is one text")
    if doc.errors == errors_before:
        check_late_after(doc, job, {**defaults.pairs, **own})
    has_use = is_checkable and job.worker is not None
    return ParsedJob(job, deps, _use(job, {**defaults.pairs, **own}) if has_use else None)


def _is_disabled(doc: ParseContext, own: Pairs, defaults: Defaults) -> bool:
    if "enabled" not in own:
        return defaults.values.get("enabled") is False
    try:
        text = doc.text(own["enabled"][1], ())
        return scalars.read_scalar(TABLE["enabled"], text) is False
    except BadValueError:
        return False  # reported when the key itself is read


def _check_ways(
    doc: ParseContext, own: Pairs, key_node: Node, path: tuple[str, ...], defaults: Defaults
) -> None:
    """Report a job with both worker and command, with neither, or with keys of the other."""
    ways = own.keys() & _WAYS
    if len(ways) == 2:
        doc.report(own["command"][0], (*path, "command"), "expected one of worker and command")
        return
    if not ways and not defaults.pairs.keys() & _WAYS:
        # A misspelled `command` or `worker` is reported already.
        unknown = [name for name in own if name not in TABLE]
        hints = (meant(name, TABLE.keys(), path, doc.nearest).key for name in unknown)
        if not any(key in _WAYS for key in hints):
            doc.report(key_node, path, "expected worker or command, got neither")
        return
    way = ways.pop() if ways else next(iter(defaults.pairs.keys() & _WAYS))
    if way == "command":
        for key in _WORKERS_ONLY:
            if key in own:
                doc.report(own[key][0], (*path, key), "is for a worker; this job has a command")
    elif "python" in own and _is_built_in(own if way in own else defaults.pairs):
        doc.report(own["python"][0], (*path, "python"), "is for a worker of your own")


def _is_built_in(pairs: Pairs) -> bool:
    node = pairs["worker"][1]
    return isinstance(node, ScalarNode) and ":" not in node.value


def _merge_defaults(
    defaults: Defaults, own: Pairs, values: dict[str, object]
) -> dict[str, object]:
    """Merge the job's values over the defaults; drop defaults that conflict with them."""
    if not defaults.values:
        return values
    laid = dict(defaults.values)
    if own.keys() & _WAYS:
        for way in _WAYS:
            laid.pop(way, None)
    laid.update(values)
    if "command" in laid:
        laid.pop("with", None)
    if ":" not in str(laid.get("worker", "")):
        laid.pop("python", None)
    return laid


def _job(
    name: str, place: int, deps: tuple[str, ...], laid: dict[str, object], defaults: Defaults
) -> Job:
    fields: dict[str, object] = {"timezone": defaults.timezone}
    for key, value in laid.items():
        fields[FIELDS[key]] = value
    command = fields.pop("command", None)
    if command is not None:
        fields["shell" if isinstance(command, str) else "argv"] = command
    cwd, python = fields.get("cwd"), fields.get("python")
    fields["cwd"] = str(Path(defaults.folder, str(cwd))) if cwd else defaults.folder
    if isinstance(python, str) and "/" in python:
        fields["python"] = str(Path(defaults.folder, python))
    return Job(name=name, place=place, deps=deps, **fields)  # type: ignore[arg-type]


def _use(job: Job, pairs: Pairs) -> WorkerReference:
    spots = [_location(key, pairs[key][1]) for key in ("worker", "python", "with") if key in pairs]
    if "with" in pairs and isinstance(pairs["with"][1], MappingNode):
        entries = pairs["with"][1].value
        spots += [_location(f"with.{key.value}", value) for key, value in entries]
    return WorkerReference(
        job.name,
        str(job.worker),
        job.params_json,
        job.python,
        job.cwd,
        job.env,
        job.inherit_env,
        job.enabled,
        tuple(spots),
    )


def _location(key: str, node: Node) -> Location:
    return Location(key, node.start_mark.line + 1, node.start_mark.column + 1)
