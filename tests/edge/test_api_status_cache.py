"""The status written piece by piece says what the status written at once says."""

import msgspec

from supervisor.api.errors import as_json
from supervisor.api.status_cache import StatusCache
from supervisor.core import build_views, control_requests
from supervisor.core.views import Facts
from tests.core.core_harness import Night, job


def facts(night):
    return Facts("1", 7, night.wall, "/etc/jobs.yaml", night.wall)


def assert_same(roll, night):
    pieces = as_json(roll.status(night.world, facts(night), night.wall)).body
    at_once = as_json(build_views.status(night.world, facts(night), night.wall)).body

    assert msgspec.json.decode(pieces) == msgspec.json.decode(at_once)


def steps(night):
    """A night in which everything that the status shows changes."""
    yield night.at("00:01")
    yield night.ends("a", status=1)
    yield night.asks(control_requests.RunJobs(("by-hand",)))
    yield night.at("00:02")
    yield night.asks(control_requests.PauseJob("a", 90.0, "tea"))
    yield night.after(minutes=2)
    yield night.asks(control_requests.PauseJob("", None, "all"))
    yield night.at("00:06")
    yield night.asks(control_requests.ResumeJob(""))
    yield night.ends("by-hand")
    yield night.reloads(job("a", cron="*/5 * * * *"), job("new", cron="0 3 * * *"))
    yield night.at("00:20")
    yield night.breaks_ledger()
    yield night.at("00:25")
    yield night.mends_ledger()
    yield night.at("03:00")
    yield night.stops()


def test_after_every_step_of_a_night_both_say_the_same():
    night = Night(
        job("a", cron="* * * * *", retries=1),
        job("b", cron="*/2 * * * *", deps=["a"], exclusive="data"),
        job("c", cron="*/2 * * * *", exclusive="data"),
        job("by-hand"),
        job("off", cron="0 1 * * *", enabled=False),
        max_concurrent=2,
    )
    roll = StatusCache()
    assert_same(roll, night)

    for _ in steps(night):
        assert_same(roll, night)
        assert_same(roll, night)


def test_what_has_not_changed_is_not_written_again():
    night = Night(job("a", cron="0 2 * * *"), job("b", cron="0 3 * * *"))
    roll = StatusCache()
    before = roll.status(night.world, facts(night), night.wall)
    night.at("02:00")
    night.ends("a")

    after = roll.status(night.world, facts(night), night.wall)

    assert after.jobs[1] is before.jobs[1]
    assert after.jobs[0] is not before.jobs[0]


def test_what_is_gone_is_not_kept():
    night = Night(job("a", cron="0 2 * * *"))
    roll = StatusCache()
    night.at("02:00")
    roll.status(night.world, facts(night), night.wall)
    night.ends("a")
    night.reloads(job("b"))

    found = roll.status(night.world, facts(night), night.wall)

    assert (len(found.jobs), found.runs) == (1, ())
