"""Checks of dependencies across all jobs: unknown names and cycles."""

from collections.abc import Collection, Sequence

from supervisor.config.parse_context import ParseContext
from supervisor.config.parse_job import ParsedJob
from supervisor.core import dependencies

# Finding each further cycle costs a walk over all jobs.
MOST_CIRCLES = 10


def check_deps(doc: ParseContext, drafts: Sequence[ParsedJob], names: Collection[str]) -> None:
    """Report unknown dependencies, jobs that depend on themselves, and cycles."""
    deps: dict[str, list[str]] = {}
    for draft in drafts:
        if not draft.deps:
            continue
        path = ("jobs", draft.job.name, "deps")
        for named in draft.deps:
            if named.name == draft.job.name:
                doc.report(named.node, path, "a job cannot depend on itself")
            elif named.name not in names:
                hint = doc.nearest.match(named.name, names)
                doc.report(named.node, path, f'unknown job "{named.name[:63]}"', hint)
            else:
                deps.setdefault(draft.job.name, []).append(named.name)
    _check_circles(doc, drafts, deps)


def _check_circles(
    doc: ParseContext, drafts: Sequence[ParsedJob], deps: dict[str, list[str]]
) -> None:
    places = {draft.job.name: draft for draft in drafts} if deps else {}
    for _ in range(MOST_CIRCLES):
        cycle = dependencies.find_cycle(deps)
        if cycle is None:
            return
        job, dep = cycle[0], cycle[1]
        node = next(named.node for named in places[job].deps if named.name == dep)
        circle = " -> ".join(cycle if len(cycle) <= 20 else (*cycle[:19], "...", cycle[-1]))
        doc.report(node, ("jobs", job, "deps"), f"dependencies go in a circle: {circle}")
        deps[job].remove(dep)
