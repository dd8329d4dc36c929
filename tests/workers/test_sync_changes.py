"""Differences between two sets of rows; no file, no database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sync import diff, plan
from workers.sync.diff import Changes, FailedSet

some_rows = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2)).map(
    lambda found: {key: (key, value) for key, value in found.items()}
)


def test_added_changed_and_vanished_are_distinguished():
    have = {"a": ("a", 1), "b": ("b", 1), "c": ("c", 1)}

    found = plan(have, [("a", 1), ("b", 2), ("d", 1)])

    assert found == Changes((("d", 1),), (("b", 2),), 1, ("c",))


@given(some_rows, some_rows)
def test_applied_to_what_is_there_a_plan_makes_it_what_is_wanted(have, want):
    found = plan(have, list(want.values()))

    written = have | {row[0]: row for row in (*found.added, *found.changed)}
    for name in found.vanished:
        del written[name]
    assert written == want
    assert len(found.added) + len(found.changed) + found.unchanged == len(want)


@given(some_rows)
def test_nothing_differs_from_itself(have):
    assert not plan(have, list(have.values())).any


def test_a_plan_is_shown_in_one_line():
    found = Changes((("a",),), (("b",), ("c",)), 5, ("d",))

    assert diff.described("s1", found, prune=False) == (
        "s1: 1 to add (a), 2 to change (b, c), 1 vanished (d)"
    )
    assert diff.described("s1", Changes(), prune=True) == "s1: nothing to do"


def test_a_long_list_of_names_is_cut_and_counted():
    assert diff.named([str(number) for number in range(9)]) == "0, 1, 2, 3, 4 and 4 more"


@pytest.mark.parametrize(
    ("kinds", "permanent"), [([True], True), ([False], False), ([True, False], False)]
)
def test_a_run_is_worth_a_retry_if_one_problem_may_pass(kinds, permanent):
    failed = [FailedSet("s1", "…", kind) for kind in kinds]

    assert diff.permanent(failed) is permanent
