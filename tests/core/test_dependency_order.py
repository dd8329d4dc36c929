"""Dependency graph: cycles, order, and the verdict on one dependency."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.core.dependencies import (
    RunSummary,
    Satisfied,
    Unsatisfied,
    Waiting,
    evaluate,
    find_cycle,
    in_order,
    with_all_deps,
)
from supervisor.core.model import Reason, State
from tests.core.core_harness import instant

NAMES = "abcdefgh"
PROPERTIES = settings(derandomize=True, suppress_health_check=list(HealthCheck))
edges = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4, unique=True).map(tuple)
)
forward_edges = edges.map(
    lambda deps: {name: tuple(dep for dep in found if dep < name) for name, found in deps.items()}
)


@pytest.mark.parametrize(
    ("deps", "cycle"),
    [
        ({}, None),
        ({"a": ("b",), "b": ()}, None),
        ({"a": ("a",)}, ("a", "a")),
        ({"a": ("b",), "b": ("a",)}, ("a", "b", "a")),
        ({"x": ("a",), "a": ("b",), "b": ("c",), "c": ("a",)}, ("a", "b", "c", "a")),
        ({"a": ("nobody",)}, None),
        ({"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ()}, None),
    ],
    ids=["nothing", "a chain", "itself", "two", "behind a tail", "an unknown name", "a diamond"],
)
def test_a_cycle_is_named_from_its_first_member_to_itself(deps, cycle):
    assert find_cycle(deps) == cycle


def test_a_chain_of_ten_thousand_is_checked_for_cycles():
    deps = {f"j{n}": (f"j{n + 1}",) for n in range(10_000)}

    assert find_cycle(deps) is None
    assert find_cycle({**deps, "j10000": ("j0",)}) is not None


@given(edges)
@PROPERTIES
def test_a_cycle_that_is_found_is_one(deps):
    cycle = find_cycle(deps)

    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(later in deps[name] for name, later in pairwise(cycle))


@given(forward_edges)
@PROPERTIES
def test_where_every_edge_points_back_there_is_no_cycle(deps):
    assert find_cycle(deps) is None


@given(deps=edges, start=st.sampled_from(NAMES))
@PROPERTIES
def test_a_job_that_reaches_itself_is_in_a_cycle(deps, start):
    reached, waiting = set(), list(deps.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(deps.get(name, ()))

    assert start not in reached or find_cycle(deps) is not None


@pytest.mark.parametrize(
    ("names", "deps", "ordered"),
    [
        ("cab", {}, "cab"),
        ("ba", {"b": ("a",)}, "ab"),
        ("ca", {"c": ("b",), "b": ("a",)}, "ca"),
        ("dcba", {"d": ("b", "c"), "b": ("a",), "c": ("a",)}, "abcd"),
        ("aab", {}, "ab"),
    ],
    ids=["as in the file", "dependency first", "only those named", "a diamond", "each once"],
)
def test_names_keep_their_order_but_for_their_dependencies(names, deps, ordered):
    assert "".join(in_order(names, deps)) == ordered


@given(names=st.lists(st.sampled_from(NAMES), unique=True), deps=forward_edges)
@PROPERTIES
def test_in_order_is_a_permutation_in_which_each_follows_its_dependencies(names, deps):
    ordered = in_order(names, deps)

    assert sorted(ordered) == sorted(names)
    for name in ordered:
        for dep in deps.get(name, ()):
            assert dep not in ordered or ordered.index(dep) < ordered.index(name)


@given(names=st.lists(st.sampled_from(NAMES), unique=True), deps=forward_edges)
@PROPERTIES
def test_with_all_deps_is_closed_and_holds_nothing_else(names, deps):
    found = with_all_deps(names, deps)

    assert set(names) <= set(found)
    assert all(dep in found for name in found for dep in deps.get(name, ()))
    needed = set(names) | {dep for name in found for dep in deps.get(name, ())}
    assert set(found) == needed


# --- verdict on one dependency -----------------------------------------------------------

HOUR = timedelta(hours=1)
T = instant("2026-01-05 12:00")

# The dependency's runs, oldest first: hours before the run's due time, state | verdict
JUDGEMENTS = [
    ("no run", [], "a has not run yet"),
    ("a success", [(1, "success")], Satisfied()),
    ("a success at my own instant", [(0, "success")], Satisfied()),
    ("a failure", [(1, "failed")], "dependency a failed at 2026-01-05 11:00 UTC"),
    ("an open run", [(1, "running")], Waiting("a", 1)),
    ("a retrying run", [(1, "retrying")], Waiting("a", 1)),
    ("a pending run", [(1, "pending")], Waiting("a", 1)),
    ("skipped", [(1, "skipped")], "dependency a was skipped at 2026-01-05 11:00 UTC"),
    ("missed", [(1, "missed")], "dependency a was missed at 2026-01-05 11:00 UTC"),
    ("cancelled", [(1, "cancelled")], "dependency a was cancelled at 2026-01-05 11:00 UTC"),
    ("interrupted", [(1, "interrupted")], "dependency a was interrupted at 2026-01-05 11:00 UTC"),
    ("failed after a success", [(2, "success"), (1, "failed")],
     "dependency a failed at 2026-01-05 11:00 UTC"),
    ("success after a failure", [(2, "failed"), (1, "success")], Satisfied()),
    ("a later success fixes it", [(1, "failed"), (-1, "success")], Satisfied()),
    ("a later run is open", [(1, "failed"), (-1, "running")], Waiting("a", 2)),
    ("only later runs", [(-1, "success")], "a has not run yet"),
    ("an older run is still open", [(2, "running"), (1, "failed")],
     "dependency a failed at 2026-01-05 11:00 UTC"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "expected"), [pytest.param(*row, id=name) for name, *row in JUDGEMENTS]
)
def test_a_dependency_is_judged_by_its_newest_run_and_what_came_after(runs, expected):
    known = [
        RunSummary(number, T - hours * HOUR, State(state))
        for number, (hours, state) in enumerate(runs, 1)
    ]

    found = evaluate("a", T, *remembered(known))

    assert found == (Unsatisfied(expected) if isinstance(expected, str) else expected)


def test_an_overlap_of_an_overlap_stands_for_the_run_at_its_end():
    known = [
        RunSummary(1, T - 3 * HOUR, State.RUNNING),
        RunSummary(2, T - 2 * HOUR, State.SKIPPED, Reason.OVERLAP, blocked_by=1),
        RunSummary(3, T - 1 * HOUR, State.SKIPPED, Reason.OVERLAP, blocked_by=2),
    ]

    assert evaluate("a", T, *remembered(known)) == Waiting("a", 1)


def test_an_overlap_that_names_itself_ends():
    known = [RunSummary(1, T - HOUR, State.SKIPPED, Reason.OVERLAP, blocked_by=1)]

    assert isinstance(evaluate("a", T, *remembered(known)), Unsatisfied)


@given(
    st.lists(
        st.tuples(
            st.integers(-6, 6),
            st.sampled_from(list(State)),
            st.one_of(st.none(), st.integers(1, 5)),
        ),
        max_size=7,
    )
)
@PROPERTIES
def test_the_judgement_is_that_of_the_rules(runs):
    known = [
        RunSummary(
            number, T - hours * HOUR, state,
            Reason.OVERLAP if state is State.SKIPPED and blocker else None,
            blocked_by=blocker if blocker and blocker < number else None,
        )
        for number, (hours, state, blocker) in enumerate(runs, 1)
    ]  # fmt: skip

    found = evaluate("a", T, *remembered(known))

    assert type(found) is by_the_rules(known)


def remembered(known):
    newest_first = sorted(known, key=lambda past: (past.due, past.run), reverse=True)
    successes = [past.due for past in known if past.state is State.SUCCESS]
    return newest_first, max(successes, default=None)


def by_the_rules(known):
    """Return the verdict by a literal implementation of the dependency rule."""
    earlier = [past for past in known if past.due <= T]
    if not earlier:
        return Unsatisfied
    d = max(earlier, key=lambda past: (past.due, past.run))
    while d.reason is Reason.OVERLAP and d.blocked_by:
        d = next(past for past in known if past.run == d.blocked_by)
    since = [past for past in known if past.due >= d.due]
    if any(past.state is State.SUCCESS for past in since):
        return Satisfied
    return Waiting if any(past.state.is_open for past in since) else Unsatisfied
