"""The channels of `notify` in jobs.yaml: valid keys, and each mistake."""

import json
import re
from pathlib import Path

import pytest

from supervisor import config
from supervisor.config.channel_keys import CHANNEL_KINDS
from supervisor.config.json_schema import schema
from supervisor.core.config_model import Channel, Notify, QuietHours, Severity

KEY = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
JOBS = "jobs: {a: {command: x}, b: {command: x, exclusive: nas}}"


def parsed(channels: str):
    text = f"timezone: Europe/Berlin\nnotify: {channels}\n{JOBS}"
    return config.parse(text.encode(), Path("/srv/jobs.yaml"), {"TZ": "UTC", "EMPTY": ""})


def read(channels: str) -> Notify:
    found = parsed(channels)
    assert found.problems == ()
    assert found.config is not None
    return found.config.notify


def only(keys: str) -> Channel:
    [channel] = read(f"{{channels: {{ops: {{{keys}}}}}}}").channels
    return channel


def mistakes(channels: str) -> list[str]:
    return [config.format_problem(each, "jobs.yaml") for each in parsed(channels).problems]


def test_channels_have_names_and_kinds():
    found = read(
        "{channels: {ops: {slack: 'https://h.example/T/B'}, hook: {webhook: 'https://h.example/x'},"
        " phone: {apprise: 'ntfys://ntfy.example/topic', min_severity: critical}}}"
    )

    assert [(each.name, each.kind, each.min_severity) for each in found.channels] == [
        ("ops", "slack", Severity.ERROR),
        ("hook", "webhook", Severity.ERROR),
        ("phone", "apprise", Severity.CRITICAL),
    ]


def test_slack_may_stand_alone_and_beside_channels():
    alone = read("{slack: 'https://h.example/T/B', min_severity: warning}")
    beside = read(
        "{slack: 'https://h.example/T/B', channels: {d: {discord: 'https://d.example/'}}}"
    )

    url = "https://h.example/T/B"
    assert alone.channels == (Channel("slack", "slack", url, min_severity=Severity.WARNING),)
    assert [each.name for each in beside.channels] == ["slack", "d"]


def test_the_severity_of_notify_holds_for_channels_that_name_none():
    found = read(
        "{min_severity: warning, channels: {a: {slack: 'https://h.example/1/2'},"
        " b: {slack: 'https://h.example/3/4', min_severity: info}}}"
    )

    assert [each.min_severity for each in found.channels] == [Severity.WARNING, Severity.INFO]


def test_filters_and_quiet_hours():
    found = only(
        "slack: 'https://h.example/T/B', jobs: [a], groups: nas, quiet: '22:00-07:30',"
        " timezone: Asia/Tokyo"
    )

    assert (found.jobs, found.groups) == (("a",), ("nas",))
    assert found.quiet == QuietHours(22 * 60, 7 * 60 + 30, "Asia/Tokyo")


@pytest.mark.parametrize(
    ("hours", "minutes"),
    [("22:00-24:00", (1320, 0)), ("00:00-06:00", (0, 360)), ("09:05-09:06", (545, 546))],
)
def test_quiet_hours_are_those_of_the_file_if_the_channel_has_no_zone(hours, minutes):
    found = only(f"slack: 'https://h.example/T/B', quiet: '{hours}'")

    assert found.quiet == QuietHours(*minutes, "Europe/Berlin")


def test_the_other_keys_of_a_kind_are_its_settings():
    found = only(
        "smtp: 'smtps://user@mail.example:465', from: cron@example.org, password: hunter2222,"
        " to: [a@example.org, b@example.org, a@example.org]"
    )

    assert found.url == "smtps://user@mail.example:465"
    assert json.loads(found.settings_json) == {
        "to": ["a@example.org", "b@example.org"],
        "from": "cron@example.org",
        "password": "hunter2222",
    }


def test_a_channel_without_an_address_is_none():
    assert read(
        "{slack: '${EMPTY}', channels: {ops: {slack: '${EMPTY}'}, b: {apprise: none}}}"
    ) == (Notify())


@pytest.mark.parametrize(
    ("keys", "secrets"),
    [
        ("slack: 'https://h.example/s/T/B'", ["/s/T/B"]),
        (f"webhook: 'https://h.example/s/T/B', secret: {KEY}", [KEY, KEY[6:], "/s/T/B"]),
        ("smtp: 'smtp://u:hunter2222@h', to: a@b.c, from: a@b.c", ["hunter2222"]),
        ("smtp: 'smtp://u@h', password: hunter2222, to: a@b.c, from: a@b.c", ["hunter2222"]),
        (
            "apprise: 'tgram://123456789:AABBccdd_ee/ChatID-77'",
            ["123456789:AABBccdd_ee/ChatID-77", "123456789", "AABBccdd_ee"],
        ),
        ("pagerduty: 'https://e.example/v2/enqueue', routing_key: R0UT1NG", ["R0UT1NG"]),
        ("opsgenie: 'https://o.example/v2/alerts', api_key: '0123-abcd'", ["0123-abcd"]),
    ],
)
def test_what_a_channel_keeps_to_itself_is_masked(keys, secrets):
    found = parsed(f"{{channels: {{ops: {{{keys}}}}}}}")

    assert found.problems == ()
    assert set(secrets) <= set(found.secrets)


