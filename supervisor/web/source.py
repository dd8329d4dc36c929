"""The supervisor, asked over its socket: blocking requests in threads, typed answers.

The state is asked for once for all pages that are open at the same time: an answer is
used again until something changes, or for SAME_S.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import quote

import msgspec
from starlette.concurrency import run_in_threadpool

from supervisor.cli.client import ASK_S, Client
from supervisor.cli.errors import CliError, ExitCode
from supervisor.core import responses
from supervisor.core.views import Definition, RunView, Status

SAME_S = 1.0
# What waits for a child process of the supervisor.
SLOW_S = 100.0
_SLOW = frozenset(("reload", "notify-test"))
T = TypeVar("T")


class AnswerError(Exception):
    """The supervisor's refusal, or why it cannot be asked; body: of the answer, if any.

    is_unknown: what was asked for is not known, or the question makes no sense.
    is_refused: this page may not ask it.
    """

    def __init__(
        self,
        text: str,
        hint: str,
        body: bytes = b"",
        is_unknown: bool = False,
        is_refused: bool = False,
    ) -> None:
        super().__init__(text)
        self.text, self.hint, self.body = text, hint, body
        self.is_unknown, self.is_refused = is_unknown, is_refused


class Source:
    """The socket of one supervisor. Every method raises AnswerError."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._status: Status | None = None
        self._jobs: tuple[Definition, ...] = ()
        self._jobs_of: object = None
        self._asked_mono = 0.0
        self._changes = 0
        # The question that is open, and the number of changes when it was asked.
        self._asking: asyncio.Future[Status] | None = None
        self._asking_of = 0

    @property
    def path(self) -> str:
        """Return the path of the socket."""
        return str(self._client.path)

    async def get(self, kind: type[T], *parts: str, **query: object) -> T:
        """Return the decoded answer of `GET /v1/part/part?query`."""
        return decoded(await self.raw(*parts, **query), kind)

    async def raw(self, *parts: str, **query: object) -> bytes:
        """Return the body of `GET /v1/part/part?query`."""
        return await run_in_threadpool(self._get, parts, query)

    async def newest_log(self, run: int, most_bytes: int) -> tuple[bytes, int]:
        """Return the newest bytes of a log, and how many the whole log has."""
        return await run_in_threadpool(self._newest_log, run, most_bytes)

    async def post(self, user: str, *parts: str, **body: object) -> bytes:
        """Return the answer of `POST /v1/part/part`; user: the person who asks."""
        self.forget()
        return await run_in_threadpool(self._post, parts, body, user)

    def stream(self, *parts: str, **query: object) -> Iterator[bytes]:
        """Yield an answer as it comes; blocks, so only for a thread."""
        try:
            yield from self._client.stream("v1", *parts, **query)
        except CliError as error:
            raise _answer_error(error) from error

    async def status(self) -> Status:
        """Return the state of the service."""
        if self._status is not None and time.monotonic() - self._asked_mono <= SAME_S:
            return self._status
        if self._asking is None or self._asking_of != self._changes:
            self._asking_of = self._changes
            self._asking = asyncio.ensure_future(self._ask_status(self._changes))
            # Every page that asked may be gone when it fails.
            self._asking.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
        # All pages that ask meanwhile wait for one answer: a service that hangs lets none wait
        # for the others. A browser that goes away does not end it.
        return await asyncio.shield(self._asking)

    async def _ask_status(self, changes: int) -> Status:
        now = time.monotonic()
        try:
            found = await self.get(Status, "status")
        finally:
            if changes == self._changes:
                self._asking = None
        if changes == self._changes:  # nothing has changed while it was asked for
            self._status, self._asked_mono = found, now
        return found

    async def jobs(self) -> tuple[Definition, ...]:
        """Return the definitions in force; asked for again after a reload."""
        loaded = (await self.status()).config.loaded_at, (await self.status()).started_at
        if self._jobs_of != loaded:
            self._jobs = (await self.get(responses.Jobs, "jobs")).jobs
            self._jobs_of = loaded
        return self._jobs

    async def runs(self, **query: object) -> tuple[RunView, ...]:
        """Return runs, newest first."""
        return (await self.get(responses.Runs, "runs", **query)).runs

    def forget(self) -> None:
        """Ask for the state again next time: something has changed."""
        self._status = None
        self._changes += 1

    def _get(self, parts: tuple[str, ...], query: dict[str, object]) -> bytes:
        try:
            return self._client.get("v1", *parts, **query)  # type: ignore[arg-type]
        except CliError as error:
            raise _answer_error(error) from error

    def _newest_log(self, run: int, most_bytes: int) -> tuple[bytes, int]:
        try:
            return self._client.newest("v1", "runs", str(run), "log", most_bytes=most_bytes)
        except CliError as error:
            raise _answer_error(error) from error

    def _post(self, parts: tuple[str, ...], body: dict[str, object], user: str) -> bytes:
        headers = {"Nightshift-User": quote(user, safe="")} if user else {}
        try:
            limit_s = SLOW_S if parts[-1] in _SLOW else ASK_S
            return self._client.post("v1", *parts, body=body, limit_s=limit_s, headers=headers)
        except CliError as error:
            raise _answer_error(error) from error


def decoded(body: bytes, kind: type[T]) -> T:
    """Return a decoded answer. Raises: AnswerError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        hint = "the page and the supervisor are of different versions: start both again"
        raise AnswerError(f"the answer is not understood: {error}", hint) from error


def _answer_error(error: CliError) -> AnswerError:
    return AnswerError(error.text, error.hint, error.body, error.status is ExitCode.USAGE)
