"""The harness: leaving out the minutes in which nothing is due changes no result."""

import pytest

from supervisor.core.config_model import Notify
from supervisor.core.control_requests import AckIncident, PauseJob
from tests.channels import channel
from tests.core.core_harness import EveryMinute, Harness, job

JOBS = (
    job("failing", cron="*/30 * * * *"),
    job("paused", cron="0 */2 * * *", late_after_s=1800.0),
    job("nightly", cron="30 2 * * *", retries=1, retry_delay_s=600.0),
    job("morning", cron=("0 5 * * *", "15 9 * * 1"), deps=["nightly"], timeout_s=1800.0),
    job("watched", cron="0 */6 * * *", late_after_s=3600.0),
)
SUMMARY = Notify((channel("ops"),), ("0 8 * * *",))


def a_day(kind: type[Harness], **settings: object) -> Harness:
    """Return a service after most of a day, a failure, a crash and a restart."""
    harness = kind(*JOBS, **settings)
    harness.at("00:10")
    harness.asks(PauseJob("paused", 4 * 3600.0))
    harness.at("00:30")
    for hour, status in (("03:00", 1), ("03:30", 0), ("05:10", 0), ("06:20", 0), ("09:15", 0)):
        harness.at(hour)
        for name in harness.live():
            harness.ends(name, status=1 if name == "failing" else status)
        harness.delivers()
    harness.asks(AckIncident(harness.incidents("failing")[0].id, 1800.0))
    harness.at("10:45")
    harness.ends("failing", status=1)
    harness.at("11:10")
    harness.ends("failing")  # its recovery is announced later
    if harness.batches:
        harness.cannot_deliver()
    harness.at("11:59:10")
    harness.dies()
    harness.starts("14:30")
    harness.ends("watched")
    harness.at("17:50:30")
    return harness


@pytest.mark.parametrize("settings", [{}, {"notify": SUMMARY}], ids=["plain", "summary"])
def test_leaving_out_minutes_changes_neither_ledger_nor_state(settings: dict[str, object]) -> None:
    some, all_of_them = a_day(Harness, **settings), a_day(EveryMinute, **settings)

    assert some.ledger == all_of_them.ledger
    assert some.scheduler == all_of_them.scheduler
    assert len(some.actions) < len(all_of_them.actions) / 2
