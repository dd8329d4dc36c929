"""The queue of pending runs: a sorted list that is never changed in place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.run_queue import BLOCK, RunQueue
from tests.core.core_harness import instant

NOON = instant("2026-01-05 12:00")
ENTRIES = st.tuples(
    st.sampled_from([NOON, instant("2026-01-05 12:01")]), st.integers(0, 3), st.integers(0, 400)
)


def filled(entries):
    queue = RunQueue()
    for entry in entries:
        queue = queue.add(entry)
    return queue


@given(entries=st.lists(ENTRIES, unique=True, max_size=400), dice=st.randoms())
def test_it_is_a_sorted_list(entries, dice):
    queue, model = filled(entries), sorted(entries)
    assert list(queue) == model

    dice.shuffle(entries)
    for entry in entries:
        earlier, before = queue, list(model)
        queue = queue.remove(entry)
        model.remove(entry)
        assert list(earlier) == before
        assert list(queue) == model
        assert len(queue) == len(model)
        assert bool(queue) is bool(model)


@given(entries=st.lists(ENTRIES, unique=True, max_size=400))
def test_no_block_is_empty_or_too_long(entries):
    queue = filled(entries)
    for entry in entries[::2]:
        queue = queue.remove(entry)

    assert all(0 < len(block) <= BLOCK for block in queue.blocks)


def test_a_burst_fills_its_blocks():
    queue = filled((NOON, place, place) for place in range(10 * BLOCK))

    assert [len(block) for block in queue.blocks] == [BLOCK] * 10


@pytest.mark.parametrize("place", [0, 2, 9])
def test_what_is_not_there_cannot_be_removed(place):
    queue = filled((NOON, each, each) for each in (1, 3, 5))

    with pytest.raises(KeyError):
        queue.remove((NOON, place, place))
    with pytest.raises(KeyError):
        RunQueue().remove((NOON, place, place))
