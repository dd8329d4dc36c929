"""The summary: when it is sent, to which channels, and which period it covers."""

from supervisor.core.config_model import Notify, QuietHours, Severity
from tests.channels import channel
from tests.core.core_harness import Harness, job

A = job("a", cron="0 2 * * *")
DAILY = ("0 8 * * *",)
DAY_S = 86400.0


def harness_of(*channels, summary=DAILY, start="2026-01-05 00:00", **settings):
    notify = Notify(channels or (channel("ops"),), summary)
    return Harness(A, notify=notify, start=start, **settings)


def summaries(harness):
    """Return (channel, instant, hours covered, why it is not sent) of each summary."""
    return [
        (each.channel, f"{each.at:%d %H:%M}", each.lasted_s / 3600, each.withheld)
        for each in harness.alerts
        if each.word == "summary"
    ]


def test_a_summary_is_sent_at_its_instant_and_covers_the_time_since_the_last():
    harness = harness_of()

    harness.at("08:01")
    harness.delivers()
    harness.at("2026-01-06 09:00")
    harness.delivers()

    assert summaries(harness) == [("ops", "05 08:00", 24, ""), ("ops", "06 08:00", 24, "")]
    assert [each.word for each in harness.arrived] == ["summary", "summary"]


def test_a_weekly_summary_covers_a_week():
    harness = harness_of(summary=("0 8 * * mon",))

    harness.at("08:01")

    assert summaries(harness) == [("ops", "05 08:00", 7 * 24, "")]


def test_a_summary_follows_the_zone_of_the_file():
    harness = harness_of(timezone="Europe/Berlin")

    harness.at("07:01")

    assert summaries(harness) == [("ops", "05 07:00", 24, "")]


def test_without_the_key_there_is_none():
    harness = harness_of(summary=())

    harness.at("2026-01-06 09:00")

    assert summaries(harness) == []


def test_a_summary_has_no_severity_to_be_filtered_by():
    harness = harness_of(channel("phone", min_severity=Severity.CRITICAL, jobs=("b",)))

    harness.at("08:01")
    harness.delivers()

    assert [each.word for each in harness.arrived] == ["summary"]


def test_a_channel_that_gets_no_summary_gets_none():
    harness = harness_of(channel("ops"), channel("pager", summary=False))

    harness.at("08:01")

    assert summaries(harness) == [("ops", "05 08:00", 24, "")]


def test_a_summary_waits_for_the_end_of_quiet_hours():
    quiet = QuietHours(22 * 60, 9 * 60, "UTC")
    harness = harness_of(channel("ops", quiet=quiet))

    harness.at("08:59")
    before = dict(harness.batches)
    harness.at("09:00")

    assert before == {}
    assert [row.word for row in harness.batch] == ["summary"]


def test_summaries_that_wait_become_one_that_covers_them_all():
    harness = harness_of()
    harness.at("08:00")
    harness.cannot_deliver(refused=True)
    for day in ("06", "07"):
        harness.at(f"2026-01-{day} 07:59")
        harness.cannot_deliver(refused=True)
        harness.at(f"2026-01-{day} 08:00")

    [waiting] = harness.scheduler.waiting_alerts

    assert (f"{waiting.at:%d %H:%M}", waiting.lasted_s) == ("07 08:00", 3 * DAY_S)
    assert waiting.folded == 2


def test_a_summary_that_came_due_while_the_service_was_away_is_sent_at_its_start():
    harness = harness_of()
    harness.at("01:00")
    harness.stops()

    harness.starts("10:00")

    assert summaries(harness) == [("ops", "05 08:00", 24, "")]


def test_of_many_that_came_due_meanwhile_the_newest_is_sent():
    harness = harness_of()
    harness.at("01:00")
    harness.dies()

    harness.starts("2026-01-09 10:00")

    assert summaries(harness) == [("ops", "09 08:00", 24, "")]


def test_run_local_sends_none():
    harness = harness_of(calendar=False)

    harness.at("08:01")

    assert summaries(harness) == []


def test_a_first_start_sends_none():
    harness = harness_of(start="2026-01-05 08:00:30")

    harness.at("08:05")

    assert summaries(harness) == []


def test_a_clock_that_is_put_back_is_no_flood():
    harness = harness_of()
    harness.at("08:30")
    harness.clock_is_set_to("2026-01-05 06:00")

    harness.at("09:00")

    assert len(summaries(harness)) <= 2
