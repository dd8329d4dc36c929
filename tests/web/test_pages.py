"""Every page without scripts: complete, small, and with all texts escaped."""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import http.client
import re
import zlib
from html.parser import HTMLParser

import pytest

from supervisor.core.ical import PER_JOB
from supervisor.web.page_response import PageResponse
from supervisor.web.statics import STATIC
from tests.acceptance.daemon import Sandbox, supervised
from tests.waiting import until
from tests.web.visitor import Visitor, page, ran

PAGES = (
    *("/", "/timeline?hours=24", "/calendar?days=90", "/incidents", "/backups", "/replication"),
    *("/actions", "/config", "/jobs/replicate", "/jobs/backup-database", "/runs?job=health"),
    *("/runs/1", "/jobs/load/run"),
)
HOSTILE = "<script>alert(1)</script>\x1b[2J\x1b]0;x\x07\u202ecod\"'&"
HELLO = "jobs: {hello: {command: echo hi}}"
HOSTILE_JOBS = r"""
jobs:
  loud:
    description: "<img src=x onerror=alert(1)>"
    command: |
      printf '<b>bold</b> \033[31m<i>red</i>\033[0m \033[2J\033]0;title\007 \342\200\256 end\n'
      exit 9
    docs: "javascript:alert(1)"
    env: {NOTE: "</dd><script>alert(2)</script>", MY_TOKEN: "very-secret-value"}
"""


@pytest.fixture(scope="module")
def quiet():
    """Yield a service that has run nothing and a visitor of its page; the last test stops it."""
    with Sandbox(HELLO) as sandbox, supervised(sandbox), page(sandbox) as url:
        yield sandbox, Visitor(url).sign_in()


def ask_bytes(visitor, path, encoding):
    """Return the Content-Encoding and the bytes of an answer."""
    with contextlib.closing(http.client.HTTPConnection(*visitor.address)) as connection:
        headers = {"Cookie": cookies_of(visitor), "Accept-Encoding": encoding}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.headers["Content-Encoding"], answer.read()


def stream_begin(visitor, path, headers):
    """Return the first event of a stream."""
    with contextlib.closing(http.client.HTTPConnection(*visitor.address)) as connection:
        connection.request("GET", path, headers={"Cookie": cookies_of(visitor), **headers})
        return connection.getresponse().read1().decode()


def cookies_of(visitor):
    return "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())


class Markup(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_keeps_its_own_policy(visitor, path):
    answer = visitor.get(path)
    found = Markup(answer.text)

    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    for tag, attributes in found.elements:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
    scripts = [script.get("src", "") for script in found.named("script")]
    assert scripts
    assert [source for source in scripts if not source.startswith("/static/")] == []
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'self' 'sha256-{allowed}';" in policy
    assert len(found.named("style")) == 1


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_landmarks_headings_and_a_title(visitor, path):
    found = Markup(visitor.get(path).text)

    names = [name for name, _ in found.elements]
    assert names.count("main") == names.count("h1") == 1
    assert {"header", "nav", "footer", "title"} <= set(names)
    assert all(each.get("scope") for each in found.named("th"))


def test_every_address_of_a_page_is_below_its_base(sandbox):
    with page(sandbox, "--base", "/x") as url:
        visitor = Visitor(url).sign_in()
        for path in PAGES:
            found = Markup(visitor.get(path).text)
            named = [
                value
                for _, attributes in found.elements
                for key, value in attributes.items()
                if key in ("href", "src", "action", "formaction", "hx-get", "hx-sse:connect")
            ]
            wrong = {each for each in named if each and each[0] == "/" and each[:3] != "/x/"}
            assert (len(named) > 10, wrong) == (True, set()), path


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_sent_compressed(visitor, path):
    encoding, body = ask_bytes(visitor, path, "gzip")

    assert encoding == "gzip"
    assert b"<main" in gzip.decompress(body)


def test_what_stands_above_the_content_comes_first(visitor):
    with contextlib.closing(http.client.HTTPConnection(*visitor.address)) as connection:
        headers = {"Cookie": cookies_of(visitor), "Connection": "close"}
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        first = answer.fp.read(int(answer.fp.readline(), 16))
        rest = answer.fp.read()

    assert b"</nav>" in first
    assert b"<h1" not in first
    assert b"<h1" in rest


def test_a_piece_of_a_page_is_unpacked_before_the_next_is_made():
    unpacking, seen = zlib.decompressobj(31), []

    def pieces():
        yield "<p>first"
        assert seen == [b"<p>first"]
        yield "<p>rest"

    async def send(message):
        if body := unpacking.decompress(message.get("body", b"")):
            seen.append(body)

    asyncio.run(PageResponse(pieces(), is_packed=True)({}, None, send))

    assert seen == [b"<p>first", b"<p>rest"]
    assert unpacking.eof


def test_the_static_files_are_small_together():
    assert sum(file.stat().st_size for file in STATIC.iterdir()) <= 100_000


def test_a_static_file_may_be_kept(visitor):
    answer = visitor.get("/static/page.js")

    assert answer.status == 200
    assert "immutable" in answer.headers["cache-control"]


def test_a_static_file_is_sent_compressed_and_two_are_one_request(visitor):
    packed, whole = ask_bytes(visitor, "/static/htmx.js", "gzip"), visitor.get("/static/htmx.js")

    assert packed[0] == "gzip"
    assert gzip.decompress(packed[1]).decode() == whole.text
    assert "content-encoding" not in whole.headers
    assert all(part in whole.text for part in ("var htmx=", 'registerExtension("sse"'))


@pytest.mark.parametrize(("again", "first"), [(False, "open"), (True, "changed")])
def test_a_new_page_gets_later_changes_and_one_that_comes_back_looks_again(visitor, again, first):
    def first_event():
        seen = re.search(r"/events\?seen=(\d+)", visitor.get("/").text)
        assert seen
        more = {"Last-Event-ID": seen[1]} if again else {}
        return stream_begin(visitor, f"/events?seen={seen[1]}", more)

    # Something may change between the two requests.
    until(lambda: f"event: {first}\n" in first_event())


@pytest.mark.parametrize("path", ["/static/../settings.py", "/static/%2e%2e/gate.py", "/static/"])
def test_nothing_else_is_a_static_file(visitor, path):
    assert visitor.get(path).status in (404, 405)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), ("/jobs/nobody", 404), ("/runs/999999", 404), ("/runs/x", 404)],
)
def test_what_is_not_there_is_said_on_a_page(visitor, path, status):
    answer = visitor.get(path)

    assert answer.status == status
    assert "<main" in answer.text


