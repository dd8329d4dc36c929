"""Secrets in a request: masked in messages and rows, never in the launch."""

from datetime import UTC, datetime

import pytest

from supervisor.core import effects
from supervisor.core.config_model import Config
from supervisor.core.control_requests import RunJobs
from supervisor.core.model import Run, State, Trigger
from supervisor.redaction.request_secrets import REMEMBERED, RequestSecrets, redacted_record

NOON = datetime(2026, 2, 9, 12, tzinfo=UTC)


def asked(set_json):
    return RunJobs(("a",), set_json=set_json)


def a_run(set_json):
    return Run(1, "a", NOON, Trigger.MANUAL, State.PENDING, set_json=set_json)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('{"token":"swordfish"}', '{"token":"***"}'),
        ('{"api_key":12345,"size":7}', '{"api_key":"***","size":7}'),
        ('{"secrets":["swordfish"]}', '{"secrets":"***"}'),
        ('{"postgres":"host=h password=swordfish"}', '{"postgres":"host=h password=***"}'),
        ('{"from":"https://u:swordfish@h/x"}', '{"from":"https://u:***@h/x"}'),
        ('{"to":[{"token":"swordfish"},1]}', '{"to":[{"token":"***"},1]}'),
        ('{"size":7,"word":"plain"}', '{"size":7,"word":"plain"}'),
        ("{}", "{}"),
    ],
    ids=["name", "number", "list", "libpq", "url", "within", "nothing secret", "nothing"],
)
def test_a_row_keeps_what_is_no_secret(given, kept):
    found = redacted_record(effects.Record(a_run(given), soon=True))

    assert found == effects.Record(a_run(kept), soon=True)


def test_what_is_launched_is_what_was_given():
    launch = effects.Launch(a_run('{"token":"swordfish"}'), None)

    assert redacted_record(launch) is launch


def test_words_are_masked_besides_what_the_file_says():
    given = RequestSecrets()

    assert given.remember(asked('{"token":"swordfish"}'))
    assert not given.remember(asked('{"token":"swordfish"}'))
    assert given.mask(Config((), secrets=("herring",)))("swordfish, herring") == "***, ***"


def test_words_hide_what_lies_within_a_value():
    given = RequestSecrets()
    given.remember(asked('{"to":[{"token":"swordfish"}],"keys":{"a":["herring"]}}'))

    assert given.mask(Config(()))("swordfish, herring, mackerel") == "***, ***, mackerel"


def test_only_the_newest_are_remembered():
    given = RequestSecrets()
    for number in range(REMEMBERED + 1):
        given.remember(asked(f'{{"token":"number-{number:04}"}}'))

    mask = given.mask(Config(()))

    assert mask("number-0000 number-0001 number-0100") == "number-0000 *** ***"
