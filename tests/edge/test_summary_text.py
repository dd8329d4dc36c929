"""The text of a summary, from a real ledger."""

from contextlib import closing
from datetime import timedelta

import msgspec
import pytest

from supervisor.core import effects
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.config_model import Config, Job, Severity
from supervisor.core.model import Run, State, Trigger
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.state import SchedulerState
from supervisor.ledger.queries import History
from supervisor.ledger.store import Store
from supervisor.notifications import channels
from supervisor.notifications.summary_text import summary_of
from tests.edge.fixtures_alerts import AT, about

SUMMARY = Alert(
    9, 0, "summary", Severity.INFO, "", "summary", "", 0, None, AT, lasted_s=86400.0
)  # fmt: skip
JOBS = (
    Job("nightly-backup", 0, worker="backup.run"),
    Job("replica", 1, worker="replication.run"),
    Job("health", 2, worker="health.run"),
)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path)
    yield opened
    opened.close()


def run(number, job, state, hours_ago, **fields):
    due = AT - timedelta(hours=hours_ago)
    return Run(number, job, due, Trigger.SCHEDULE, State(state), slot=due, attempt=1, **fields)


def late(number, job, hours_ago):
    at = AT - timedelta(hours=hours_ago)
    return Incident(number, job, "late", Severity.ERROR, at, at, "late", closed_at=AT)


def said(tmp_path, store, *rows, **state):
    """Write rows to the ledger and return the lines of the summary, by name."""
    store.write([effects.Record(row) for row in rows])
    scheduler = SchedulerState(Config(JOBS), jobs=PersistentMap({job.name: job for job in JOBS}))
    for name, value in state.items():
        setattr(scheduler, name, PersistentMap(value))
    with closing(History(tmp_path)) as history:
        return dict(summary_of(SUMMARY, scheduler, history))


def test_it_counts_the_runs_of_its_period(tmp_path, store):
    found = said(
        tmp_path,
        store,
        run(1, "a", "success", 25),
        run(2, "a", "success", 23),
        run(3, "a", "failed", 22),
        run(4, "a", "failed", 21),
        run(5, "b", "failed", 20),
        run(6, "b", "success", 19),
        run(7, "c", "skipped", 18),
        run(8, "d", "missed", 17),
        run(9, "a", "success", -1),
    )

    assert found["Runs"] == "2 of 5 succeeded, of 2 jobs"
    assert found["Failed"] == "a (2), b"
    assert found["Missed or skipped"] == "c, d"
    assert found["Period"] == "1d until 2026-02-09 02:00:00 UTC"


def test_a_quiet_day_says_so(tmp_path, store):
    found = said(tmp_path, store)

    assert (found["Runs"], found["Failed"], found["Late"]) == ("none", "none", "none")


def test_it_names_what_was_late_in_its_period(tmp_path, store):
    found = said(tmp_path, store, late(1, "a", 30), late(2, "b", 3))

    assert found["Late"] == "b"


def test_it_names_open_incidents(tmp_path, store):
    at = AT - timedelta(days=9)
    incident = Incident(1, "a", "exit", Severity.ERROR, at, at, "exit status 1")

    found = said(tmp_path, store, incidents={("a", "exit"): incident})

    assert found["Open incidents"] == "a"


def test_it_tells_the_age_of_backups_and_replicas(tmp_path, store):
    found = said(
        tmp_path,
        store,
        last_success={"replica": AT - timedelta(hours=3)},
        metrics={"replica": PersistentMap({"replication_lag_seconds": 90.0})},
    )

    assert found["Backups"] == "nightly-backup: none known"
    assert found["Replicas"] == "replica: 3h old, then 1m30s behind"


def health(number, days_ago, ratio):
    result = msgspec.json.encode({"disk_free_ratio": ratio}).decode()
    return run(number, "health", "success", 24 * days_ago, result_json=result)


@pytest.mark.parametrize(
    ("runs", "disk"),
    [
        ((health(1, 10, 0.5), health(2, 1, 0.41)),
         "41% free (health), full in 41 days at the rate of the last 9 days"),
        ((health(1, 10, 0.4), health(2, 1, 0.5)), "50% free (health)"),
        ((health(2, 1, 0.5),), "50% free (health)"),
        ((health(1, 40, 0.9), health(2, 1, 0.5)), "50% free (health)"),
        ((health(1, 10, "much"), health(2, 1, 7)), None),
        ((), None),
    ],
)  # fmt: skip
def test_it_tells_when_the_fullest_disk_will_be_full(tmp_path, store, runs, disk):
    assert said(tmp_path, store, *runs).get("Disks") == disk


def test_a_long_list_is_cut(tmp_path, store):
    rows = [run(number, f"job-{number:02}", "failed", 1) for number in range(1, 31)]

    found = said(tmp_path, store, *rows)

    assert found["Failed"].endswith("job-10 and 20 more")


@pytest.mark.parametrize("name", ["slack", "smtp", "webhook", "discord", "teams", "apprise"])
def test_every_kind_of_channel_can_say_it(name):
    facts = (("Runs", "2 of 5 succeeded, of 2 jobs"), ("Failed", "a (2), b"))
    reported = about(SUMMARY, summary=facts, run=None, job=None)

    text = str(channels.kind_of(name).message(reported, str))

    assert "summary of 1d" in text
    assert "2 of 5 succeeded" in text
    assert "a (2), b" in text
    assert "incident 0" not in text
