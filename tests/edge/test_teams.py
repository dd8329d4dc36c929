"""Microsoft Teams cards: an adaptive card within the size that a workflow accepts."""

import json

from supervisor.core.model import replace
from supervisor.notifications.channels import teams
from supervisor.redaction.mask import make_mask
from tests.edge.fixtures_alerts import ALERT, HOSTILE, about, send
from tests.webhook import Webhook


def runs(body):
    """Return every text run of a card."""
    [attachment] = body["attachments"]
    return [run for block in attachment["content"]["body"] for run in block["inlines"]]


def test_a_card_tells_what_failed_and_what_it_printed():
    found = runs(teams.message(about(output=("copying", "no space left")), str))

    texts = [run["text"] for run in found]
    assert texts[:2] == ["🔴 backup failed: exit status 2", "Cause: exit status 2"]
    assert texts[-2:] == ["copying", "no space left"]
    assert {run["type"] for run in found} == {"TextRun"}


def test_a_card_is_of_the_type_that_workflows_take():
    body = teams.message(about(), str)

    [attachment] = body["attachments"]
    assert body["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (attachment["content"]["type"], attachment["content"]["version"]) == (
        "AdaptiveCard", "1.4",
    )  # fmt: skip


def test_long_and_hostile_texts_stay_within_the_size_of_a_message():
    long = replace(ALERT, cause="🔴" * 50_000)

    with Webhook() as hook:
        answer = send("teams", hook.url, teams.message(about(long, output=(HOSTILE,) * 500), str))

    assert answer.ok
    assert len(hook.calls[0].body.encode()) <= 28 * 1024


def test_many_short_lines_stay_within_the_size_of_a_message():
    long = replace(ALERT, cause="\n".join("x" * 5000))

    with Webhook() as hook:
        assert send("teams", hook.url, teams.message(about(long), str)).ok

    assert len(hook.calls[0].body.encode()) <= 28 * 1024


def test_secrets_are_masked():
    reported = about(replace(ALERT, cause="login hunter2222"), output=("hunter2222",))

    assert "hunter" not in json.dumps(teams.message(reported, make_mask(["hunter2222"])))


def test_a_test_alert_arrives():
    with Webhook() as hook:
        hook.answers(202)

        assert send("teams", hook.url, teams.test_message("box")).ok

    assert "test alert" in runs(hook.bodies()[0])[0]["text"]
