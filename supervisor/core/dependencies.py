"""Dependencies between jobs: order, cycles, and whether a run may start.

Pure. A dependency is evaluated from recorded runs, never from the calendar.
`evaluate` implements the dependency rule of docs/rules.md, section "What may begin".
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from supervisor.core.model import Reason, State

# Number of runs of each job that are kept for its dependents.
MOST_RECENT = 8


class RunSummary(Struct, frozen=True):
    """The part of a run that dependents need."""

    run: int
    due: datetime
    state: State
    reason: Reason | None = None
    cause: str = ""
    blocked_by: int | None = None


class Satisfied(Struct, frozen=True):
    """Result for a dependency that has succeeded."""


class Waiting(Struct, frozen=True):
    """Result for a dependency with an open run."""

    job: str
    run: int


class Unsatisfied(Struct, frozen=True):
    """Result for a dependency that did not succeed; `cause` says what happened instead."""

    cause: str


DependencyStatus = Satisfied | Waiting | Unsatisfied


def evaluate(
    name: str, due: datetime, newest_first: Sequence[RunSummary], last_success: datetime | None
) -> DependencyStatus:
    """Return whether the dependency `name` allows a run that is due at `due` to start.

    newest_first: the latest runs of the dependency, largest `due` first.
    last_success: the largest `due` of its successes, possibly of a run older than these.
    """
    newest = next((past for past in newest_first if past.due <= due), None)
    if newest is None and len(newest_first) == MOST_RECENT:
        newest = newest_first[-1]  # older runs existed, but this is the oldest one kept
    d = _is_decided_by(newest, newest_first)
    if d is None:
        if last_success is not None and last_success <= due:
            return Satisfied()
        return Unsatisfied(f"{name} has not run yet")
    if last_success is not None and last_success >= d.due:
        return Satisfied()
    for past in newest_first:
        if past.due >= d.due and past.state.is_open:
            return Waiting(name, past.run)
    return Unsatisfied(f"dependency {name} {_outcome_text(d)}")


def find_cycle(deps: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """Return the first cycle as (a, b, a), or None. Unknown names are ignored."""
    done: set[str] = set()
    for start in deps:
        trail: list[str] = []
        on_trail: set[str] = set()
        stack: list[tuple[str, bool]] = [(start, True)]
        while stack:
            name, entering = stack.pop()
            if not entering:
                on_trail.discard(trail.pop())
                done.add(name)
            elif name in on_trail:
                return (*trail[trail.index(name) :], name)
            elif name not in done and name in deps:
                trail.append(name)
                on_trail.add(name)
                stack.append((name, False))
                stack.extend((dep, True) for dep in reversed(deps[name]))
    return None


def in_order(names: Iterable[str], deps: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the names in the given order, but each after its dependencies among them."""
    wanted = dict.fromkeys(names)
    ordered: dict[str, None] = {}
    stack = [(name, False) for name in reversed(wanted)]
    while stack:
        name, deps_done = stack.pop()
        if deps_done:
            ordered.setdefault(name)
        elif name not in ordered:
            stack.append((name, True))
            stack.extend(
                (dep, False)
                for dep in reversed(deps.get(name, ()))
                if dep in wanted and dep not in ordered
            )
    return tuple(ordered)


def with_all_deps(names: Iterable[str], deps: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the names and all their dependencies, each after its dependencies."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.setdefault(name)
            waiting.extend(deps.get(name, ()))
    return in_order(found, deps)


def _is_decided_by(past: RunSummary | None, known: Sequence[RunSummary]) -> RunSummary | None:
    """Return the run that decides, which for an overlap-skipped run is its blocker."""
    while past is not None and past.state is State.SKIPPED and past.reason is Reason.OVERLAP:
        blocker = next((other for other in known if other.run == past.blocked_by), None)
        if blocker is None or blocker is past:
            return past
        past = blocker
    return past


def _outcome_text(past: RunSummary) -> str:
    at = past.due.strftime("%Y-%m-%d %H:%M UTC")
    word = {
        State.SKIPPED: "was skipped",
        State.MISSED: "was missed",
        State.CANCELLED: "was cancelled",
        State.INTERRUPTED: "was interrupted",
        State.FAILED: "failed",
    }.get(past.state, past.state)
    return f"{word} at {at}: {past.cause}" if past.cause else f"{word} at {at}"
