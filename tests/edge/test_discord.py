"""Discord messages: within its limits, and without mentions."""

import json

import pytest

from supervisor.core.model import replace
from supervisor.notifications.channels import discord
from supervisor.redaction.mask import make_mask
from tests.edge.fixtures_alerts import ALERT, HOSTILE, about, send
from tests.webhook import Webhook


def embed(alert=ALERT, **fields):
    [found] = discord.message(about(alert, **fields), str)["embeds"]
    return found


def test_a_message_tells_what_failed_and_what_it_printed():
    found = embed(output=("copying", "no space left"))

    assert found["title"] == "🔴 backup failed"
    assert "Cause: exit status 2" in found["description"]
    assert found["description"].endswith("copying\nno space left\n```")


@pytest.mark.parametrize(
    ("word", "colour"), [("opened", discord.RED), ("recovered", discord.GREEN)]
)
def test_a_recovery_has_another_colour(word, colour):
    assert embed(replace(ALERT, word=word))["color"] == colour


def test_hostile_texts_stay_in_their_code_block_and_mention_nobody():
    hostile = replace(ALERT, cause=HOSTILE, job="a_b")

    body = discord.message(about(hostile, output=(HOSTILE,)), str)

    [found] = body["embeds"]
    assert body["allowed_mentions"] == {"parse": []}
    assert found["description"].count("```") == 2
    assert found["title"] == "🔴 a\\_b failed"


def test_long_texts_stay_within_the_limits():
    long = replace(ALERT, cause=HOSTILE * 1000, job="*" * 500)

    found = embed(long, output=(HOSTILE * 1000,))

    assert len(found["title"]) <= 256
    assert len(found["description"]) <= 4096


def test_secrets_are_masked():
    reported = about(replace(ALERT, cause="login hunter2222"), output=("hunter2222",))

    assert "hunter" not in json.dumps(discord.message(reported, make_mask(["hunter2222"])))


@pytest.mark.parametrize("status", [200, 204])
def test_a_message_arrives(status):
    with Webhook() as hook:
        hook.answers(status).answers(status)

        answers = [
            send("discord", hook.url, message)
            for message in (discord.message(about(), str), discord.test_message("box"))
        ]

    assert [answer.ok for answer in answers] == [True, True]
    assert "test alert" in hook.calls[1].body


def test_its_retry_after_is_read():
    with Webhook() as hook:
        hook.answers(429, {"Retry-After": "3"})

        answer = send("discord", hook.url, discord.test_message("box"))

    assert (answer.ok, answer.retry_after_s, answer.refused) == (False, 3, False)
