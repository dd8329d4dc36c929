"""What a route is: one value, from which both the router and the document are made."""

from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from supervisor.api import responses
from supervisor.api.errors import Handler
from supervisor.api.parameters import JOB, RUN, Parameter

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing that may be asked.

    answer: the shape of the JSON that a yes carries; None: text of `media`.
    errors: statuses of this route beside those that follow from the rest.
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
        """A name for programs: `post_jobs_run`."""
        words = [part for part in self.path.strip("/").split("/") if part[0] != "{"]
        rest = "_".join(words).removeprefix("v1_").replace("-", "_").replace(".", "_")
        number = "_one" if self.path.endswith("}") else ""
        whose = "_all" if self.path in ("/v1/pause", "/v1/resume") else ""
        return f"{self.method.lower()}_{rest}{number}{whose}"

    @property
    def is_strict(self) -> bool:
        """Whether a query key that it does not declare is refused; probes may add their own."""
        return self.path.startswith("/v1/")

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every error that may be answered, in order."""
        found = set(self.errors)
        if self.is_strict:
            found |= {422, 503}
        if JOB in self.parameters or RUN in self.parameters:
            found.add(404)
        if self.body is not None:
            found |= {400, 413}
        return tuple(sorted(found))

    def error_shape(self, status: int) -> type[Struct]:
        """What an error of this status carries."""
        is_reload = self.response is not None and self.path == "/v1/reload"
        return responses.ReloadError if is_reload and status == 422 else responses.ErrorBody
