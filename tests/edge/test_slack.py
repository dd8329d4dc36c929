"""Slack messages of alerts as values: their content, and no effects of foreign text."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import requests

from supervisor.core import incidents, schedule
from supervisor.core.alert_model import Alert
from supervisor.core.config_model import Job, Severity
from supervisor.core.model import Run, State, Trigger, replace
from supervisor.notifications.alert_text import AlertContext
from supervisor.notifications.channel_kind import Target
from supervisor.notifications.channels import slack
from supervisor.notifications.child.http_call import call
from supervisor.redaction.mask import make_mask
from tests.webhook import Webhook

AT = datetime(2026, 2, 9, 2, 0, tzinfo=UTC)
ALERT = Alert(
    7, 3, "opened", Severity.ERROR, "backup", "exit", "exit status 2", 1, 41, AT,
)  # fmt: skip
RUN = Run(
    41, "backup", AT, Trigger.SCHEDULE, State.FAILED,
    attempt=3, started_at=AT, ended_at=AT + timedelta(seconds=95),
)  # fmt: skip


def about(alert=ALERT, **fields):
    given = {"zone": schedule.zone("Europe/Berlin"), "host": "box", "run": RUN, **fields}
    return AlertContext(alert, **given)


def message(alert=ALERT, mask=str, **fields):
    return slack.message(about(alert, **fields), mask)


def fields_of(body):
    """Return `Name` -> text of each field of a message."""
    found = [block["fields"] for block in body["blocks"] if "fields" in block]
    return dict(field["text"][1:].split("*\n", 1) for field in found[0])


def texts(value):
    """Return every text of a message, at any depth."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def test_a_failure_message_has_the_cause_and_the_next_command():
    success = AT - timedelta(days=1)

    body = message(last_success=success, output=("copying", "no space left"))

    assert body["text"] == "🔴 backup failed: exit status 2"
    assert body["blocks"][0]["text"]["text"] == "🔴 backup failed"
    assert fields_of(body) == {
        "Severity": "error",
        "Since": "2026-02-09 03:00:00 CET",
        "State": "failed",
        "Run": "41, attempt 3, due 2026-02-09 03:00:00 CET",
        "Duration": "1m35s",
        "Last success": "2026-02-08 03:00:00 CET",
    }
    assert "```copying\nno space left```" in body["blocks"][3]["text"]["text"]
    assert "`nightshift logs 41`" in body["blocks"][-1]["elements"][0]["text"]
    assert "`nightshift incidents ack 3 --for 1d`" in body["blocks"][-1]["elements"][0]["text"]


def test_a_recovery_tells_how_long_and_how_often():
    recovered = replace(ALERT, word="recovered", count=3, lasted_s=7200.0)

    body = message(recovered, output=("what failed",))

    assert body["text"] == "🟢 over after 2h: backup failed, 3 times"
    assert fields_of(body)["Failed"] == "3 times"
    assert fields_of(body)["Lasted"] == "2h"
    assert "what failed" not in json.dumps(body)


def test_a_reminder_tells_how_often():
    reminder = replace(ALERT, word="reminder", count=60, lasted_s=3600.0)

    assert message(reminder)["text"] == "🔴 still, 60 times: backup failed: exit status 2"


def test_what_stood_in_for_others_says_so():
    folded = replace(ALERT, folded=4)

    assert fields_of(message(folded))["Stands for"].startswith("4 earlier alerts")


@pytest.mark.parametrize(
    ("kind", "title", "typed"),
    [
        ("late", "backup is late", "nightshift explain backup"),
        ("missed", "backup missed a slot", "nightshift explain backup"),
        ("unkillable", "backup left processes that cannot be killed", "nightshift show backup"),
        ("reload", "jobs.yaml was refused", "nightshift check"),
        ("clock", "the clock went back", "nightshift resume --from-now"),
        ("ledger", "the ledger has a problem", "nightshift status"),
        ("timeout", "backup failed", "nightshift logs 41"),
    ],
)
def test_each_kind_has_its_words_and_what_to_type(kind, title, typed):
    body = message(replace(ALERT, kind=kind))

    assert body["text"] == f"🔴 {title}: exit status 2"
    assert f"`{typed}`" in json.dumps(body)


@pytest.mark.parametrize("kind", sorted(incidents.SEVERITY))
@pytest.mark.parametrize("word", ["opened", "reminder", "recovered"])
@pytest.mark.parametrize("job", ["backup", ""])
def test_every_alert_makes_a_message_that_slack_takes(kind, word, job):
    for severity in Severity:
        made = replace(ALERT, kind=kind, word=word, job=job, severity=severity, run=None)
        body = message(made, run=None)

        assert 1 <= len(body["blocks"]) <= 50
        assert all(texts(body))
        assert "{" not in body["text"]


