"""Secret masking: secrets in every encoding; names and plain words stay readable."""

import pytest

from supervisor.core import control_requests
from supervisor.core import events as ev
from supervisor.core.config_model import Config, Job
from supervisor.core.model import replace
from supervisor.redaction.mask import make_mask, mask_of
from supervisor.redaction.redact_events import redact_event
from supervisor.redaction.secrets import Secrets, is_secret_name, secrets_among
from tests.edge.fixtures_keepers import at
from tests.secret_forms import FORMS, SECRETS, leaks
from workers import protocol

TELLING = {
    "PASSWORD": True, "DB_PASSWORD": True, "PGPASSWORD": True, "dbPassword": True, "passwd": True,
    "API_KEY": True, "apiKey": True, "KEY1": True, "AWS_SECRET_ACCESS_KEY": True, "token": True,
    "GITHUBTOKEN": True, "POSTGRES_DSN": True, "WEBHOOK_URL": True, "webhookUrl": True,
    "MONKEY": False, "KEYBOARD": False, "CURL_CA_BUNDLE": False, "TOKENIZERS_PARALLELISM": False,
    "SSH_AUTH_SOCK": False, "PWD": False, "HOME": False,
}  # fmt: skip

STRINGS = {
    "postgres://u:p@ss-w0rd@host/db": "p@ss-w0rd",
    "postgres://u:p%40ss-w0rd@host/db": "p@ss-w0rd",
    "postgres://u:sl/ash:c0lon@host:5432/db": "sl/ash:c0lon",
    "host=h password='it\\'s s3cret' user=u": "it's s3cret",
    "host=h password=b@re;w0rd user=u": "b@re;w0rd",
    "jdbc:postgresql://h/db?user=u&password=w0rd-123&ssl=1": "w0rd-123",
    "Driver={PG};UID=u;PWD={a;b}}c-9};Server=h": "a;b}c-9",
    "Driver=PG;Uid=u;Pwd=plain-w0rd;": "plain-w0rd",
    'host=h password="quoted w0rd"': "quoted w0rd",
}

MESSAGES = {
    "log": lambda text: protocol.Log("info", text),
    "failed": lambda text: protocol.Failed(text, permanent=True),
    "garbage": lambda text: protocol.Garbage(text),
    "unit of progress": lambda text: protocol.Progress(1, 2, text),
    "name of a metric": lambda text: protocol.Metric(text, 7),
    "key of a result": lambda text: protocol.Done({text: 1}),
    "value of a result": lambda text: protocol.Done({"said": text}),
}
EVENTS = {
    **{
        name: (lambda text, make=make: ev.MessageReceived(at(), 1, 1, make(text)))
        for name, make in MESSAGES.items()
    },
    "launch": lambda text: ev.LaunchFailed(at(), 1, 1, f"no such file: {text}"),
    "strays": lambda text: ev.TreeEmpty(at(), 1, 1, strays=(f"7 curl -u root:{text}",)),
    "reason of a pause": lambda text: ev.Requested(
        at(), 1, None, control_requests.PauseJob("a", None, text)
    ),
    "reason of an ack": lambda text: ev.Requested(
        at(), 1, None, control_requests.AckIncident(1, 60, text)
    ),
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_a_secret_is_masked_in_each_form(form, secret):
    text = f"before {form(secret)} after"

    said = make_mask([secret])(text)

    assert not leaks(said, secret)
    assert "***" in said
    assert said.startswith("before ")


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
@pytest.mark.parametrize("event", EVENTS.values(), ids=list(EVENTS))
def test_no_event_brings_a_secret_in(event, form, secret):
    received = redact_event(event(form(secret)), make_mask([secret]))

    assert "***" in repr(received)
    assert not any(leaks(text, secret) for text in texts_of(received))


def texts_of(value):
    """Return every text of a value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in texts_of(each)]
    if isinstance(value, tuple | list):
        return [text for each in value for text in texts_of(each)]
    fields = getattr(value, "__struct_fields__", None) or getattr(value, "__slots__", ())
    return [text for name in fields for text in texts_of(getattr(value, name))]


def test_a_number_that_is_a_secret_is_masked_where_it_is_the_whole_value():
    result = {"code": 271828, "ratio": 0.5, "ok": True, "rows": 3}

    received = redact_event(
        ev.MessageReceived(at(), 1, 1, protocol.Done(result)), make_mask(["271828"])
    )

    assert received.message.result == {"code": "***", "ratio": 0.5, "ok": True, "rows": 3}


@pytest.mark.parametrize(("name", "telling"), TELLING.items(), ids=list(TELLING))
def test_a_name_tells_by_whole_words(name, telling):
    assert is_secret_name(name) is telling


@pytest.mark.parametrize(("text", "password"), STRINGS.items(), ids=list(STRINGS))
def test_a_password_in_a_connection_string_is_a_secret(text, password):
    assert password in secrets_among([("server", text)])
    assert password not in make_mask(())(text)


@pytest.mark.parametrize(
    "text",
    ["https://host:8080/a@b", "PWD=/srv/data", "http://host/data and user@example.org", "a=b@c"],
)
def test_what_holds_no_password_stays(text):
    assert make_mask(())(text) == text


def test_names_and_paths_of_the_configuration_are_never_masked():
    job = Job("backup-nightly", 0, worker="backup.run", exclusive="backup", cron=("@daily",))
    job = replace(job, params_json='{"database": "/data/backup.db"}', cwd="/data")
    mask = mask_of(Config((job,), secrets=("backup", "backup-nightly", "/data", "failed")))

    for text in (
        "run 7 of backup-nightly failed",
        "jobs.backup-nightly.timeout: expected a duration",
        "open /data/backup.db: no such file",
        "waits for its group backup",
        "worker backup.run",
    ):
        assert mask(text) == text


def test_a_short_or_plain_secret_is_masked_as_a_whole_word_only():
    mask = make_mask(["abc", "swordfish"])

    assert mask("abc, swordfish: refused") == "***, ***: refused"
    assert mask("abcdef swordfishes /abc/x my-abc abc.txt") == (
        "abcdef swordfishes /abc/x my-abc abc.txt"
    )


def test_a_long_secret_is_masked_inside_other_words():
    assert make_mask(["t0ken-123456"])("xt0ken-123456y") == "x***y"


def test_a_secret_that_holds_a_name_hides_nothing_of_itself():
    mask = mask_of(Config((Job("nightly", 0, shell="x"),), secrets=("nightly-t0ken-1",)))

    assert mask("nightly-t0ken-1 and nightly") == "*** and nightly"


@pytest.mark.parametrize(
    ("url", "masked_text", "kept_text"),
    [
        ("https://hooks.slack.com/services/T0/B0/Xy", "POST /services/T0/B0/Xy", "/services"),
        ("http://host/data", "GET http://host/data", "mkdir /data"),
        ("http://host:80/api/v1?x=y-123456", "GET http://host:80/api/v1", "see /api/v1"),
    ],
)
def test_path_and_query_of_a_webhook_are_masked_but_no_common_path(url, masked_text, kept_text):
    secrets = Secrets()
    secrets.add_webhook(url)
    mask = make_mask(secrets.as_tuple())

    assert "***" in mask(masked_text)
    assert mask(kept_text) == kept_text
