"""The promises of a cluster over random histories, and that each of them needs its fences.

`NIGHTSHIFT_HISTORIES=FIRST+COUNT pytest -m slow tests/cluster/test_model.py` runs others, and
many of them; a broken promise names the history that breaks it.
"""

import os

import pytest

from tests.cluster.model.world import first_broken

# In how many histories the promise that needs a fence breaks, with a margin.
FENCES = {
    "adoption": 20,
    "comparing": 150,
    "fence of a refusal": 600,
    "former life": 20,
    "host fence": 500,
    "known assignment": 30,
    "leader fence": 30,
    "lease": 150,
    "record before launch": 200,
    "recorded reply": 60,
    "reports until recorded": 40,
    "unsure exchange": 400,
    "withdrawal": 200,
}
# Those that are found within a second; the others belong to the long run.
SOON = [name for name, most in FENCES.items() if most <= 60]


@pytest.mark.parametrize("block", range(5))
def test_what_is_promised_holds_in_every_history(block):
    assert first_broken(range(20 * block, 20 * (block + 1))) is None


def test_a_suspended_host_has_no_time_left_for_a_graceful_end():
    assert first_broken([4000073]) is None


@pytest.mark.parametrize("fence", SOON)
def test_without_a_fence_a_promise_fails(fence):
    assert first_broken(range(FENCES[fence]), fence) is not None


@pytest.mark.slow
@pytest.mark.parametrize("fence", sorted(FENCES.keys() - set(SOON)))
def test_without_a_fence_that_is_rarely_needed_a_promise_fails(fence):
    assert first_broken(range(FENCES[fence]), fence) is not None


@pytest.mark.slow
def test_what_is_promised_holds_in_many_histories():
    first, _, count = os.environ.get("NIGHTSHIFT_HISTORIES", "0+10000").partition("+")

    assert first_broken(range(int(first), int(first) + int(count))) is None
