"""The promises of a cluster over random histories, and that each needs its fence."""

import pytest

from supervisor.core.config_model import IfLost
from tests.cluster.model import history, open_runs, slots_without_outcome
from tests.core.core_harness import in_file, job

JOBS = in_file(
    (
        job("a", cron="* * * * *", exclusive="nas", retries=1, retry_delay_s=5),
        job("b", cron="*/2 * * * *", exclusive="nas"),
        job("c", cron="* * * * *", retry_delay_s=5),
        job("once", cron="*/3 * * * *", if_lost=IfLost.NEVER),
        job("after", cron="*/2 * * * *", deps=["c"]),
    )
)
MINUTES = 40


@pytest.mark.parametrize("seed", range(12))
def test_what_is_promised_holds_in_every_history(seed):
    model = history(seed, JOBS, MINUTES)

    assert model.broken == []
    assert slots_without_outcome(model) == []
    assert [
        run
        for run in open_runs(model)
        if run.due.timestamp() < model.server.tick.at.timestamp() - 600
    ] == []


@pytest.mark.parametrize("fence", ["host fence", "leader fence", "lease"])
def test_without_a_fence_a_promise_fails(fence):
    assert any(history(seed, JOBS, MINUTES, without=fence).broken for seed in range(40))


@pytest.mark.parametrize("seed", range(12))
def test_reports_that_come_too_late_change_nothing_even_if_they_are_let_through(seed):
    """Late reports have a second fence: an attempt has a number, and the rules check it."""
    model = history(seed, JOBS, MINUTES, without="finish fence")

    assert model.broken == []
    assert slots_without_outcome(model) == []


@pytest.mark.slow
@pytest.mark.parametrize("block", range(100))
def test_what_is_promised_holds_in_many_histories(block):
    for seed in range(1000 * block, 1000 * (block + 1)):
        model = history(seed, JOBS, MINUTES)
        assert model.broken == [], f"seed {seed}"
        assert slots_without_outcome(model) == [], f"seed {seed}"