def test_a_single_host_has_no_page_of_hosts(visitor):
    assert visitor.get("/hosts").status == 404
    assert "Hosts</a>" not in visitor.get("/").text
    assert "on_host" not in visitor.get("/jobs/health").text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/?page=0", "a whole number from 1"),
        ("/?page=-1", "a whole number from 1"),
        ("/?page=99999999999999999999", "of at most 18 digits"),
        ("/?page=%D9%A3", "a whole number from 1"),
        ("/?sort=x", "one of file, name, state"),
        ("/?state=%ff<b>", "one of failed"),
        ("/timeline?hours=-1", "one of 1, 3, 6, 12, 24"),
        ("/calendar?days=x", "one of 30, 90"),
        ("/calendar?page=0", "a whole number from 1"),
        ("/calendar.ics?days=1", "one of 30, 90"),
        ("/runs?since=yesterday", "a time with an offset such as"),
        ("/runs?since=2026-01-01", "a time with an offset such as"),
        ("/runs?until=9999-12-31T23:59:59-12:00", "a time with an offset such as"),
        ("/runs?since=0001-01-01T00:00:00%2B14:00", "a time with an offset such as"),
        ("/runs?before=x", "a whole number from 1"),
        ("/runs?state=odd", "one of success"),
    ],
)
def test_a_value_that_makes_no_sense_is_said_in_words(visitor, path, expected):
    answer = visitor.get(path)

    assert answer.status == 400
    assert "is not understood: expected" in answer.text
    assert expected in answer.text
    assert "<b>" not in answer.text


@pytest.mark.parametrize("number", ["9" * 18, "9" * 19, "9" * 5000], ids=len)
def test_a_number_that_no_run_has_is_not_found(visitor, number):
    assert visitor.get(f"/runs/{number}").status == 404
    assert visitor.get(f"/runs/{number}/log").status == 404
    assert visitor.post(f"/incidents/{number}/ack", {}).status in (303, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/?page=99999&q=<script>alert",
        "/?q=&state=&sort=&page=",
        "/runs?job=%00%ff%ed%a0%80&state=&since=",
        "/jobs/health?at=<script>alert(1)</script>",
        "/jobs/health?at=9999-12-31T23:59",
        "/runs/1?grep=%00%ff<b>&all=2",
    ],
)
def test_odd_texts_show_a_page(visitor, path):
    answer = visitor.get(path)

    assert answer.status == 200
    assert "<script>alert" not in answer.text


def test_a_title_says_that_something_is_wrong(visitor):
    assert re.search(r"<title>\s*\(\d+\) Jobs", visitor.get("/").text)
    assert "icon-bad.svg" in visitor.get("/").text


