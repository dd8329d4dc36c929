"""Verdicts of doctor on the places of copies, from the result of a probe."""

from datetime import UTC, datetime

import pytest

from supervisor.doctor.places import PlaceRights, judge_rights
from workers.backup.places.probe import Rights
from workers.backup.places.store import Protection

VERSIONS = Protection(is_versioned=True)
UNTIL = Protection(True, datetime(2026, 3, 1, 2, 3, tzinfo=UTC))


def said(rights, may_delete=True, is_locked=False):
    found = PlaceRights("backup", "s3://b/x", may_delete, is_locked, rights)
    return [(str(each.state), each.value) for each in judge_rights([found])]


@pytest.mark.parametrize(
    ("rights", "locked", "expected"),
    [
        (Rights(), False, "creates, overwrites nothing, deletes"),
        (Rights(protection=VERSIONS), False,
         "deletes, has versions: what is deleted remains as one"),
        (Rights(protection=UNTIL), True, "keeps an object of now until 2026-03-01 02:03 UTC"),
        (Rights(protection=Protection(is_on_hold=True)), False, "by a legal hold"),
        (Rights(), True, "tells these credentials of no lock, though `locked` is set"),
        (Rights(overwrites=True, protection=VERSIONS), False, "overwrites, and keeps versions"),
    ],
)  # fmt: skip
def test_how_a_place_keeps_what_is_deleted_is_reported(rights, locked, expected):
    ((word, text),) = said(rights, is_locked=locked)

    assert word == "ok"
    assert expected in text


def test_a_place_that_overwrites_without_versions_is_a_warning():
    assert [word for word, _ in said(Rights(overwrites=True))] == ["warning", "ok"]
