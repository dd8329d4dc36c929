"""One entry under `jobs:` -> a Job, with the defaults laid under it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.config import scalars
from supervisor.config.blocks import Named, read_keys
from supervisor.config.document import Document, Pairs, kind_of
from supervisor.config.keys import JOB_KEYS, Key
from supervisor.config.lateness import check_late_after
from supervisor.config.nodes import MappingNode, Node, ScalarNode
from supervisor.config.outcome import Spot, WorkerUse
from supervisor.config.problems import Wrong
from supervisor.config.unknown_keys import meant
from supervisor.core.model import Job

TABLE: Mapping[str, Key] = {key.name: key for key in JOB_KEYS}
FIELDS: Mapping[str, str] = {key.name: key.field or key.name for key in JOB_KEYS}

# `nightshift backups restore` is recorded as a run of this name.
RESERVED_NAMES = frozenset({"restore"})
_WAYS = frozenset({"worker", "command"})
_WORKERS_ONLY = ("with", "python")
# If these are right, a worker can be checked, whatever else is wrong with its job.
_ABOUT_WORKERS = frozenset({"worker", "with", "python", "cwd", "env", "inherit_env"})


@dataclass(frozen=True, slots=True)
class Ground:
    """What lies under each job: defaults (values and places), the file's zone, its folder."""

    values: Mapping[str, object]
    pairs: Pairs
    timezone: str
    folder: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A job as far as it could be read; whether its dependencies hold is still open."""

    job: Job
    deps: tuple[Named, ...]
    use: WorkerUse | None


def read_name(doc: Document, name: str, node: Node) -> None:
    """Report a name that no job may have."""
    try:
        scalars.name(name)
    except Wrong as wrong:
        doc.report(node, ("jobs", name), wrong.message, wrong.hint)
    if name in RESERVED_NAMES:
        doc.report(node, ("jobs", name), "is a name that the service keeps for itself")


def read_job(
    doc: Document, name: str, place: int, entry: tuple[Node, Node], ground: Ground
) -> Draft | None:
    """The job, with all its problems reported; None if it is no mapping."""
    key_node, node = entry
    path = ("jobs", name)
    read_name(doc, name, key_node)
    try:
        own = doc.pairs(node, path)
    except Wrong:
        doc.report(node, path, f"expected a mapping of keys of a job, got {kind_of(node)}")
        return None
    errors_before = doc.errors
    doc.lenient = _is_disabled(doc, own, ground)
    values = read_keys(doc, {key: own[key] for key in own if key in _ABOUT_WORKERS}, TABLE, path)
    is_checkable = doc.errors == errors_before
    rest = {key: own[key] for key in own if key not in _ABOUT_WORKERS}
    values.update(read_keys(doc, rest, TABLE, path))
    doc.lenient = False
    _check_ways(doc, own, key_node, path, ground)
    laid = _laid_over(ground, own, values)
    if "worker" in own and not laid.keys() & _WAYS and doc.errors == errors_before:
        doc.report(
            own["worker"][1], (*path, "worker"), "names nothing: what it refers to is unset"
        )
    deps = laid.pop("deps", ())
    assert isinstance(deps, tuple)
    job = _job(name, place, tuple(named.name for named in deps), laid, ground)
    if doc.errors == errors_before:
        check_late_after(doc, job, {**ground.pairs, **own})
    has_use = is_checkable and job.worker is not None
    return Draft(job, deps, _use(job, {**ground.pairs, **own}) if has_use else None)


def _is_disabled(doc: Document, own: Pairs, ground: Ground) -> bool:
    if "enabled" not in own:
        return ground.values.get("enabled") is False
    try:
        text = doc.text(own["enabled"][1], ())
        return scalars.read_scalar(TABLE["enabled"], text) is False
    except Wrong:
        return False  # reported when the key is read in its turn


def _check_ways(
    doc: Document, own: Pairs, key_node: Node, path: tuple[str, ...], ground: Ground
) -> None:
    """Report a job with two ways to run, with none, or with keys of the other way."""
    ways = own.keys() & _WAYS
    if len(ways) == 2:
        doc.report(own["command"][0], (*path, "command"), "expected one of worker and command")
        return
    if not ways and not ground.pairs.keys() & _WAYS:
        # A misspelled `command` is reported already, and explains this.
        unknown = [name for name in own if name not in TABLE]
        hints = (meant(name, TABLE.keys(), path, doc.nearest).key for name in unknown)
        if not any(key in _WAYS for key in hints):
            doc.report(key_node, path, "expected worker or command, got neither")
        return
    way = ways.pop() if ways else next(iter(ground.pairs.keys() & _WAYS))
    if way == "command":
        for key in _WORKERS_ONLY:
            if key in own:
                doc.report(own[key][0], (*path, key), "is for a worker; this job has a command")
    elif "python" in own and _is_built_in(own if way in own else ground.pairs):
        doc.report(own["python"][0], (*path, "python"), "is for a worker of your own")


def _is_built_in(pairs: Pairs) -> bool:
    node = pairs["worker"][1]
    return isinstance(node, ScalarNode) and ":" not in node.value


def _laid_over(ground: Ground, own: Pairs, values: dict[str, object]) -> dict[str, object]:
    """The job's values over the defaults; what cannot go with them falls away."""
    if not ground.values:
        return values
    laid = dict(ground.values)
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
    name: str, place: int, deps: tuple[str, ...], laid: dict[str, object], ground: Ground
) -> Job:
    fields: dict[str, object] = {"timezone": ground.timezone}
    for key, value in laid.items():
        fields[FIELDS[key]] = value
    command = fields.pop("command", None)
    if command is not None:
        fields["shell" if isinstance(command, str) else "argv"] = command
    cwd, python = fields.get("cwd"), fields.get("python")
    fields["cwd"] = str(Path(ground.folder, str(cwd))) if cwd else ground.folder
    if isinstance(python, str) and "/" in python:
        fields["python"] = str(Path(ground.folder, python))
    return Job(name=name, place=place, deps=deps, **fields)  # type: ignore[arg-type]


def _use(job: Job, pairs: Pairs) -> WorkerUse:
    spots = [_spot(key, pairs[key][1]) for key in ("worker", "python", "with") if key in pairs]
    if "with" in pairs and isinstance(pairs["with"][1], MappingNode):
        entries = pairs["with"][1].value
        spots += [_spot(f"with.{key.value}", value) for key, value in entries]
    return WorkerUse(
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


def _spot(key: str, node: Node) -> Spot:
    return Spot(key, node.start_mark.line + 1, node.start_mark.column + 1)
