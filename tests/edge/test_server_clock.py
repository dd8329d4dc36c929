"""A leader's wall clock, which follows PostgreSQL's without steps of its own."""

import random
import time
from datetime import timedelta

import pytest

from supervisor.cluster import session
from supervisor.cluster.server_clock import MOST_S, STEP_S, ServerClock, next_offset


@pytest.mark.parametrize(
    ("found_s", "half_s", "expected"),
    [
        (100.0, 0.01, 100.0),
        (100.005, 0.01, 100.0),  # within the error of the measurement
        (100.21, 0.01, 100.05),  # a quarter of what exceeds it
        (99.79, 0.01, 99.95),
        (101.0, 0.0, 100.0 + MOST_S),
        (99.0, 0.0, 100.0 - MOST_S),
        (100.0 + STEP_S + 1, 0.5, 100.0 + STEP_S + 1),
        (-3500.0, 0.1, -3500.0),
        (102.0, 4.0, 100.0),
    ],
)
def test_a_measurement_moves_the_offset_a_little_or_is_a_step(found_s, half_s, expected):
    assert next_offset(100.0, found_s, half_s) == pytest.approx(expected)


class Machine:
    """A machine whose base clock is at `base`; PostgreSQL's is `ahead` of it."""

    def __init__(self, ahead: float) -> None:
        self.base, self.ahead = 1000.0, ahead
        self.clock = ServerClock(lambda: self.base)

    def measures(self, takes_s: float = 0.0, at: float = 0.5) -> None:
        """Measure; at: the fraction of takes_s after which PostgreSQL answers."""
        before = self.base
        self.base += takes_s
        self.clock.learn(before + at * takes_s + self.ahead, before, self.base)


def test_it_never_goes_back_by_its_own_doing_and_comes_close():
    dice = random.Random(7)
    machine = Machine(ahead=5e8)
    machine.measures(takes_s=1.5, at=0.0)  # the first measurement is off by 0.75 s
    last = machine.clock.seconds()
    for _ in range(2000):
        machine.base += dice.uniform(0, 0.02)
        if dice.random() < 0.1:
            machine.measures(takes_s=dice.uniform(0, 0.01), at=dice.random())
        assert machine.clock.seconds() >= last
        last = machine.clock.seconds()

    assert abs(last - (machine.base + machine.ahead)) <= 0.005


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_step_of_the_server_is_followed(step_s):
    machine = Machine(ahead=5e8)
    machine.measures()
    before = machine.clock.seconds()
    machine.ahead += step_s

    machine.measures()

    assert machine.clock.seconds() == before + step_s


def test_the_time_of_day_is_that_of_the_server(postgres):
    clock = ServerClock()
    with session.connect(postgres, "public") as db:
        (before,) = db.execute("SELECT clock_timestamp()").fetchone()
        begun = time.monotonic()
        clock.measure(db)
        # The server may have answered at any moment of the measurement.
        unknown = timedelta(seconds=time.monotonic() - begun)
        shown = clock.wall()
        (after,) = db.execute("SELECT clock_timestamp()").fetchone()

    assert before - unknown <= shown <= after + unknown