SLACK = "slack: 'https://h.example/T/B'"


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ("{channels: [x]}", "channels: expected a mapping of names to channels, got a list"),
        (
            "{channels: {ops: x}}",
            "channels.ops: expected a mapping of keys of a channel, got a text",
        ),
        ("{channels: {ops: {}}}", "channels.ops: expected one of slack, webhook, smtp"),
        ("{channels: {ops: {min_severity: info}}}", "channels.ops: expected one of slack"),
        ("{channels: {Ops: {" + SLACK + "}}}", "expected a name of at most 63"),
        (
            "{channels: {ops: {" + SLACK + ", discord: 'https://d.example'}}}",
            "ops.discord: expected one kind of channel, got also slack",
        ),
        (
            "{channels: {ops: {" + SLACK + ", to: a@b.c}}}",
            "ops.to: is no key of a channel with slack",
        ),
        ("{channels: {ops: {" + SLACK + ", jobs: [c]}}}", 'ops.jobs: unknown job "c"'),
        (
            "{channels: {ops: {" + SLACK + ", groups: [nsa]}}}",
            'unknown group "nsa" (did you mean "nas"?)',
        ),
        (
            "{channels: {ops: {" + SLACK + ", quiet: '7-9'}}}",
            'quiet: expected hours of the day such as "22:00-07:00", got "7-9"',
        ),
        ("{channels: {ops: {" + SLACK + ", quiet: '07:00-07:00'}}}", 'got "07:00-07:00"'),
        ("{channels: {ops: {" + SLACK + ", quiet: '00:00-24:00'}}}", 'got "00:00-24:00"'),
        ("{channels: {ops: {" + SLACK + ", quiet: '23:00-24:30'}}}", 'got "23:00-24:30"'),
        (
            "{" + SLACK + ", channels: {slack: {" + SLACK + "}}}",
            "channels.slack: expected another name: notify.slack is a channel",
        ),
        ("{channels: {ops: {smtp: 'smtp://h', from: a@b.c}}}", "ops.to: is missing"),
        (
            "{channels: {ops: {smtp: 'smtp://h', from: a@b.c, to: [a, b@c.d]}}}",
            'ops.to: expected a mail address such as "ops@example.org", got "a"',
        ),
        ("{channels: {ops: {apprise: ntfy.sh}}}", "expected a URL such as"),
        ("{channels: {ops: {pagerduty: 'https://e.example/x'}}}", "ops.routing_key: is missing"),
    ],
)
def test_each_mistake_is_reported_by_its_key(channels, said):
    [found] = mistakes(channels)

    assert found.startswith("jobs.yaml:2:")
    assert said in found


@pytest.mark.parametrize(
    "keys",
    [
        "smtp: 'http://user:hunter2222@h', to: a@b.c, from: a@b.c",
        "smtp: 'smtp://user:hunter2222@h/path', to: a@b.c, from: a@b.c",
        "apprise: hunter2222",
        "webhook: 'https://h.example/x', secret: hunter2222",
        "webhook: 'https://h.example/x', secret: 'whsec_hunter2222'",
        None,
    ],
)
def test_a_mistake_does_not_tell_a_secret(keys):
    channel = "https://h.example/hunter2222" if keys is None else f"{{{keys}}}"

    [found] = mistakes(f"{{channels: {{ops: {channel}}}}}")

    assert "expected" in found
    assert "hunter" not in found


def test_channels_are_bounded():
    many = ", ".join(f"c{n}: {{{SLACK}}}" for n in range(21))

    [found] = mistakes(f"{{channels: {{{many}}}}}")

    assert "expected at most 20 channels, got 21" in found


def test_the_schema_has_the_keys_of_every_kind():
    channels = schema()["properties"]["notify"]["properties"]["channels"]

    one = channels["additionalProperties"]
    assert {*CHANNEL_KINDS, "min_severity", "jobs", "quiet", "secret", "to"} <= set(
        one["properties"]
    )
    assert one["additionalProperties"] is False


def test_the_example_of_the_handbook_is_read():
    page = Path(__file__).parents[2] / "docs" / "alerts.md"
    [example] = [
        block for block in page.read_text().split("```yaml\n")[1:] if "  channels:\n" in block
    ]
    text = re.sub(r"\$\{file:[^}]*url\}", "https://h.example/T/B", example.partition("```")[0])
    text = re.sub(r"\$\{file:[^}]*\}", KEY, text).replace("${DISCORD_URL}", "https://d.example/x")
    jobs = "jobs: {backup-database: {command: x}, b: {command: x, exclusive: nas}}"

    found = config.parse(f"{text}{jobs}".encode(), page, {"TZ": "UTC", "NTFY_TOPIC": "t0pic"})

    assert found.problems == ()
    assert found.config is not None
    assert [each.name for each in found.config.notify.channels] == [
        "ops", "nas", "phone", "hook", "post",
    ]  # fmt: skip
    assert found.config.notify.summary == ("0 8 * * *",)
