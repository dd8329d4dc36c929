"""Sync from a catalogue behind a local HTTP server."""

import socket
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.workers.catalogue_folder import (
    Catalogue,
    a_card,
    a_report,
    a_set,
    content,
    failure_of,
    logged,
    rows,
)
from tests.workers.catalogue_server import Served, serving
from workers.report import WorkerError
from workers.sync import Params, missing_cards, missing_sets
from workers.sync.api import CatalogueApi, Patience
from workers.sync.source import SyncCancelledError, UnreadableCatalogueError

QUICK = Patience(tries=3, first_wait_s=0.01, longest_wait_s=1)
SETS = [a_set(f"s{number}", f"20{number:02}/01/01") for number in range(1, 6)]
CARDS = {one["id"]: [a_card(one["id"], str(n)) for n in range(1, 8)] for one in SETS}


@pytest.fixture
def served():
    with serving(Served(list(SETS), {key: list(cards) for key, cards in CARDS.items()})) as ready:
        yield ready


@pytest.fixture
def api(served):
    with closing(CatalogueApi(served.url, "", 3, patience=QUICK)) as ready:
        yield ready


@pytest.fixture
def params(served, tmp_path):
    return Params(served.url, tmp_path / "cards.db", batch_size=3, api_key="hush-4711")


def test_all_pages_of_all_sets_come_and_then_cost_no_write(params, served):
    sets, cards = missing_sets(params, a_report()), missing_cards(params, a_report())
    before = content(params.database)
    again = missing_cards(params, a_report())

    assert (sets["sets_added"], cards["cards_added"]) == (5, 35)
    assert (again["cards_unchanged"], again["cards_added"]) == (35, 0)
    assert content(params.database) == before
    assert served.asked[0] == ("/v2/sets", {"page": "1", "pageSize": "3"}, "hush-4711")
    query = {"q": "set.id:s5", "page": "3", "pageSize": "3"}
    assert ("/v2/cards", query, "hush-4711") in served.asked


def test_no_page_is_asked_for_twice(api, served):
    pages = api.cards("s1")

    assert len(pages) == 3
    assert [query["page"] for _, query, _ in served.asked] == ["1", "2", "3"]


def test_an_api_gives_the_same_rows_as_a_folder(params, tmp_path):
    folder = Params(str(Catalogue(tmp_path / "c", SETS, CARDS).root), tmp_path / "folder.db")
    for one in (params, folder):
        missing_sets(one, a_report())
        missing_cards(one, a_report())

    assert content(params.database)[:2] == content(folder.database)[:2]


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([(503, {})], id="503"),
        pytest.param([(500, {}), (502, {})], id="500, 502"),
        pytest.param([(429, {"Retry-After": "0"})], id="429 with seconds"),
        pytest.param([(429, {})], id="429 without a word"),
        pytest.param([(429, {"Retry-After": "soon"})], id="429 with nonsense"),
        pytest.param(
            [(429, {"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"})], id="429 beyond dates"
        ),
        pytest.param(
            [(429, {"Retry-After": format_datetime(datetime(2020, 1, 1, tzinfo=UTC))})],
            id="429 with a date",
        ),
        pytest.param([(429, {"Retry-After": "9" * 5000})], id="429 with digits Python refuses"),
        pytest.param(
            [(429, {"Retry-After": "Mon, 01 Jan 2029 00:00:00 +9999999999999999999"})],
            id="429 with an offset beyond dates",
        ),
    ],
)
def test_a_passing_refusal_is_asked_again(api, served, replies):
    served.replies = list(replies)

    api.sets()

    assert len(served.asked) == len(replies) + 2


def test_retry_after_is_obeyed(api, served):
    served.replies = [(429, {"Retry-After": "1"})]
    before = time.monotonic()

    api.cards("s1")

    assert time.monotonic() - before >= 1


@pytest.mark.parametrize(
    "retry_after",
    [lambda: "3600", lambda: format_datetime(datetime.now(UTC) + timedelta(hours=1))],
    ids=["seconds", "date"],
)
def test_a_retry_after_beyond_patience_is_not_waited_for(api, served, retry_after):
    served.replies = [(429, {"Retry-After": retry_after()})]

    with pytest.raises(UnreadableCatalogueError, match="status 429, asks to wait 3") as refused:
        api.cards("s1")

    assert not refused.value.permanent
    assert len(served.asked) == 1


def test_tries_have_an_end(api, served):
    served.failing = {"s1": {}}

    with pytest.raises(
        UnreadableCatalogueError, match=r"GET /cards set\.id:s1 page 1: status 503"
    ):
        api.cards("s1")

    assert len(served.asked) == QUICK.tries


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (401, {}, "status 401; look at api_key"),
        (403, {}, "status 403; look at api_key"),
        (404, {}, "status 404"),
        (301, {"Location": "https://user:pw@other.invalid/v2"}, "moved to other.invalid; name"),
    ],
)
def test_a_lasting_refusal_is_permanent_and_asked_once(api, served, status, headers, words):
    served.replies = [(status, headers)]

    with pytest.raises(UnreadableCatalogueError, match=words) as refused:
        api.sets()

    assert refused.value.permanent
    assert len(served.asked) == 1


@pytest.mark.parametrize("location", ["http://[{0}%s", "http://a]b/", "http://\xe2\x84\x80.com/"])
def test_a_redirect_to_what_is_no_url_is_reported(api, served, location):
    served.replies = [(302, {"Location": location})] * QUICK.tries

    with pytest.raises(
        UnreadableCatalogueError, match="page 1: an answer with headers that cannot be read"
    ):
        api.sets()


