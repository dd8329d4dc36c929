"""The whole text of jobs.yaml -> a Config, or all its problems.

Pure, except that it reads the files named by `${file:...}`. Enter by `parse`.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from supervisor.config import yaml_nodes
from supervisor.config.check_dependencies import check_deps
from supervisor.config.foreign_files import recognize
from supervisor.config.interpolation import Sources
from supervisor.config.key_table import TOP_KEYS
from supervisor.config.parse_cluster import check_groups, read_cluster
from supervisor.config.parse_context import (
    BudgetExceededError,
    Pairs,
    ParseContext,
    is_nothing,
    kind_name,
)
from supervisor.config.parse_job import TABLE, Defaults, ParsedJob, read_job
from supervisor.config.parse_notify import Scope, read_notify
from supervisor.config.parse_values import read_keys
from supervisor.config.problems import BadValueError
from supervisor.config.result import Parsed, gc_paused
from supervisor.config.unknown_keys import meant
from supervisor.config.yaml_nodes import Node, SequenceNode
from supervisor.core.config_model import Config, Problem, Severity

_TOP = {key.name: key for key in TOP_KEYS}
_APART = ("jobs", "defaults", "notify", "cluster")


def parse(text: bytes, path: Path, environ: Mapping[str, str]) -> Parsed:
    """Parse a text; relative paths start from the folder of `path`."""
    try:
        decoded = decode(text)
    except yaml_nodes.YamlError as broken:
        return _broken(broken)
    try:
        with gc_paused():
            found = _read(decoded, os.path.dirname(os.path.abspath(path)), environ)
    except yaml_nodes.YamlError as broken:
        found = _broken(broken)
    other = recognize(decoded, path.name) if found.config is None else None
    return found if other is None else _refused(other.line, 1, other.message, other.hint)


def decode(text: bytes) -> str:
    """Decode a text and remove its byte order mark. Raises: YamlError."""
    try:
        return text.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8")
        line, column = yaml_nodes.position_of(before, len(before))
        byte = text[error.start]
        raise yaml_nodes.YamlError(line, column, f"is not UTF-8: byte 0x{byte:02x}") from error


def _read(text: str, folder: str, environ: Mapping[str, str]) -> Parsed:
    tree = yaml_nodes.compose(text)
    if tree.root is None or is_nothing(tree.root):
        hint = 'remove it and type "nightshift init", which writes one to begin with'
        return _refused(1, 1, "no jobs: the file is empty", hint)
    doc = ParseContext(Sources(environ, folder), tree.size)
    try:
        config, drafts = _config(doc, tree.root)
    except BudgetExceededError:
        return _refused(1, 1, "aliases expand to too many values")
    except BadValueError as wrong:
        doc.report(tree.root, (), wrong.message, wrong.hint)
        return Parsed(None, doc.problems(), secrets=doc.secrets.as_tuple())
    uses = tuple(draft.use for draft in drafts if draft.use is not None)
    accepted = None if doc.errors else config
    return Parsed(accepted, doc.problems(), uses, doc.sources.reads(), doc.secrets.as_tuple())


def _config(doc: ParseContext, root: Node) -> tuple[Config, list[ParsedJob]]:
    pairs = doc.pairs(root, ())
    top = {name: pair for name, pair in pairs.items() if name not in _APART and name[:2] != "x-"}
    values = read_keys(doc, top, _TOP, ())
    zone = values.pop("timezone", None) or _zone_of_machine(doc, root)
    folder = doc.sources.folder
    default_pairs = _mapping(doc, pairs, "defaults")
    if default_pairs.keys() >= {"worker", "command"}:
        node = default_pairs["command"][0]
        doc.report(node, ("defaults", "command"), "expected one of worker and command")
    defaults = read_keys(doc, default_pairs, TABLE, ("defaults",))
    job_defaults = Defaults(defaults, default_pairs, str(zone), folder)
    drafts = _drafts(doc, root, pairs, job_defaults)
    names = {draft.job.name for draft in drafts}
    groups = {draft.job.exclusive for draft in drafts if draft.job.exclusive}
    notify = read_notify(doc, _mapping(doc, pairs, "notify"), Scope(str(zone), names, groups))
    cluster = read_cluster(doc, pairs)
    fields = {_TOP[name].field or name: value for name, value in values.items()}
    jobs = tuple(draft.job for draft in drafts)
    if cluster is not None:
        check_groups(doc, jobs, root)
    secrets = doc.secrets.as_tuple()
    config = Config(
        jobs,
        str(zone),
        notify=notify,
        cluster=cluster,
        secrets=secrets,
        **fields,  # type: ignore[arg-type]
    )
    return config, drafts


def _zone_of_machine(doc: ParseContext, root: Node) -> str:
    """Return the zone used without `timezone`.

    An invalid $TZ is reported as a problem of this file, since `timezone` can override it.
    """
    try:
        found = doc.sources.zone()
    except BadValueError as wrong:
        doc.report(root, ("timezone",), wrong.message, wrong.hint)
        return "UTC"
    if found.error:
        hint = 'set "timezone" in jobs.yaml, or TZ'
        doc.report(root, ("timezone",), f"{found.error}; UTC is used", hint, Severity.WARNING)
    return found.name


def _drafts(
    doc: ParseContext, root: Node, pairs: Pairs, job_defaults: Defaults
) -> list[ParsedJob]:
    if "jobs" in pairs and isinstance(pairs["jobs"][1], SequenceNode):
        hint = 'write "jobs:" and below it "name-of-job: {...}"'
        doc.report(pairs["jobs"][1], ("jobs",), "expected a mapping, got a list", hint)
        return []
    errors_before = doc.errors
    jobs = _mapping(doc, pairs, "jobs")
    elsewhere = (meant(name, _TOP.keys(), (), doc.nearest).key for name in pairs.keys() - _TOP)
    if not jobs and doc.errors == errors_before and ("jobs" in pairs or "jobs" not in elsewhere):
        doc.report(pairs["jobs"][0] if "jobs" in pairs else root, ("jobs",), "no jobs")
    entries = enumerate(jobs.items())
    read = [read_job(doc, name, place, entry, job_defaults) for place, (name, entry) in entries]
    drafts = [draft for draft in read if draft is not None]
    check_deps(doc, drafts, jobs.keys())
    return drafts


def _mapping(doc: ParseContext, pairs: Pairs, name: str) -> Pairs:
    """Return the entries of a top-level mapping; {} if absent or, with a report, invalid."""
    if name not in pairs or is_nothing(pairs[name][1]):
        return {}
    node = pairs[name][1]
    try:
        return doc.pairs(node, (name,))
    except BadValueError:
        doc.report(node, (name,), f"expected {_TOP[name].kind}, got {kind_name(node)}")
        return {}


def _broken(broken: yaml_nodes.YamlError) -> Parsed:
    return _refused(broken.line, broken.column, broken.message, broken.hint)


def _refused(line: int, column: int, message: str, hint: str = "") -> Parsed:
    return Parsed(None, (Problem(line, column, "", message, hint),))
