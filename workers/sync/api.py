"""Read a catalogue over HTTP: the pages of a Pokémon TCG API.

The requests are `GET /sets` and `GET /cards?q=set.id:…`, each with `page` and `pageSize`;
the answer is `{"data": [...], "totalCount": n}`.
Invariant: every page has a time limit and a limited number of tries, a document is
returned only when it is complete, and no error text contains the key or a URL's password.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
import requests

from workers.http_session import Session
from workers.retry_after import retry_after_s
from workers.sync.source import (
    MAX_DOCUMENT_BYTES,
    Document,
    SyncCancelledError,
    UnreadableCatalogueError,
)
from workers.time_limit import within
from workers.units import format_count, format_duration

_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 30
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a page is requested, and the waits between tries, in seconds.

    tries: requests for one page, including the first. first_wait_s: doubled after each
    failure. longest_wait_s: the longest Retry-After that is obeyed; a longer one is a failure.
    page_limit_s: for one page as a whole, however slowly it comes.
    """

    tries: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    page_limit_s: float = 300.0


PATIENCE = Patience()


class Envelope(msgspec.Struct, rename="camel"):
    """The metadata of a page; its entries are not decoded."""

    data: list[msgspec.Raw]
    page_size: int | None = None
    total_count: int | None = None


class ApiRefusedError(Exception):
    """One failed request; `wait_s` is the wait that the server asked for."""

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class CatalogueApi:
    """The API at `base_url`, read with `page_size` entries per page.

    cancelled: called before each request and during each wait.
    """

    ahead = 0

    def __init__(
        self,
        base_url: str,
        api_key: str,
        page_size: int,
        cancelled: Callable[[], bool] = lambda: False,
        patience: Patience = PATIENCE,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._page_size = page_size
        self._cancelled = cancelled
        self._patience = patience
        self._session = Session()
        self._session.headers["Accept"] = "application/json"
        if api_key:
            self._session.headers["X-Api-Key"] = api_key

    def sets(self) -> Document:
        """Return the pages of all sets.

        Raises:
            UnreadableCatalogueError, SyncCancelledError.
        """
        return self._document("/sets", {})

    def cards(self, set_id: str) -> Document:
        """Return the pages of a set's cards.

        Raises:
            UnreadableCatalogueError, SyncCancelledError.
        """
        return self._document("/cards", {"q": f"set.id:{set_id}"})

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def _document(self, path: str, query: dict[str, str]) -> Document:
        pages: list[bytes] = []
        seen, size_bytes = 0, 0
        expected: int | None = None
        while True:
            number = str(len(pages) + 1)
            where = " ".join(["GET", path, *query.values(), "page", number])
            page = self._page(where, path, {**query, "page": number})
            envelope = _envelope(where, page)
            if expected is None and pages and page == pages[-1]:
                # No pages, but one document; if it is full, it may be cut.
                if len(envelope.data) < self._page_size:
                    return pages
                raise UnreadableCatalogueError(
                    f"{where}: is the page before once more, and no totalCount says where the list"
                    " ends",
                    permanent=True,
                )
            pages.append(page)
            seen += len(envelope.data)
            size_bytes += len(page)
            if size_bytes > MAX_DOCUMENT_BYTES:
                raise UnreadableCatalogueError(
                    f"{where}: over {MAX_DOCUMENT_BYTES} bytes in all", permanent=True
                )
            if expected not in (None, envelope.total_count):
                raise UnreadableCatalogueError(
                    f"{where}: the list changed while it was read", permanent=False
                )
            expected = envelope.total_count
            # The server's pages may be smaller than asked for: only it knows when one is short.
            is_last = len(envelope.data) < (envelope.page_size or 1)
            if seen == expected or (expected is None and (is_last or not envelope.data)):
                return pages
            if expected is not None and (seen > expected or not envelope.data):
                entries = format_count(seen, "entry", "entries")
                text = f"{where}: {entries} came where totalCount is {expected}"
                raise UnreadableCatalogueError(text, permanent=False)

    def _page(self, where: str, path: str, query: dict[str, str]) -> bytes:
        wait_s = self._patience.first_wait_s
        for tries_left in reversed(range(self._patience.tries)):
            try:
                return self._asked_in_time(where, path, query)
            except ApiRefusedError as refused:
                asked_s = wait_s if refused.wait_s is None else refused.wait_s
                if not tries_left or asked_s > self._patience.longest_wait_s:
                    raise UnreadableCatalogueError(
                        f"{where}: {refused}", permanent=False
                    ) from refused
            self._wait(asked_s)
            wait_s *= 2
        raise AssertionError("tries is at least 1")

    def _asked_in_time(self, where: str, path: str, query: dict[str, str]) -> bytes:
        # A timeout of requests limits the wait for each packet, not for all of them.
        limit_s = self._patience.page_limit_s
        try:
            return within(limit_s, lambda: self._asked(where, path, query), self._check)
        except TimeoutError as error:
            raise ApiRefusedError(f"not complete within {format_duration(limit_s)}") from error

    def _check(self) -> None:
        if self._cancelled():
            raise SyncCancelledError

    def _asked(self, where: str, path: str, query: dict[str, str]) -> bytes:
        try:
            with self._session.get(
                self._base_url + path,
                params={**query, "pageSize": str(self._page_size)},
                timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S),
                stream=True,
                # requests would send X-Api-Key to the redirect's host.
                allow_redirects=False,
            ) as response:
                if response.status_code == 200:
                    return _body(where, response)
                raise _refusal(where, response)
        # OSError includes RequestException, and what is wrong with REQUESTS_CA_BUNDLE.
        except OSError as error:
            raise ApiRefusedError(_reason(error)) from error
        except ValueError as error:
            # requests parses Location even when redirects are not followed.
            raise ApiRefusedError("an answer with headers that cannot be read") from error

    def _wait(self, wait_s: float) -> None:
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            self._check()
            # sleep() resumes after a signal, so check for SIGTERM in between.
            time.sleep(min(left_s, 0.1))