@pytest.mark.parametrize(
    ("lies", "words"),
    [(1, "7 entries came where totalCount is 8"), (-2, "6 entries came where totalCount is 5")],
)
def test_a_document_that_did_not_come_whole_is_not_handed_out(api, served, lies, words):
    served.lies = lies

    with pytest.raises(UnreadableCatalogueError, match=words) as refused:
        api.cards("s1")

    assert not refused.value.permanent


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"data": 3}'])
def test_an_answer_that_is_no_page_is_permanent(api, served, body):
    served.body = body

    with pytest.raises(UnreadableCatalogueError, match="is no page of such an API") as refused:
        api.sets()

    assert refused.value.permanent


def test_a_server_that_is_away_is_reported_without_the_url():
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        port = door.getsockname()[1]
    url = f"http://me:secret@127.0.0.1:{port}/v2"

    with (
        closing(CatalogueApi(url, "", 3, patience=QUICK)) as away,
        pytest.raises(UnreadableCatalogueError) as refused,
    ):
        away.sets()

    assert str(refused.value) == "GET /sets page 1: no connection: Connection refused"
    assert not refused.value.permanent


def test_an_api_that_cannot_be_read_makes_no_database(params, served):
    served.replies = [(404, {})]

    assert failure_of(missing_sets, params).error == "GET /sets page 1: status 404"
    assert not params.database.exists()


def test_a_wait_ends_when_the_run_is_cancelled(served):
    # The longest wait that is obeyed, and longer than the time limit of a test.
    served.replies = [(429, {"Retry-After": "60"})]

    one = CatalogueApi(served.url, "", 3, lambda: bool(served.asked))
    with closing(one), pytest.raises(SyncCancelledError):
        one.sets()

    assert len(served.asked) == 1


def test_one_set_that_cannot_be_fetched_fails_by_name_and_may_be_retried(params, served):
    missing_sets(params, a_report())
    served.failing = {"s3": {"Retry-After": "9999"}}
    received = []

    with pytest.raises(WorkerError) as failed:
        missing_cards(params, a_report(received))

    assert "1 of 5 sets failed: s3: GET /cards set.id:s3 page 1: status 503" in failed.value.error
    assert not failed.value.permanent
    assert rows(params.database, "SELECT COUNT(*) FROM pokemon_cards") == [(28,)]
    assert "hush-4711" not in failed.value.error + logged(received)


def test_a_server_that_went_away_is_not_asked_for_every_set(params, served):
    missing_sets(params, a_report())
    served.failing = {one["id"]: {"Retry-After": "9999"} for one in SETS}

    failed = failure_of(missing_cards, params)

    assert failed.error.startswith("gave up: 3 of 5 sets failed: s5: ")
    assert not failed.permanent
    assert [query["q"] for path, query, _ in served.asked if path == "/v2/cards"] == [
        f"set.id:s{number}" for number in (5, 4, 3)
    ]


def test_pages_without_a_total_end_with_an_empty_one_whatever_size_they_have(served):
    served.plain = 2

    with closing(CatalogueApi(served.url, "", 5, patience=QUICK)) as api:
        pages = api.cards("s1")

    assert sum(page.count(b'"number"') for page in pages) == 7
    assert len(served.asked) == 5


@pytest.mark.parametrize("size", ["-1", "0", "null"])
def test_empty_pages_without_a_total_have_an_end(api, served, size):
    served.body = b'{"data": [], "pageSize": %s}' % size.encode()

    assert len(api.cards("s1")) == 1


def test_a_document_without_pages_is_taken_once(api, served):
    served.body = b'{"data": [{}, {}]}'

    assert api.cards("s1") == [served.body]


def test_a_full_page_that_comes_again_is_no_whole_list(api, served):
    served.body = b'{"data": [{}, {}, {}]}'

    with pytest.raises(UnreadableCatalogueError, match="page 2: is the page before once more"):
        api.cards("s1")


@pytest.fixture
def dripping():
    """Yield the URL of a server whose answer never ends, and an event for its first byte."""
    begun = threading.Event()

    def drip():
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                clients.append(client)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n ")
                begun.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = []
        threading.Thread(target=drip, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", begun
        server.shutdown(socket.SHUT_RDWR)
        for client in clients:
            client.close()


def test_an_answer_that_never_ends_is_given_up(dripping):
    url, _ = dripping
    patience = Patience(tries=2, first_wait_s=0.01, page_limit_s=0.2)

    with (
        closing(CatalogueApi(url, "", 3, patience=patience)) as api,
        pytest.raises(UnreadableCatalogueError, match="not complete within") as failed,
    ):
        api.sets()

    assert not failed.value.permanent


def test_a_run_that_is_cancelled_waits_for_no_answer(dripping):
    url, begun = dripping

    with closing(CatalogueApi(url, "", 3, begun.is_set)) as api, pytest.raises(SyncCancelledError):
        api.sets()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("REQUESTS_CA_BUNDLE", "/no/such/file", "invalid path: /no/such/file"),
        ("HTTPS_PROXY", "http://h:99999", "the environment names a proxy that cannot be used"),
        ("HTTPS_PROXY", "gopher://h", "the environment names a proxy that cannot be used"),
    ],
)
def test_an_environment_that_allows_no_connection_is_named(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)

    with (
        closing(CatalogueApi("https://127.0.0.1:1", "", 3, patience=QUICK)) as api,
        pytest.raises(UnreadableCatalogueError, match=words),
    ):
        api.sets()
