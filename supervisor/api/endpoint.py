"""Definition of a route, from which the router and the OpenAPI document are built."""

from typing import Any

from msgspec import Struct

from supervisor.api.errors import Handler
from supervisor.api.parameters import JOB, RUN, Parameter
from supervisor.core import responses

JSON = "application/json"


class Endpoint(Struct, frozen=True):
    """One route of the API.

    response: type of the JSON body on success; None: text of type `media`.
    errors: error statuses in addition to those derived from the other fields.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    response: type[Struct] | None = None
    media: str = JSON
    status: int = 200
    parameters: tuple[Parameter[Any], ...] = ()
    body: type[Struct] | None = None
    errors: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Return the OpenAPI operation id, such as `post_jobs_run`."""
        words = [part for part in self.path.strip("/").split("/") if part[0] != "{"]
        rest = "_".join(words).removeprefix("v1_").replace("-", "_").replace(".", "_")
        number = "_one" if self.path.endswith("}") else ""
        whose = "_all" if self.path in ("/v1/pause", "/v1/resume") else ""
        return f"{self.method.lower()}_{rest}{number}{whose}"

    @property
    def is_strict(self) -> bool:
        """Return whether undeclared query keys are refused; probes may send extra ones."""
        return self.path.startswith("/v1/")

    @property
    def statuses(self) -> tuple[int, ...]:
        """Return all error statuses of this route, sorted."""
        found = set(self.errors)
        if self.is_strict:
            found |= {422, 503}
        if JOB in self.parameters or RUN in self.parameters:
            found.add(404)
        if self.body is not None:
            found |= {400, 413}
        return tuple(sorted(found))

    def error_shape(self, status: int) -> type[Struct]:
        """Return the type of the body of an error with this status."""
        is_reload = self.response is not None and self.path == "/v1/reload"
        return responses.ReloadError if is_reload and status == 422 else responses.ErrorBody
