"""PagerDuty events: trigger and resolve with one key."""

import json

from supervisor.core.model import replace
from supervisor.notifications.channels import pagerduty
from supervisor.redaction.mask import make_mask
from tests.edge.fixtures_alerts import ALERT, HOSTILE, about, send
from tests.webhook import Webhook


def posted(*alerts):
    with Webhook() as hook:
        for alert in alerts:
            message = pagerduty.message(about(alert), str)
            assert send("pagerduty", hook.url, message, routing_key="R0UT1NG").ok
        return hook.bodies()


def test_an_alert_triggers_and_its_recovery_resolves_by_the_same_key():
    still, over = replace(ALERT, word="reminder", count=9), replace(ALERT, word="recovered")

    events = posted(ALERT, still, over)

    assert [each["event_action"] for each in events] == ["trigger", "trigger", "resolve"]
    assert {each["dedup_key"] for each in events} == {"nightshift-01/backup/exit"}
    assert {each["routing_key"] for each in events} == {"R0UT1NG"}


def test_another_job_or_kind_has_another_key():
    others = [replace(ALERT, job="other"), replace(ALERT, kind="timeout")]

    keys = {each["dedup_key"] for each in posted(ALERT, *others)}

    assert len(keys) == 3


def test_the_event_says_what_failed():
    [event] = posted(ALERT)

    said = event["payload"]
    assert said["summary"] == "🔴 backup failed: exit status 2"
    assert (said["severity"], said["source"], said["component"]) == ("error", "box", "backup")
    assert "nightshift logs 41" in said["custom_details"]["text"]


def test_long_and_hostile_texts_stay_within_the_limits():
    [event] = posted(replace(ALERT, cause=HOSTILE * 1000))

    assert len(event["payload"]["summary"]) <= 1024
    assert len(event["dedup_key"]) <= 255


def test_secrets_are_masked():
    reported = about(replace(ALERT, cause="login hunter2222"), output=("hunter2222",))

    assert "hunter" not in json.dumps(pagerduty.message(reported, make_mask(["hunter2222"])))


def test_a_test_alert_is_an_event_of_the_lowest_severity():
    with Webhook() as hook:
        send("pagerduty", hook.url, pagerduty.test_message("box"), routing_key="R0UT1NG")

        [event] = hook.bodies()

    assert (event["event_action"], event["payload"]["severity"]) == ("trigger", "info")
