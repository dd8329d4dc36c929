"""Launch orders in the form that a keeper reads."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from supervisor.containment import launch_spec
from supervisor.core.config_model import Limits
from tests.edge.fixtures_keepers import launch

INSTANCE = {"TMPDIR": "/state/tmp", "NIGHTSHIFT_INSTANCE": "abc"}


def order(**job):
    return json.loads(launch_spec.launch_order(launch(1, **job), INSTANCE))


def test_a_command_is_passed_as_its_words():
    assert order(argv=("/bin/echo", "a b"))["argv"] == ["/bin/echo", "a b"]


def test_a_shell_line_is_a_command_of_the_shell():
    assert order(shell="a | b")["argv"] == ["/bin/sh", "-c", "a | b"]


def test_limits_are_passed_only_where_they_are_set():
    assert order(shell="x")["limits"] == []
    assert len(order(shell="x", limits=Limits(open_files=64, processes=5))["limits"]) == 2


def test_the_slot_is_passed_in_utc_else_the_due_instant():
    east = timezone(timedelta(hours=2))
    slot = datetime(2026, 2, 9, 2, 0, 0, 999, tzinfo=east)

    reported = json.loads(
        launch_spec.launch_order(launch(1, run={"slot": slot}, shell="x"), INSTANCE)
    )

    assert reported["env"]["NIGHTSHIFT_SLOT"] == "2026-02-09T00:00:00Z"
    assert order(shell="x")["env"]["NIGHTSHIFT_SLOT"] == "2026-02-09T02:30:00Z"


def test_a_job_may_choose_its_own_folder_for_temporary_files_but_no_instance():
    environment = order(
        shell="x", env=(("TMPDIR", "/mine"), ("NIGHTSHIFT_INSTANCE", "forged")), inherit_env=False
    )["env"]

    assert environment["TMPDIR"] == "/mine"
    assert environment["NIGHTSHIFT_INSTANCE"] == "abc"
    assert environment["PATH"] == launch_spec.PLAIN_PATH


def test_a_text_that_cannot_be_passed_is_refused():
    with pytest.raises(ValueError, match="cannot be handed to a process"):
        order(shell="\udc80")


def test_an_instant_is_asked_to_the_second():
    assert launch_spec.instant(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)) == (
        "2026-01-02T03:04:05Z"
    )