def _envelope(where: str, page: bytes) -> Envelope:
    try:
        return msgspec.json.decode(page, type=Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableCatalogueError(
            f"{where}: is no page of such an API: {error}", permanent=True
        ) from error


def _body(where: str, response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            raise UnreadableCatalogueError(
                f"{where}: over {MAX_DOCUMENT_BYTES} bytes", permanent=True
            )
    return bytes(body)


def _refusal(where: str, response: requests.Response) -> Exception:
    status = response.status_code
    if status == 429 or status >= 500:
        wait_s = retry_after_s(response.headers.get("Retry-After"))
        asked = "" if wait_s is None else f", asks to wait {wait_s:.0f} s"
        return ApiRefusedError(f"status {status}{asked}", wait_s)
    if status in (401, 403):
        return UnreadableCatalogueError(
            f"{where}: status {status}; look at api_key", permanent=True
        )
    if 300 <= status < 400:
        moved = urlsplit(response.headers.get("Location", "")).hostname or "elsewhere"
        return UnreadableCatalogueError(
            f"{where}: status {status}, moved to {moved}; name that URL as catalogue",
            permanent=True,
        )
    return UnreadableCatalogueError(f"{where}: status {status}", permanent=True)


def _reason(error: OSError) -> str:
    """Return why there is no answer; never the text of an error that may name the URL."""
    if not isinstance(error, requests.RequestException):
        return f"no connection: {error}"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        # The catalogue's own URL was checked.
        return "no connection: the environment names a proxy that cannot be used"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {_CONNECT_TIMEOUT_S} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {_READ_TIMEOUT_S} s"
    inner: BaseException | None = error
    for _ in range(8):
        if isinstance(inner, OSError) and inner.strerror:
            return f"no connection: {inner.strerror}"
        if inner is None:
            break
        inner = inner.__cause__ or inner.__context__
    return f"no answer: {type(error).__name__}"
