"""Webhooks as in the Standard Webhooks specification, verified by its authors' library."""

import json

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from supervisor.core.model import replace
from supervisor.notifications.channels import webhook
from supervisor.redaction.mask import make_mask
from tests.edge.fixtures_alerts import ALERT, AT, HOSTILE, about, send
from tests.webhook import Webhook

KEY = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def hook():
    with Webhook() as server:
        yield server


def headers_of(call):
    return {name.lower(): text for name, text in call.headers.items()}


def test_a_receiver_can_verify_what_it_gets(hook):
    answer = send("webhook", hook.url, webhook.message(about(), str), secret=KEY)

    [call] = hook.calls
    verified = Verifier(KEY).verify(call.body, headers_of(call))
    assert answer.ok
    assert verified["type"] == "alert.opened"
    assert verified["timestamp"] == AT.isoformat()
    data = verified["data"]
    assert (data["id"], data["job"], data["cause"]) == (7, "backup", "exit status 2")
    assert (data["state"], data["attempt"], data["severity"]) == ("failed", 3, "error")
    assert data["next"][0] == "nightshift logs 41"


@pytest.mark.parametrize(
    "change",
    [
        lambda body, headers: (body.replace("backup", "restore"), headers),
        lambda body, headers: (body, {**headers, "webhook-id": "alert-8"}),
        lambda body, headers: (body, {**headers, "webhook-timestamp": "1"}),
    ],
    ids=["body", "id", "time"],
)
def test_a_receiver_notices_any_change(hook, change):
    send("webhook", hook.url, webhook.message(about(), str), secret=KEY)
    [call] = hook.calls

    with pytest.raises(WebhookVerificationError):
        Verifier(KEY).verify(*change(call.body, headers_of(call)))


def test_another_secret_signs_otherwise(hook):
    send("webhook", hook.url, webhook.message(about(), str), secret=OTHER)
    [call] = hook.calls

    with pytest.raises(WebhookVerificationError):
        Verifier(KEY).verify(call.body, headers_of(call))


def test_a_secret_without_its_prefix_is_the_same(hook):
    send("webhook", hook.url, webhook.message(about(), str), secret=KEY.removeprefix("whsec_"))
    [call] = hook.calls

    assert Verifier(KEY).verify(call.body, headers_of(call))["type"] == "alert.opened"


def test_a_retry_has_the_id_of_the_first_attempt_and_another_alert_has_its_own(hook):
    first = webhook.message(about(), str)
    for message in (first, first, webhook.message(about(replace(ALERT, id=8)), str)):
        send("webhook", hook.url, message)

    ids = [headers_of(call)["webhook-id"] for call in hook.calls]
    assert ids == ["nightshift-01-7-20260209T020000Z"] * 2 + ["nightshift-01-8-20260209T020000Z"]


def test_all_alerts_of_a_problem_share_a_key():
    over = replace(ALERT, id=9, incident=4, word="recovered")

    keys = {webhook.message(about(each), str)["payload"]["data"]["key"] for each in (ALERT, over)}

    assert keys == {"nightshift-01/backup/exit"}


def test_without_a_secret_nothing_is_signed(hook):
    send("webhook", hook.url, webhook.message(about(), str))

    names = headers_of(hook.calls[0])
    assert "webhook-signature" not in names
    assert {"webhook-id", "webhook-timestamp"} <= names.keys()


def test_a_test_alert_is_signed_too(hook):
    send("webhook", hook.url, webhook.test_message("box"), secret=KEY)
    [call] = hook.calls

    assert Verifier(KEY).verify(call.body, headers_of(call))["type"] == "alert.test"


def test_a_receiver_that_is_gone_refuses(hook):
    hook.answers(410)

    answer = send("webhook", hook.url, webhook.message(about(), str), secret=KEY)

    assert (answer.ok, answer.refused) == (False, True)


def test_any_text_of_a_job_is_json_that_can_be_verified(hook):
    hostile = replace(ALERT, cause=HOSTILE)

    send("webhook", hook.url, webhook.message(about(hostile, output=(HOSTILE,)), str), secret=KEY)

    [call] = hook.calls
    data = Verifier(KEY).verify(call.body, headers_of(call))["data"]
    assert "\x1b" not in data["cause"]
    assert "@everyone" in data["output"]


def test_secrets_are_masked():
    reported = about(replace(ALERT, cause="login hunter2222"), output=("hunter2222",))

    text = json.dumps(webhook.message(reported, make_mask(["hunter2222"])))

    assert "hunter" not in text
    assert text.count("***") == 2
