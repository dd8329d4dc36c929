"""Opsgenie alerts: opened and closed with one alias."""

import json

from supervisor.core.config_model import Severity
from supervisor.core.model import replace
from supervisor.notifications.channels import opsgenie
from supervisor.redaction.mask import make_mask
from tests.edge.fixtures_alerts import ALERT, HOSTILE, about, send
from tests.webhook import Webhook


def posted(*alerts):
    with Webhook() as hook:
        for alert in alerts:
            message = opsgenie.message(about(alert), str)
            assert send("opsgenie", hook.url, message, api_key="0123-abcd").ok
        return hook.calls


def test_an_alert_is_opened_and_closed_by_the_same_alias():
    opened, closed = posted(ALERT, replace(ALERT, word="recovered"))

    assert opened.json()["alias"] == "nightshift-01/backup/exit"
    assert closed.path.endswith("/nightshift-01%2Fbackup%2Fexit/close?identifierType=alias")
    assert "message" not in closed.json()


def test_the_key_is_sent_as_a_header():
    [call] = posted(ALERT)

    assert call.headers["Authorization"] == "GenieKey 0123-abcd"
    assert "0123-abcd" not in call.body


def test_priorities_follow_severities():
    calls = posted(*(replace(ALERT, severity=each) for each in Severity))

    assert [call.json()["priority"] for call in calls] == ["P5", "P4", "P3", "P1"]


def test_long_and_hostile_texts_stay_within_the_limits():
    [call] = posted(replace(ALERT, cause=HOSTILE * 2000))

    assert len(call.json()["message"]) <= 130
    assert len(call.json()["description"]) <= 15_000


def test_secrets_are_masked():
    reported = about(replace(ALERT, cause="login hunter2222"), output=("hunter2222",))

    assert "hunter" not in json.dumps(opsgenie.message(reported, make_mask(["hunter2222"])))


def test_a_test_alert_has_the_lowest_priority():
    with Webhook() as hook:
        send("opsgenie", hook.url, opsgenie.test_message("box"), api_key="0123-abcd")

        [body] = hook.bodies()

    assert (body["priority"], body["alias"]) == ("P5", "nightshift/box/test")
