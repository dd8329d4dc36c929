"""API answers, read by a command line of another version."""

from datetime import UTC, datetime

import msgspec
import pytest

from supervisor.core.config_diff import Changes
from supervisor.core.responses import (
    Actions,
    ErrorBody,
    Explained,
    Health,
    Incidents,
    JobDetail,
    Jobs,
    Opened,
    ReloadError,
    Runs,
)
from supervisor.core.views import RunView, Status

AT = '"2026-02-09T01:00:00Z"'
RUN = f'{{"id":1,"job":"a","state":"success","due":{AT}}}'
INCIDENT = (
    f'{{"id":1,"job":"a","kind":"exit","severity":"error","cause":"c","opened_at":{AT},'
    f'"last_at":{AT}}}'
)
# Only those fields of each answer that every version has sent.
MINIMAL = {
    RunView: RUN,
    Runs: f'{{"runs":[{RUN}]}}',
    Status: f'{{"version":"0","pid":1,"started_at":{AT},"timezone":"UTC",'
    f'"config":{{"path":"/j","loaded_at":{AT}}},"pool":{{"max":1,"running":0,"pending":0}}}}',
    Jobs: '{"jobs":[{"name":"a"}]}',
    JobDetail: '{"name":"a","status":{"name":"a"}}',
    Incidents: f'{{"incidents":[{INCIDENT}]}}',
    Opened: f'{{"run":{RUN}}}',
    Explained: '{"job":"a","facts":[]}',
    Actions: '{"actions":[]}',
    Health: '{"tick_age_seconds":1}',
    ErrorBody: '{"error":"e"}',
    ReloadError: '{"error":"e","problems":[{"line":1,"column":1,"path":"","message":"m"}]}',
    Changes: "{}",
}


@pytest.mark.parametrize("kind", MINIMAL, ids=lambda kind: kind.__name__)
def test_the_answer_of_an_older_supervisor_is_read(kind: type) -> None:
    assert isinstance(msgspec.json.decode(MINIMAL[kind], type=kind), kind)


@pytest.mark.parametrize("kind", MINIMAL, ids=lambda kind: kind.__name__)
def test_fields_of_a_newer_supervisor_are_ignored(kind: type) -> None:
    newer = MINIMAL[kind].replace("{", '{"added_later":[1,{"x":null}],').replace(",}", "}")

    assert msgspec.json.decode(newer, type=kind) == msgspec.json.decode(MINIMAL[kind], type=kind)


def test_states_and_reasons_of_a_newer_supervisor_are_read_as_they_are() -> None:
    newer = RUN.replace('"success"', '"parked"').replace(
        '"id":1', '"id":1,"trigger":"tide","reason":"storm"'
    )
    incidents = f'{{"incidents":[{INCIDENT.replace("error", "fatal")}]}}'

    run = msgspec.json.decode(newer, type=RunView)
    found = msgspec.json.decode(incidents, type=Incidents).incidents

    assert (run.state, run.trigger, run.reason) == ("parked", "tide", "storm")
    assert found[0].severity == "fatal"


@pytest.mark.parametrize(
    ("state", "ended", "is_final"),
    [
        ("pending", False, False),
        ("retrying", True, False),
        ("success", True, True),
        ("skipped", False, True),
        ("parked", False, False),
        ("parked", True, True),
    ],
)
def test_a_run_is_final_by_its_state_or_else_by_its_end(
    state: str, ended: bool, is_final: bool
) -> None:
    at = datetime(2026, 2, 9, tzinfo=UTC)
    run = RunView(id=1, job="a", due=at, state=state, ended_at=at if ended else None)

    assert run.is_final is is_final
