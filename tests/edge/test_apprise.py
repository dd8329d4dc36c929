"""Services that apprise supports, tested with its JSON service and a real server."""

import json
import sys

import pytest

from supervisor.core.model import replace
from supervisor.notifications.channels import apprise
from supervisor.redaction.mask import make_mask
from tests.edge.fixtures_alerts import ALERT, HOSTILE, about, send
from tests.webhook import Webhook, nobody


@pytest.fixture
def hook():
    with Webhook() as server:
        yield server


def json_url(url: str) -> str:
    return url.replace("http://", "json://")


def test_a_message_arrives_through_the_library(hook):
    message = apprise.message(about(output=("no space left",)), str)

    answer = send("apprise", json_url(hook.url), message)

    [body] = hook.bodies()
    assert answer.ok
    assert (body["title"], body["type"]) == ("🔴 backup failed", "failure")
    assert "no space left" in body["message"]


@pytest.mark.parametrize(
    ("word", "severity", "kind"),
    [
        ("opened", "critical", "failure"),
        ("reminder", "warning", "warning"),
        ("recovered", "error", "success"),
    ],
)
def test_the_type_says_whether_it_is_over(word, severity, kind):
    alert = replace(ALERT, word=word, severity=severity)

    assert apprise.message(about(alert), str)["notify_type"] == kind


def test_what_is_not_accepted_says_why(hook):
    hook.answers(500)

    answer = send("apprise", json_url(hook.url), apprise.test_message("box"))

    assert (answer.ok, answer.refused) == (False, False)
    assert "500" in answer.cause
    assert "\n" not in answer.cause


@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_a_redirect_is_not_followed_and_no_arrival(hook, status):
    with Webhook() as other:
        hook.answers(status, {"Location": other.url.replace("127.0.0.1", "localhost")})

        answer = send("apprise", f"{json_url(hook.url)}?+X-Key=k", apprise.test_message("box"))

        assert not answer.ok
        assert str(status) in answer.cause
        assert other.calls == []


def test_nobody_there_is_a_failure():
    answer = send("apprise", json_url(nobody()), apprise.test_message("box"))

    assert not answer.ok
    assert answer.cause.startswith("apprise: ")


def test_a_url_that_apprise_does_not_know_is_refused():
    answer = send("apprise", "nosuchservice://token/x", apprise.test_message("box"))

    assert (answer.refused, answer.cause) == (True, "apprise does not know its URL")


def test_without_the_library_the_cause_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)

    answer = send("apprise", "json://h/", apprise.test_message("box"))

    assert answer.refused
    assert "the extra notify" in answer.cause


def test_the_library_writes_nothing_to_the_output_of_the_process(hook, capfd):
    hook.answers(500)

    send("apprise", json_url(hook.url), apprise.test_message("box"))

    assert capfd.readouterr() == ("", "")


def test_hostile_texts_are_sent(hook):
    message = apprise.message(about(replace(ALERT, cause=HOSTILE)), str)

    assert send("apprise", json_url(hook.url), message).ok
    assert "@everyone" in hook.bodies()[0]["message"]


def test_secrets_are_masked():
    reported = about(replace(ALERT, cause="login hunter2222"), output=("hunter2222",))

    assert "hunter" not in json.dumps(apprise.message(reported, make_mask(["hunter2222"])))
