"""How an answer looks: JSON bodies, and one shape for every error."""

import logging
import sqlite3
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from supervisor.api import shapes
from supervisor.core.asks import Answer, Reply
from supervisor.reload import Refused, ReloadError

STATUS = {
    Answer.OK: 200,
    Answer.UNKNOWN: 404,
    Answer.CONFLICT: 409,
    Answer.BAD: 422,
    Answer.UNAVAILABLE: 503,
}

Ask = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger("uvicorn.error")
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Problem(Exception):  # noqa: N818 - an answer, not a fault
    """An error answer: status, what is wrong, what may help."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.status, self.error, self.hint = status, error, hint


def as_json(value: object, status: int = 200) -> Response:
    """A value as a JSON answer."""
    return Response(_encode(value), status, media_type="application/json")


def from_reply(reply: Reply) -> Reply:
    """The reply of a granted request. Raises: Problem, for one that was not."""
    if reply.answer is not Answer.OK:
        raise Problem(STATUS[reply.answer], reply.error, reply.hint)
    return reply


def guarded(ask: Ask) -> Ask:
    """The route with its errors turned into answers: the request's outermost edge."""

    async def answer(request: Request) -> Response:
        try:
            return await ask(request)
        except Problem as problem:
            return as_json(shapes.Error(problem.error, problem.hint), problem.status)
        except Refused as refused:
            text = "jobs.yaml is refused; the text in force stays"
            return as_json(shapes.Refused(text, "", refused.problems), 422)
        except ReloadError as error:
            return as_json(shapes.Error(str(error), "the text in force stays"), 503)
        except TimeoutError:
            return as_json(shapes.Error("the supervisor did not answer in time", ""), 503)
        except sqlite3.Error as error:
            return as_json(shapes.Error(f"read the ledger: {error}", ""), 503)
        except OSError as error:
            return as_json(shapes.Error(f"read the state folder: {error}", ""), 503)
        except ClientDisconnect:
            raise
        except Exception as error:
            _log.exception("internal error: %s %s", request.method, request.url.path)
            text = f"internal error: {type(error).__name__}"
            return as_json(shapes.Error(text, "the log of the supervisor says more"), 500)

    return answer


async def nowhere(request: Request, error: Exception) -> Response:
    """For a path or a verb that no route knows."""
    status = getattr(error, "status_code", 404)
    text = f"{request.method} {request.url.path} is no route"
    answer = as_json(shapes.Error(text, "GET /openapi.json lists them"), status)
    answer.headers.update(getattr(error, "headers", None) or {})
    return answer
