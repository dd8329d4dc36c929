"""The cached status, written piece by piece, equals the status written as a whole."""

import msgspec

from supervisor.api.errors import as_json
from supervisor.api.status_cache import StatusCache
from supervisor.core import build_views, control_requests
from supervisor.core.views import Facts
from tests.core.core_harness import Harness, job


def facts(harness):
    return Facts("1", 7, harness.wall, "/etc/jobs.yaml", harness.wall)


def assert_same(roll, harness):
    seen = harness.scheduler, facts(harness), harness.wall, harness.mono
    pieces = as_json(roll.status(*seen)).body
    at_once = as_json(build_views.status(*seen)).body

    assert msgspec.json.decode(pieces) == msgspec.json.decode(at_once)


def steps(harness):
    """Change everything that the status shows, step by step."""
    yield harness.at("00:01")
    yield harness.ends("a", status=1)
    yield harness.asks(control_requests.RunJobs(("by-hand",)))
    yield harness.at("00:02")
    yield harness.asks(control_requests.PauseJob("a", 90.0, "tea"))
    yield harness.after(minutes=2)
    yield harness.asks(control_requests.PauseJob("", None, "all"))
    yield harness.at("00:06")
    yield harness.asks(control_requests.ResumeJob(""))
    yield harness.ends("by-hand")
    yield harness.reloads(job("a", cron="*/5 * * * *"), job("new", cron="0 3 * * *"))
    yield harness.at("00:20")
    yield harness.breaks_ledger()
    yield harness.at("00:25")
    yield harness.fixes_ledger()
    yield harness.at("03:00")
    yield harness.stops()


def test_after_every_step_both_say_the_same():
    harness = Harness(
        job("a", cron="* * * * *", retries=1),
        job("b", cron="*/2 * * * *", deps=["a"], exclusive="data"),
        job("c", cron="*/2 * * * *", exclusive="data"),
        job("by-hand"),
        job("off", cron="0 1 * * *", enabled=False),
        max_concurrent=2,
    )
    roll = StatusCache()
    assert_same(roll, harness)

    for _ in steps(harness):
        assert_same(roll, harness)
        assert_same(roll, harness)


def test_what_has_not_changed_is_not_written_again():
    harness = Harness(job("a", cron="0 2 * * *"), job("b", cron="0 3 * * *"))
    roll = StatusCache()
    before = roll.status(harness.scheduler, facts(harness), harness.wall, harness.mono)
    harness.at("02:00")
    harness.ends("a")

    after = roll.status(harness.scheduler, facts(harness), harness.wall, harness.mono)

    assert after.jobs[1] is before.jobs[1]
    assert after.jobs[0] is not before.jobs[0]


def test_what_is_gone_is_not_kept():
    harness = Harness(job("a", cron="0 2 * * *"))
    roll = StatusCache()
    harness.at("02:00")
    roll.status(harness.scheduler, facts(harness), harness.wall, harness.mono)
    harness.ends("a")
    harness.reloads(job("b"))

    found = roll.status(harness.scheduler, facts(harness), harness.wall, harness.mono)

    assert (len(found.jobs), found.runs) == (1, ())
