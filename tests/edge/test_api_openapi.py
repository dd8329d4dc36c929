"""The OpenAPI document and the routes come from one table."""

import json
from pathlib import Path

from starlette.routing import Route

from supervisor.api.context import HandlerContext
from supervisor.api.limits import ClientLimits
from supervisor.api.openapi import openapi, routes_table
from supervisor.api.routes import PUBLIC, application, endpoints, public_application
from tests.edge.fixtures_api import made_bridge

HANDBOOK = Path(__file__).parents[2] / "docs" / "api.md"
# The routes that section 7 of the contract lists.
CONTRACT = """
GET /v1/status
GET /v1/jobs
GET /v1/jobs/{job}
GET /v1/jobs/{job}/next n
GET /v1/jobs/{job}/explain at
GET /v1/actions
GET /v1/runs job state since until before limit
GET /v1/next days n limit
GET /v1/days days
GET /v1/backups
GET /v1/config
GET /v1/runs/{run}
GET /v1/runs/{run}/explain
GET /v1/runs/{run}/log follow grep Range
GET /v1/incidents
GET /v1/events
GET /metrics
GET /healthz
GET /readyz
GET /openapi.json
POST /v1/jobs/{job}/run with_deps set dry_run
POST /v1/run-all only
POST /v1/jobs/{job}/cancel
POST /v1/runs/{run}/cancel
POST /v1/jobs/{job}/pause for_seconds reason
POST /v1/jobs/{job}/resume from_now
POST /v1/pause for_seconds reason
POST /v1/resume from_now
POST /v1/reload previous
POST /v1/notify-test
POST /v1/stop drain_seconds
POST /v1/incidents/{incident}/ack for_seconds reason
POST /v1/restore file target
POST /v1/verify file
"""


def ground(tmp_path):
    return HandlerContext(made_bridge(), tmp_path, ClientLimits())


def routed(app):
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def test_the_document_and_the_router_name_the_same(tmp_path):
    found = openapi(endpoints(ground(tmp_path)))

    documented = {(verb.upper(), path) for path, verbs in found["paths"].items() for verb in verbs}
    assert documented == routed(application(ground(tmp_path)))


def test_every_route_of_the_contract_is_there_with_what_it_takes(tmp_path):
    found = openapi(endpoints(ground(tmp_path)))

    for line in CONTRACT.strip().splitlines():
        verb, path, *names = line.split()
        reported = found["paths"][path][verb.lower()]
        taken = {each["name"] for each in reported["parameters"]}
        if "requestBody" in reported:
            name = reported["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            schema = found["components"]["schemas"][name.rpartition("/")[2]]
            assert schema["additionalProperties"] is False
            taken |= set(schema["properties"])
        assert set(names) <= taken, line


def test_every_name_in_a_path_is_declared(tmp_path):
    for declared in endpoints(ground(tmp_path)):
        in_path = {part[1:-1] for part in declared.path.split("/") if part.startswith("{")}

        assert in_path == {each.name for each in declared.parameters if each.place == "path"}


def test_operations_have_names_of_their_own(tmp_path):
    names = [declared.name for declared in endpoints(ground(tmp_path))]

    assert len(set(names)) == len(names)


def test_every_reference_of_the_document_leads_somewhere(tmp_path):
    found = openapi(endpoints(ground(tmp_path)))
    text = json.dumps(found)

    wanted = {piece.split('"')[0] for piece in text.split("#/components/schemas/")[1:]}
    assert wanted == set(found["components"]["schemas"])


def test_outsiders_may_read_two_routes_and_post_none(tmp_path):
    assert routed(public_application(ground(tmp_path))) == {("GET", path) for path in PUBLIC}


def test_the_handbook_lists_the_same_routes(tmp_path):
    listed = routes_table(endpoints(ground(tmp_path)))

    assert listed in HANDBOOK.read_text(), f"write this to {HANDBOOK.name}:\n\n{listed}"


def test_an_answer_holds_every_field_and_a_request_only_what_it_must(tmp_path):
    schemas = openapi(endpoints(ground(tmp_path)))["components"]["schemas"]

    assert set(schemas["RunView"]["required"]) == set(schemas["RunView"]["properties"])
    assert "default" not in str(schemas["Status"])
    assert "dry_run" not in schemas["RunBody"].get("required", [])
    assert schemas["RunView"]["properties"]["state"]["enum"][0] == "pending"
