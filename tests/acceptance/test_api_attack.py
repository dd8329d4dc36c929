"""The API of a running supervisor, fuzzed from its own OpenAPI document.

No response is a 5xx or late, and each is as documented. Two operations are excluded and
tested elsewhere: `POST /v1/stop` would end the server, and `GET /v1/events` never ends.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from supervisor.api.bridge import LoopBridge
from supervisor.api.context import HandlerContext
from supervisor.api.limits import ClientLimits
from supervisor.api.openapi import openapi
from supervisor.api.routes import endpoints
from supervisor.core.views import Facts
from tests.acceptance import raw_client
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.socket_session import HOST, session
from tests.edge.fixtures_api import AT

EXAMPLES = 15
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
KNOWN = {"job": ["hello", "broken", "mine"], "run": [1, 2, 3], "incident": [1]}
JOBS = """
max_concurrent: 2
jobs:
  hello: {command: [/bin/echo, hi], cron: "0 4 29 2 *"}
  broken: {command: "echo oh no; exit 3"}
  mine: {worker: "mine:work", with: {size: 1}}
"""
WORKER = "def work(params, report):\n    return {'size': 1}\n"


def documented() -> schemathesis.BaseSchema:
    """Return the OpenAPI document, without a running supervisor: tests are collected with it."""
    bridge = LoopBridge(Facts("", 0, AT.wall, "", AT.wall))
    found = openapi(endpoints(HandlerContext(bridge, Path(tempfile.gettempdir()), ClientLimits())))
    # A random name would never be that of a job.
    for operation in (each for verbs in found["paths"].values() for each in verbs.values()):
        for parameter in operation["parameters"]:
            if parameter["name"] in KNOWN:
                known = {"enum": KNOWN[parameter["name"]]}
                parameter["schema"] = {"anyOf": [known, parameter["schema"]]}
    return schemathesis.openapi.from_dict(found)


schema = documented().exclude(path=["/v1/stop", "/v1/events", "/v1/reload"])
# A reload takes a second: jobs.yaml is read twice.
reload_only = documented().include(path="/v1/reload")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        Path(sandbox.root, "mine.py").write_text(WORKER)
        with supervised(sandbox):
            for job in ("hello", "broken", "mine"):
                sandbox.ask("run", job, "--wait")
            yield sandbox


@pytest.fixture(scope="module")
def attacker(sandbox: Sandbox) -> Iterator[requests.Session]:
    with session(sandbox.socket) as made:
        yield made


ATTACK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@reload_only.parametrize()
@settings(ATTACK, max_examples=2)
def test_every_answer_to_a_reload_is_as_documented(
    case: schemathesis.Case, attacker: requests.Session
) -> None:
    answer = case.call(base_url=HOST, session=attacker)

    case.validate_response(answer, checks=CHECKS)


@schema.parametrize()
@ATTACK
def test_every_answer_is_as_documented(
    case: schemathesis.Case, attacker: requests.Session
) -> None:
    answer = case.call(base_url=HOST, session=attacker)

    case.validate_response(answer, checks=CHECKS)


def test_the_supervisor_is_none_the_worse_for_it(sandbox: Sandbox) -> None:
    sandbox.says("resume")
    for job in ("hello", "mine"):
        sandbox.says("resume", job)

    assert raw_client.answer(sandbox, "/healthz")["healthy"]
    assert sandbox.json("run", "hello", "--wait")["state"] == "success"
