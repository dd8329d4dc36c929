"""JSON responses, and the mapping of exceptions to error responses."""

import logging
import sqlite3
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from supervisor.core import responses
from supervisor.core.control_requests import Reply, ReplyStatus
from supervisor.reloader import ReloadError, ReloadRefusedError

STATUS = {
    ReplyStatus.OK: 200,
    ReplyStatus.UNKNOWN: 404,
    ReplyStatus.CONFLICT: 409,
    ReplyStatus.BAD: 422,
    ReplyStatus.UNAVAILABLE: 503,
}

# At most this many characters of a request are repeated in an error.
MOST_SHOWN = 200

Handler = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger("uvicorn.error")
_encode = msgspec.json.Encoder(enc_hook=str).encode


class HttpError(Exception):
    """An error response: status, cause, and a hint."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.status, self.error, self.hint = status, error, hint


def as_json(value: object, status: int = 200) -> Response:
    """Return a JSON response with this value."""
    return Response(_encode(value), status, media_type="application/json")


def require_ok(reply: Reply) -> Reply:
    """Return the reply if the request was granted. Raises: HttpError otherwise."""
    if reply.answer is not ReplyStatus.OK:
        raise HttpError(STATUS[reply.answer], reply.error, reply.hint)
    return reply


def with_error_responses(ask: Handler) -> Handler:
    """Wrap a handler so that its exceptions become error responses."""

    async def answer(request: Request) -> Response:
        try:
            return await ask(request)
        except HttpError as problem:
            return as_json(responses.ErrorBody(problem.error, problem.hint), problem.status)
        except ReloadRefusedError as refused:
            text = "jobs.yaml is refused; the text in force stays"
            return as_json(responses.ReloadError(text, "", refused.problems), 422)
        except ReloadError as error:
            return as_json(responses.ErrorBody(str(error), "the text in force stays"), 503)
        except TimeoutError:
            return as_json(responses.ErrorBody("the supervisor did not answer in time", ""), 503)
        except sqlite3.Error as error:
            return as_json(responses.ErrorBody(f"read the ledger: {error}", ""), 503)
        except OSError as error:
            return as_json(responses.ErrorBody(f"read the state folder: {error}", ""), 503)
        except ClientDisconnect:
            raise
        except Exception as error:
            _log.exception("internal error: %s %s", request.method, request.url.path)
            text = f"internal error: {type(error).__name__}"
            return as_json(responses.ErrorBody(text, "see the log of the supervisor"), 500)

    return answer


async def not_found(request: Request, error: Exception) -> Response:
    """Answer a request whose path or method matches no route."""
    status = getattr(error, "status_code", 404)
    # `request.url` puts the socket's path into that of a request without a host.
    path = request.scope["path"][:MOST_SHOWN]
    text = f"{request.method[:MOST_SHOWN]} {path} is no route"
    answer = as_json(responses.ErrorBody(text, "GET /openapi.json lists them"), status)
    answer.headers.update(getattr(error, "headers", None) or {})
    return answer
