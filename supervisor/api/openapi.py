"""OpenAPI 3.1 document, generated from the endpoints and the types of their bodies."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from supervisor import __version__
from supervisor.api.endpoint import JSON, Endpoint
from supervisor.api.errors import as_json
from supervisor.api.parameters import USER, Parameter
from supervisor.core.calendar_views import DayCount
from supervisor.core.responses import ReloadError


def routes_table(declared: Iterable[Endpoint]) -> str:
    """Return the routes as a Markdown table."""
    lines = ["| | what it does | answers |", "| --- | --- | --- |"]
    for each in declared:
        carries = "text" if each.media != JSON else "this document"
        carries = carries if each.response is None else each.response.__name__
        errors = ", ".join(map(str, each.statuses)) or "none"
        lines.append(
            f"| `{each.method} {each.path}`{_takes(each)} | {each.summary} "
            f"| {each.status} {carries}; errors: {errors} |"
        )
    return "\n".join(lines)


def _takes(declared: Endpoint) -> str:
    """Return the parameters of a route as ` ?query=` and ` {keys of the body}`.

    The name of the person, which every POST takes, is left out.
    """
    given = [each for each in declared.parameters if each.place != "path" and each is not USER]
    queries = "&".join(f"{each.name}=" for each in given if each.place == "query")
    headers = ", ".join(each.name for each in given if each.place == "header")
    text = f" `?{queries}`" if queries else ""
    text += f" `{headers}:`" if headers else ""
    if declared.body is not None:
        keys = ", ".join(field.name for field in msgspec.structs.fields(declared.body))
        text += f" `{{{keys}}}`"
    return text


_ABOUT = """\
HTTP/1.1 over a UNIX socket. Times are RFC 3339 with an offset, durations are seconds.
`/metrics` and `/healthz` may also be had by TCP."""


class OpenApiDocument:
    """Handler of `GET /openapi.json`; the document is built at the first request."""

    def __init__(self) -> None:
        self._declared: tuple[Endpoint, ...] = ()
        self._made: dict[str, Any] | None = None

    def describe(self, declared: Iterable[Endpoint]) -> None:
        """Set the endpoints that the document describes."""
        self._declared = tuple(declared)

    async def get_openapi(self, request: Request) -> Response:
        if self._made is None:
            self._made = openapi(self._declared)
        return as_json(self._made)


def openapi(declared: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI document of these endpoints."""
    routes = list(declared)
    shapes = _shapes(routes)
    schemas, components = msgspec.json.schema_components(
        shapes, ref_template="#/components/schemas/{name}"
    )
    named = dict(zip(shapes, schemas, strict=True))
    bodies = {each.body.__name__ for each in routes if each.body is not None}
    # A day leaves out the counts that are 0.
    for name in components.keys() - bodies - {DayCount.__name__}:
        _require_all(components[name])
    # A request that is itself invalid is refused without them.
    components[ReloadError.__name__]["required"].remove("problems")
    paths: dict[str, dict[str, Any]] = {}
    for each in routes:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Nightshift", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": components},
    }


def _shapes(routes: Iterable[Endpoint]) -> list[type[Struct]]:
    found: dict[type[Struct], None] = {}
    for each in routes:
        carried = [each.response, each.body, *map(each.error_shape, each.statuses)]
        found |= dict.fromkeys(shape for shape in carried if shape is not None)
    return list(found)


def _require_all(schema: dict[str, Any]) -> None:
    """Require every field of an answer: the API sends all of them.

    Their defaults are only for clients that read the answer of an older supervisor.
    """
    properties = schema.get("properties", {})
    if properties:
        schema["required"] = list(properties)
    for field in properties.values():
        field.pop("default", None)


def _operation(each: Endpoint, named: dict[type[Struct], Any]) -> dict[str, Any]:
    answer = {} if each.response is None else named[each.response]
    if each.media != JSON:
        answer = {"type": "string"}
    answers: dict[str, Any] = {
        str(each.status): {
            "description": HTTPStatus(each.status).phrase,
            "content": {each.media: {"schema": answer}},
        }
    }
    for status in each.statuses:
        answers[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {JSON: {"schema": named[each.error_shape(status)]}},
        }
    operation = {
        "operationId": each.name,
        "summary": each.summary,
        "parameters": [_parameter(parameter) for parameter in each.parameters],
        "responses": answers,
    }
    if each.body is not None:
        required = any(field.required for field in msgspec.structs.fields(each.body))
        operation["requestBody"] = {
            "required": required,
            "content": {JSON: {"schema": named[each.body]}},
        }
    return operation


def _parameter(parameter: Parameter[Any]) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.about,
        "schema": dict(parameter.schema),
    }