def test_a_change_sends_only_the_dynamic_part(visitor):
    answer = visitor.get("/", HX_Request="true")

    assert answer.status == 200
    assert "<html" not in answer.text
    assert '<main id="main"' in answer.text
    assert "hx-swap-oob" in answer.text


def test_times_are_shown_in_the_chosen_zone(visitor):
    assert "CET" in visitor.get("/runs/1").text or "CEST" in visitor.get("/runs/1").text
    assert (
        visitor.post("/times", {"times": "utc", "back": "/runs/1"}).headers["location"]
        == "/runs/1"
    )
    assert " UTC" in visitor.get("/runs/1").text
    visitor.post("/times", {"times": "service"})


def test_the_calendar_is_a_file_for_a_calendar_program(visitor):
    assert "/calendar.ics?days=90" in visitor.get("/calendar?days=90").text

    answer = visitor.get("/calendar.ics?days=90")

    assert answer.headers["content-type"].startswith("text/calendar")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "SUMMARY:sync-cards\r\nDESCRIPTION:Cards of every set\r\n" in answer.text
    assert answer.text.count("SUMMARY:health\r\n") == PER_JOB
    assert visitor.get("/calendar.ics?days=<b>").status == 400


def test_a_log_is_searched_and_downloaded(visitor, sandbox):
    run = sandbox.json("history", "replicate", "--state", "failed", "-n", "1")["runs"][0]["id"]

    shown = visitor.get(f"/runs/{run}").text
    found = visitor.get(f"/runs/{run}?grep=connection")
    whole = visitor.get(f"/runs/{run}/log")

    assert 'class="a-f2"' in shown
    assert "&lt;b&gt;timeout&lt;/b&gt;" in shown
    assert "table 7 " not in found.text
    assert "timeout" in found.text
    assert whole.headers["content-disposition"].startswith("attachment")
    assert "\x1b[1;31merror" in whole.text


def test_hostile_text_stays_text():
    with Sandbox(HOSTILE_JOBS) as sandbox, supervised(sandbox):
        sandbox.ask("run", "loud", "--wait")
        sandbox.ask("pause", "loud", "--reason", HOSTILE)
        with page(sandbox) as url:
            visitor = Visitor(url).sign_in()
            for path in ("/", "/jobs/loud", "/runs/1", "/incidents", "/actions", "/config"):
                text = visitor.get(path).text

                assert "<script>alert" not in text, path
                assert "<img src=x" not in text, path
                assert "<b>bold</b>" not in text, path
                assert 'href="javascript:' not in text, path
                assert "very-secret-value" not in text, path
                assert not re.search(
                    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text.replace("\r", "")
                ), path
            run = visitor.get("/runs/1").text
            assert '<span class="a-f1">&lt;i&gt;red&lt;/i&gt;</span>' in run


def test_empty_pages_say_what_to_do(quiet):
    _, visitor = quiet

    assert "No job makes backups" in visitor.get("/backups").text
    assert "replication.run" in visitor.get("/replication").text
    assert "Nothing is wrong" in visitor.get("/incidents").text
    assert "nightshift run hello" in visitor.get("/jobs/hello").text
    assert "Nothing ran" in visitor.get("/timeline").text


def test_the_page_of_the_config_says_what_each_text_changed(quiet):
    sandbox, visitor = quiet
    secret = "hunter2-swordfish"
    env = f"env: {{MY_TOKEN: {secret}}}"
    sandbox.config.write_text(f"jobs: {{hello: {{command: echo hi, {env}}}, new: {{command: x}}}}")
    visitor.post("/reload", {"back": "/config"})

    # The answer may come before the row is written.
    until(lambda: ">added</span>" in visitor.get("/config").text)
    text = visitor.get("/config").text

    assert re.search("added</span> <a [^>]*>new</a>", text)
    assert re.search("changed</span> <a [^>]*>hello</a>: <code>env</code>", text)
    assert secret not in text


def test_a_service_that_is_away_is_said_and_its_return_shows(quiet):
    sandbox, visitor = quiet
    assert visitor.get("/").status == 200
    sandbox.ask("stop")
    answer = visitor.get("/")
    assert answer.status == 503
    assert "no supervisor answers" in answer.text
    with supervised(sandbox):
        assert "hello" in visitor.get("/").text


def test_a_followed_log_goes_on_after_the_last_event(visitor, sandbox):
    run = ran(sandbox, "talk")

    whole = visitor.get(f"/runs/{run}/log/stream?after=0").text
    rest = visitor.get(f"/runs/{run}/log/stream?after=0", Last_Event_ID="4").text

    assert "id: 8\ndata: one\ndata: two\ndata: \n\n" in whole
    assert "data: one" not in rest
    assert "id: 8\ndata: two\ndata: \n\n" in rest
    assert rest.endswith("event: ended\ndata: {}\n\n")
