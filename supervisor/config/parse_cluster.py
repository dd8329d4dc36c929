"""Reads the block `cluster` of jobs.yaml: the membership of this host in a cluster."""

import re
import socket
from collections.abc import Iterable

from supervisor.config.cluster_keys import CLUSTER_KEYS
from supervisor.config.parse_context import Pairs, ParseContext, is_nothing, kind_name
from supervisor.config.parse_values import read_keys
from supervisor.config.problems import BadValueError, quote_value
from supervisor.config.yaml_nodes import Node
from supervisor.core.config_model import EACH, Cluster, Job
from workers.units import format_duration

_PATH = ("cluster",)
_TABLE = {key.name: key for key in CLUSTER_KEYS}
# It is part of the name of a PostgreSQL schema.
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
NAME_FORM = "a name of at most 31 of a-z, 0-9 and '_' that begins with a letter"
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,57}")
HOST_FORM = "a name of at most 58 of A-Z, a-z, 0-9, '.', '_' and '-'"


def read_cluster(doc: ParseContext, top: Pairs) -> Cluster | None:
    """Return the membership, None without the block; report problems."""
    if "cluster" not in top or is_nothing(top["cluster"][1]):
        return None
    key_node, node = top["cluster"]
    try:
        pairs = doc.pairs(node, _PATH)
    except BadValueError:
        doc.report(node, _PATH, f"expected a mapping, got {kind_name(node)}")
        return None
    values = read_keys(doc, pairs, _TABLE, _PATH)
    doc.secrets.add_passwords_in(str(values.get("postgres", "")))
    if not values.get("postgres"):
        if "postgres" not in pairs or is_nothing(pairs["postgres"][1]):
            hint = "nightshift cluster init DSN prepares a database"
            doc.report(key_node, (*_PATH, "postgres"), "is required", hint)
        return None
    values["host"] = values.get("host") or socket.gethostname()
    _check(doc, pairs, node, "name", str(values.get("name", "main")), NAME, NAME_FORM)
    _check(doc, pairs, node, "host", str(values["host"]), HOST, HOST_FORM)
    labels = values.get("labels", ())
    assert isinstance(labels, tuple)
    if EACH in labels:
        doc.report(pairs["labels"][1], (*_PATH, "labels"), f'"{EACH}" is no label of a host')
    fields = {_TABLE[name].field or name: value for name, value in values.items()}
    cluster = Cluster(**fields)  # type: ignore[arg-type]
    _check_times(doc, node, cluster)
    return cluster


def check_groups(doc: ParseContext, jobs: Iterable[Job], root: Node) -> None:
    """Report groups that shared jobs and jobs of each host have in common, and mixed labels.

    Nobody could tell whether such a group is held: each host knows only its own runs.
    """
    groups: dict[str, bool] = {}
    for job in jobs:
        where = ("jobs", job.name, "runs_on")
        if EACH in job.runs_on and not job.is_on_each:
            doc.report(root, where, f'expected "{EACH}" alone: every host runs such a job')
        if job.exclusive is None:
            continue
        if groups.setdefault(job.exclusive, job.is_on_each) is not job.is_on_each:
            text = f"the group {job.exclusive} has jobs with runs_on: {EACH} and others"
            doc.report(root, ("jobs", job.name, "exclusive"), text, "name two groups")


def _check_times(doc: ParseContext, node: Node, cluster: Cluster) -> None:
    """Report times by which a host could count as dead while it still runs something.

    A host without word has ended everything after the fence and the grace; it may take one
    fence more until its last heartbeat is seen, and clocks may differ in their rate.
    """
    needed_s = cluster.fence_s + cluster.grace_s + cluster.fence_s / 3
    if cluster.lease_s < needed_s:
        text = f"expected at least {format_duration(needed_s)} for this fence"
        doc.report(node, (*_PATH, "lease"), text, "raise lease, or lower fence")
    if cluster.fence_s < 4 * cluster.heartbeat_s:
        least_s = 4 * cluster.heartbeat_s
        text = f"expected at least four heartbeats, {format_duration(least_s)}"
        doc.report(node, (*_PATH, "fence"), text, "raise fence, or lower heartbeat")


def _check(
    doc: ParseContext,
    pairs: Pairs,
    node: Node,
    key: str,
    text: str,
    rule: re.Pattern[str],
    expected: str,
) -> None:
    if not rule.fullmatch(text):
        spot = pairs[key][1] if key in pairs else node
        doc.report(spot, (*_PATH, key), f"expected {expected}, got {quote_value(text)}")