def test_what_slack_takes_for_markup_is_escaped_once():
    body = message(replace(ALERT, cause="<!channel> a & b"), output=("if a <b> && c",))

    everything = "\n".join(texts(body)[1:])
    assert "&lt;!channel&gt; a &amp; b" in everything
    assert "if a &lt;b&gt; &amp;&amp; c" in everything
    assert "<!channel>" not in everything


@pytest.mark.parametrize(
    "cause",
    [
        "*bold* _slanted_ ~struck~ `code`",
        "a ``` b *bold*",
        "``",
        "`a `b` c`",
        "<https://a.invalid|here> <@U1> <!here>",
        "{job} {0} }{ %s %(job)s",
        "[red]x[/red] [/]",
    ],
)
def test_a_cause_is_shown_as_it_is_and_never_as_markup(cause):
    body = message(replace(ALERT, cause=cause))

    [block] = [block for block in body["blocks"] if "*Cause*" in json.dumps(block)]
    shown = block["text"]["text"].removeprefix("*Cause*\n```").removesuffix("```")
    assert block["text"]["text"].count("```") == 2
    assert html.unescape(shown).replace("`", "'") == cause.replace("`", "'")
    assert not re.search("^`|```|`$", shown)
    assert "<" not in shown


def test_output_cannot_leave_its_frame():
    body = message(output=("```", "*bold*"))

    [shown] = [text for text in texts(body) if "bold" in text]
    assert shown.count("```") == 2


def test_colours_and_control_characters_of_a_terminal_are_left_out():
    body = message(output=("\x1b[1;31mred\x1b[0m \x07\x00done",))

    assert "```red   done```" in "\n".join(texts(body))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10**6,
        "&" * 10**5,
        "<" * 5000,
        "`" * 10**5,
        "ü🔴" * 10**5,
        "\n" * 10**5,
        "\udcff" * 9999,
    ],
    ids=["long", "ampersands", "brackets", "backticks", "unicode", "newlines", "surrogates"],
)
def test_no_text_is_longer_than_slack_takes(text):
    job = Job("backup", 0, argv=("x",), description=text, docs=text)

    body = message(replace(ALERT, cause=text), job=job, output=tuple([text] * 50), host=text)

    limits = {"plain_text": 150, "mrkdwn": 3000}
    for block in body["blocks"]:
        for part in [block.get("text"), *block.get("fields", []), *block.get("elements", [])]:
            if part is not None:
                assert len(part["text"]) <= limits[part["type"]]
        assert all(len(part["text"]) <= 2000 for part in block.get("fields", []))
    json.dumps(body).encode()


@pytest.mark.parametrize("length", range(2870, 2910))
def test_a_cut_never_halves_an_escape(length):
    body = message(replace(ALERT, cause="x" * length + "&" * 50), output=("&" * length,))

    for text in texts(body):
        rest = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
        assert "&" not in rest
        assert "amp;" not in rest


def test_secrets_are_masked_before_anything_is_cut_or_escaped():
    secrets = ["a&b<c>d-secret", "x" * 200]
    cause = "y" * (slack.MOST_TEXT - 100) + "x" * 200
    job = Job("backup", 0, argv=("x",), description="key a&b<c>d-secret", docs="")

    body = message(
        replace(ALERT, cause=cause), mask=make_mask(secrets), job=job, output=("a&b<c>d-secret",)
    )

    everything = "\n".join(texts(body))
    assert "secret" not in everything
    assert "xx" not in everything


def test_a_secret_of_several_lines_is_masked_across_lines():
    body = message(mask=make_mask(["BEGIN\nabc\nEND"]), output=("BEGIN", "abc", "END"))

    assert "abc" not in "\n".join(texts(body))


def test_a_clock_put_back_makes_no_negative_duration():
    backwards = replace(RUN, ended_at=AT - timedelta(hours=1))

    assert fields_of(message(run=backwards))["Duration"] == "0s"


def test_the_test_alert_says_what_it_is():
    body = slack.test_message("box")

    assert body["text"] == "🔵 test alert of nightshift on box: alerts arrive here"


def test_a_clock_put_back_a_little_needs_no_action():
    clock = replace(ALERT, job="", kind="clock", run=None)

    small = str(message(replace(clock, severity=Severity.WARNING)))
    large = str(message(replace(clock, severity=Severity.CRITICAL)))

    assert "nightshift status" in small
    assert "--from-now" not in small
    assert "--from-now" in large


def test_a_channel_that_does_not_understand_blocks_gets_plain_text():
    with Webhook() as hook, requests.Session() as session:
        hook.answers(400, body=b"invalid_blocks")

        to = Target(hook.url, {})
        answer = slack.send(
            to, {"text": "a failed", "blocks": [{}]}, partial(call, session, "POST")
        )

    assert answer.ok
    assert hook.bodies() == [{"text": "a failed", "blocks": [{}]}, {"text": "a failed"}]
