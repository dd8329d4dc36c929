"""Differences between two versions of jobs.yaml."""

from supervisor.core import config_diff
from supervisor.core.config_diff import MOST_DROPPED, DroppedSlot, Rescheduled, changes
from supervisor.core.config_model import Api, Config
from supervisor.core.model import JobChange, ReloadEntry
from tests.core.core_harness import in_file, instant, job

NOON = instant("2026-01-05 12:00")
A, B = job("a", cron="0 15 * * *"), job("b", cron="0 16 * * *")


def compare(before, after, now=NOON):
    return config_diff.compare(
        {each.name: each for each in in_file(before)},
        {each.name: each for each in in_file(after)},
        now,
    )


def test_the_same_text_changes_nothing():
    assert compare([A, B], [A, B]) == config_diff.Changes((), (), (), (), ())


def test_what_is_new_is_added_and_what_is_gone_is_removed():
    found = compare([A], [B])

    assert (found.added, found.removed) == (("b",), ("a",))


def test_a_rename_is_remove_and_add():
    found = compare([A], [job("new", cron="0 15 * * *")])

    assert (found.added, found.removed, found.changed) == (("new",), ("a",), ())


def test_a_new_calendar_names_the_old_and_the_new_next_slot():
    found = compare([A], [job("a", cron="0 17 * * *")])

    assert found.rescheduled == (
        Rescheduled("a", instant("2026-01-05 15:00"), instant("2026-01-05 17:00")),
    )


def test_another_zone_reschedules():
    [moved] = compare([A], [job("a", cron="0 15 * * *", timezone="Asia/Tokyo")]).rescheduled

    assert moved.after == instant("2026-01-06 06:00")


def test_a_disabled_job_has_no_next_slot():
    [moved] = compare([A], [job("a", cron="0 15 * * *", enabled=False)]).rescheduled

    assert moved.after is None


def test_another_definition_is_a_change_without_a_new_calendar():
    found = compare([A], [job("a", cron="0 15 * * *", retries=3)])

    assert (found.changed, found.rescheduled) == (("a",), ())


def test_another_place_in_the_file_is_no_change():
    assert compare([A, B], [B, A]) == config_diff.Changes((), (), (), (), ())


def test_slots_of_today_that_will_not_come_are_named():
    found = compare([A, B], [job("a", cron="0 17 * * *")])

    assert found.dropped_slots == (
        DroppedSlot("a", instant("2026-01-05 15:00")),
        DroppedSlot("b", instant("2026-01-05 16:00")),
    )


def test_a_slot_that_both_calendars_have_is_not_dropped():
    before, after = job("a", cron="0 15,16 * * *"), job("a", cron="0 16,17 * * *")

    found = compare([before], [after])

    assert found.dropped_slots == (DroppedSlot("a", instant("2026-01-05 15:00")),)


def test_a_slot_of_this_morning_is_not_dropped():
    assert compare([job("a", cron="0 9 * * *")], [B]).dropped_slots == ()


def test_today_ends_at_midnight_of_the_jobs_zone():
    late = job("a", cron="0 2 * * *", timezone="America/New_York")

    before_midnight = compare([late], [B], instant("2026-01-05 06:30"))
    after_the_slot = compare([late], [B], instant("2026-01-05 12:00"))

    assert before_midnight.dropped_slots == (DroppedSlot("a", instant("2026-01-05 07:00")),)
    assert after_the_slot.dropped_slots == ()


def test_a_minute_job_names_only_so_many():
    found = compare([job("a", cron="* * * * *")], [B])

    assert len(found.dropped_slots) == MOST_DROPPED


def test_sockets_are_what_waits_for_the_next_start():
    before = Config((A,), metrics="127.0.0.1:9187")

    assert (
        config_diff.at_next_start(before, Config((B,), "Asia/Tokyo", 9, metrics=before.metrics))
        == ()
    )
    assert config_diff.at_next_start(before, Config((A,))) == ("metrics",)
    wider = Config((A,), api=Api(0o660), metrics=before.metrics)
    assert config_diff.at_next_start(before, wider) == ("api",)


def test_changes_name_jobs_and_keys_of_the_file_without_values():
    before = Config(in_file([A, B, job("c", params_json='{"password": "old"}', timeout_s=9.0)]))
    after = Config(
        in_file([B, job("c", params_json='{"password": "new"}', argv=("y",)), job("d")]),
        max_concurrent=9,
        shutdown_grace_s=5.0,
        secrets=("new",),
    )

    found = changes(before, after)

    assert found == (
        JobChange("", "changed", ("max_concurrent", "shutdown_grace")),
        JobChange("d", "added"),
        JobChange("a", "removed"),
        JobChange("c", "changed", ("command", "timeout", "with")),
    )
    assert "new" not in repr(found)
    assert changes(after, after) == ()


def test_another_order_is_no_change():
    assert changes(Config(in_file([A, B])), Config(in_file([B, A]))) == ()


def test_changes_are_one_sentence():
    entry = ReloadEntry(NOON, "5e", True, "2 jobs", changes(
        Config(in_file([A, B])), Config(in_file([job("a", retries=1), job("c")]), metrics="x")
    ), 7)  # fmt: skip

    assert config_diff.change_words(entry) == (
        "added c; removed b; changed metrics of the file, a (cron, retries); and 7 more"
    )
    assert config_diff.change_words(ReloadEntry(NOON, "5e", True, "2 jobs")) == ""
